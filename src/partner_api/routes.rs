//! The routes that the exporter calls, and the request headers that are specific to the Partner API.

use http::HeaderName;
use strum::{Display, IntoStaticStr, VariantArray};

/// The health route. It needs no authentication.
pub(crate) const HEALTH_PATH: &str = "/api/partners/health";
/// Lists the fiscal years of a society. MyUnisoft's own status page uses this route as its canary.
pub(crate) const EXERCICES_PATH: &str = "/api/v1/mad/exercices?version=1.0.0";

/// The header with the partner's secret.
pub(crate) static SECRET_HEADER: HeaderName = HeaderName::from_static("x-third-party-secret");
/// The header with the ID of the society. A token with firm access needs it on routes about one society.
pub(crate) static SOCIETY_HEADER: HeaderName = HeaderName::from_static("society-id");

/// Which form of key/info is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, IntoStaticStr, VariantArray)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub(crate) enum KeyInfoMode {
    /// `?mode=extended`: the response says whether the key is activated. The request **activates a new key**.
    Extended,
    /// The plain form: lists the routes that the token may call, and does not activate the key.
    Routes,
}

impl KeyInfoMode {
    /// The path and query of the request.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Extended => "/api/v1/key/info?mode=extended",
            Self::Routes => "/api/v1/key/info",
        }
    }
}

/// The methods that a canary may use. Neither can change data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, IntoStaticStr, VariantArray)]
#[strum(const_into_str)]
pub(crate) enum Method {
    #[strum(serialize = "GET")]
    Get,
    /// Judged by its status and its content type, because the response has no body.
    #[strum(serialize = "HEAD")]
    Head,
}
