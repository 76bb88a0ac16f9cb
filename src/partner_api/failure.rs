//! Why a probe failed, in one word of a closed list.

use crate::partner_api::error::ErrorCode;
use serde_with::SerializeDisplay;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// The reasons a probe fails for: the `reason` label. Each probe that fails gets exactly one.
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
pub enum Reason {
    /// The host name could not be resolved.
    Dns,
    /// No TCP connection (or the proxy would not open one).
    Connect,
    /// The TLS handshake failed: certificate, protocol, or something that is not TLS.
    Tls,
    /// The probe's time was up.
    Timeout,
    /// The connection broke, or what came was not HTTP.
    Io,
    /// The answer points elsewhere; redirects are never followed, for the secret would go along.
    Redirect,
    /// A non-2xx that the API did not write: a proxy, load balancer or firewall answered.
    Edge,
    /// A status that neither succeeds, redirects nor explains itself.
    UnexpectedStatus,
    /// A 2xx whose body is not what the route answers.
    UnexpectedBody,
    /// The API refuses the token.
    Token,
    /// The API refuses the partner's secret.
    Secret,
    /// The token may not call this route, or not use the API.
    Forbidden,
    /// The token's budget is spent, or too many calls ran at once.
    RateLimited,
    /// Announced maintenance.
    Maintenance,
    /// The API's own failure, or a route's own refusal.
    ApiError,
    /// No token could be had from the log-in route.
    Login,
}

impl Reason {
    /// Whether the API said no to what was shown to it: its word, not an accident on the way.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Token | Self::Secret | Self::Forbidden)
    }

    /// Whether a failure for this reason belongs to the trouble that began with a failure for `first`.
    ///
    /// Accidents of all kinds are one trouble. What calls for another act (a word with the customer,
    /// patience, another password) is another; but once the API has refused, an accident on the way
    /// takes nothing of that back.
    #[must_use]
    pub fn belongs_to_episode_of(self, first: Self) -> bool {
        let accident = |reason: Self| {
            let own = matches!(reason, Self::RateLimited | Self::Maintenance | Self::Login);
            !own && !reason.is_refusal()
        };
        self == first || (accident(self) && (accident(first) || first.is_refusal()))
    }
}

/// One failed probe's cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it is counted under.
    pub reason: Reason,
    /// The API's own code, where it gave one.
    pub code: Option<ErrorCode>,
    /// One sentence for the log and the page: never a secret, never a body.
    pub detail: String,
    /// Nothing was asked, because this process or its machine has run out of descriptors or memory: the
    /// failure is never told as one of the API's.
    pub is_resource_exhaustion: bool,
    /// Of a log-in that failed for no fault of the account: what it met.
    pub underlying: Option<Reason>,
}

impl Failure {
    /// A failure without a code of the API.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, code: None, detail: detail.into(), is_resource_exhaustion: false, underlying: None }
    }

    /// The same where its code may be shown; else with what stands for one.
    #[must_use]
    pub fn redact_code(mut self, must_be_withheld: impl Fn(&ErrorCode) -> bool) -> Self {
        if let Some(code) = self.code.take_if(|code| must_be_withheld(code)) {
            let withheld = ErrorCode::withheld();
            self.detail = self.detail.replace(code.as_str(), withheld.as_str());
            self.code = Some(withheld);
        }
        self
    }

    /// The `code` label: a documented code, else `other`.
    #[must_use]
    pub fn code_label(&self) -> &'static str {
        self.code.as_ref().and_then(ErrorCode::documented).map_or("other", |code| code.into_str())
    }
}
