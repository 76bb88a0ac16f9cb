//! The routes of the Partner API that the exporter calls, and the headers that name who calls.

use serde_with::SerializeDisplay;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// The health route; it needs no authentication.
pub const HEALTH_PATH: &str = "/api/partners/health";
/// The routes a token may call.
pub const KEY_INFO_PATH: &str = "/api/v1/key/info";
/// The same with the key's activation. **Asking it is what activates a new key.**
pub const KEY_INFO_EXTENDED_PATH: &str = "/api/v1/key/info?mode=extended";
/// The canary of the vendor's own status page: a society's fiscal years.
pub const EXERCICES_PATH: &str = "/api/v1/mad/exercices?version=1.0.0";

/// Carries the partner's secret.
pub const SECRET_HEADER: &str = "x-third-party-secret";
/// Names the society, for routes about one society called with firm access.
pub const SOCIETY_HEADER: &str = "society-id";

/// How key/info is asked.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum KeyInfoMode {
    /// `?mode=extended`: says whether the key is activated, and **activates a new key**.
    Extended,
    /// Plain: lists the routes, without the side effect of activation.
    Routes,
}

/// The methods a canary may use: none that could change anything.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
)]
#[strum(const_into_str)]
pub enum Method {
    /// The default.
    #[strum(serialize = "GET")]
    Get,
    /// Judged by status alone: it has no body.
    #[strum(serialize = "HEAD")]
    Head,
}
