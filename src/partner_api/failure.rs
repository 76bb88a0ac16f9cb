//! Why a probe failed: a reason from a closed list, and the details.

use serde_with::{DeserializeFromStr, SerializeDisplay};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::error::{DocumentedCode, ErrorCode};

/// Why a probe failed: the `reason` label. Each failed probe has exactly one reason.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
    DeserializeFromStr,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub(crate) enum Reason {
    /// The host name could not be resolved.
    Dns,
    /// The TCP connection could not be opened, or the proxy refused to open it.
    Connect,
    /// The TLS handshake failed: because of the certificate or the protocol, or the server does not speak TLS.
    Tls,
    /// The probe did not end within its timeout.
    Timeout,
    /// The connection broke, or the response is not HTTP.
    Io,
    /// The response is a redirect. Redirects are never followed: the secret would be sent to the target.
    Redirect,
    /// An error status that did not come from the API, but from a proxy, load balancer or firewall.
    Edge,
    /// A status that is neither a success nor a redirect, without an error body that explains it.
    UnexpectedStatus,
    /// A success status with a body that does not belong to the route.
    UnexpectedBody,
    /// The API refuses the token.
    Token,
    /// The API refuses the partner's secret.
    Secret,
    /// The token may not call this route, or may not use the API.
    Forbidden,
    /// The request budget of the token is used up, or too many requests ran at the same time.
    RateLimited,
    /// Announced maintenance.
    Maintenance,
    /// A failure of the API itself, or an error that is specific to the route.
    ApiError,
    /// The log-in route gave no token.
    Login,
    /// The token, the secret or the password cannot be read here, so nothing was sent. It says nothing about the key.
    Credential,
}

/// Reasons of one category call for the same action.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Category {
    /// The API explicitly refused the credentials or the access.
    Refusal,
    /// The request or the response failed, and the response says nothing about the credentials.
    Technical,
    /// The reason calls for an action of its own: wait, correct the log-in, or repair a file.
    Separate,
}

impl Reason {
    const fn category(self) -> Category {
        match self {
            Self::Token | Self::Secret | Self::Forbidden => Category::Refusal,
            Self::Dns
            | Self::Connect
            | Self::Tls
            | Self::Timeout
            | Self::Io
            | Self::Redirect
            | Self::Edge
            | Self::UnexpectedStatus
            | Self::UnexpectedBody
            | Self::ApiError => Category::Technical,
            Self::RateLimited | Self::Maintenance | Self::Login | Self::Credential => Category::Separate,
        }
    }

    /// Whether the API explicitly refused the credentials or the access.
    pub(crate) fn is_refusal(self) -> bool {
        self.category() == Category::Refusal
    }

    /// Whether a failure with this reason continues one with the reason `first`.
    fn continues(self, first: Self) -> bool {
        let is_technical = self.category() == Category::Technical;
        let leaves_refusals_open = is_technical || self == Self::Maintenance;
        self == first
            || (is_technical && first.category() == Category::Technical)
            || (leaves_refusals_open && first.is_refusal())
    }
}

/// The cause of one failed probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub reason: Reason,
    /// The API's error code, if the response has one.
    pub code: Option<ErrorCode>,
    /// One sentence for the log and the page. It never has a secret or a part of a body.
    pub detail: String,
    /// No request was sent, because this process or its machine has no file descriptors or no memory left.
    /// Such a failure is never reported as a failure of the API.
    pub is_resource_exhaustion: bool,
    /// If the log-in failed and the account is not the cause: why the log-in failed. `Token`: a log-in ended the
    /// token of another one.
    pub underlying: Option<Reason>,
}

impl Failure {
    /// A failure without an error code.
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, code: None, detail: detail.into(), is_resource_exhaustion: false, underlying: None }
    }

    /// Whether this failure belongs to the failure episode that began with `first`.
    ///
    /// All technical failures are one episode. A failure that calls for another action (contact the customer, wait,
    /// change the password) starts a new episode. After a refusal, a technical failure or maintenance does not start a
    /// new episode: it does not prove that the API accepts the credentials again.
    pub(crate) fn belongs_to_episode_of(&self, first: &Self) -> bool {
        // `forbidden` is the refusal of a route or of the key: these call for different actions.
        let is_other_refusal =
            self.reason == first.reason && self.refuses_key_or_secret() != first.refuses_key_or_secret();
        self.reason.continues(first.reason) && !is_other_refusal
    }

    /// Whether the API refuses the key or the secret as a whole, and not only the request.
    pub(crate) fn refuses_key_or_secret(&self) -> bool {
        let documented = self.code.as_ref().and_then(ErrorCode::documented);
        match self.reason {
            Reason::Token | Reason::Secret => true,
            Reason::Forbidden => documented == Some(DocumentedCode::ForbiddenAccess),
            Reason::Dns
            | Reason::Connect
            | Reason::Tls
            | Reason::Timeout
            | Reason::Io
            | Reason::Redirect
            | Reason::Edge
            | Reason::UnexpectedStatus
            | Reason::UnexpectedBody
            | Reason::RateLimited
            | Reason::Maintenance
            | Reason::ApiError
            | Reason::Login
            | Reason::Credential => false,
        }
    }

    /// Whether the failure says something about the key, the secret or the log-in. Maintenance or a timeout, for example,
    /// says nothing about them, and its request ID does not help a person who asks about a key.
    pub(crate) fn concerns_credentials(&self) -> bool {
        match self.reason {
            Reason::Token | Reason::Secret | Reason::Forbidden | Reason::Credential => true,
            Reason::Login => self.underlying.is_none_or(|cause| cause == Reason::Token),
            Reason::Dns
            | Reason::Connect
            | Reason::Tls
            | Reason::Timeout
            | Reason::Io
            | Reason::Redirect
            | Reason::Edge
            | Reason::UnexpectedStatus
            | Reason::UnexpectedBody
            | Reason::RateLimited
            | Reason::Maintenance
            | Reason::ApiError => false,
        }
    }

    /// Removes the error code, also from the detail, if `is_secret` says that it must not be shown.
    pub(crate) fn redact_code(&mut self, is_secret: impl Fn(&ErrorCode) -> bool) {
        if let Some(code) = self.code.take_if(|code| is_secret(code)) {
            let redacted = ErrorCode::redacted();
            self.detail = self.detail.replace(code.as_str(), redacted.as_str());
            self.code = Some(redacted);
        }
    }

    /// The `code` label: the code if it is documented, otherwise `other`.
    pub(crate) fn code_label(&self) -> &'static str {
        self.code.as_ref().and_then(ErrorCode::documented).map_or("other", |code| code.into_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(reason: Reason, code: Option<DocumentedCode>) -> Failure {
        Failure { code: code.map(ErrorCode::from), ..Failure::new(reason, "") }
    }

    #[test]
    fn a_refusal_of_the_key_after_any_other_failure_starts_an_episode_of_its_own() {
        let refusals = [
            failure(Reason::Token, Some(DocumentedCode::ApiTokenNotFound)),
            failure(Reason::Secret, Some(DocumentedCode::InvalidSecret)),
            failure(Reason::Forbidden, Some(DocumentedCode::ForbiddenAccess)),
        ];
        let others = [
            failure(Reason::Timeout, None),
            failure(Reason::ApiError, Some(DocumentedCode::Internal)),
            failure(Reason::RateLimited, Some(DocumentedCode::TooManyRequest)),
            failure(Reason::Forbidden, Some(DocumentedCode::ForbiddenRoute)),
        ];
        for refusal in &refusals {
            for other in &others {
                assert!(!refusal.belongs_to_episode_of(other), "{other:?}, then {refusal:?}");
            }
            let same = refusals.iter().filter(|first| refusal.belongs_to_episode_of(first)).count();
            assert_eq!(same, 1, "only a refusal of the same kind continues {refusal:?}");
        }
    }

    #[test]
    fn a_technical_failure_or_maintenance_after_a_refusal_continues_its_episode() {
        let refusal = failure(Reason::Token, Some(DocumentedCode::ApiTokenNotFound));
        let maintenance = failure(Reason::Maintenance, Some(DocumentedCode::UnderMaintenance));
        for open in [failure(Reason::Timeout, None), failure(Reason::Edge, None), maintenance.clone()] {
            assert!(open.belongs_to_episode_of(&refusal), "{open:?}");
        }
        for other in [Reason::RateLimited, Reason::Login, Reason::Credential] {
            assert!(
                !failure(other, None).belongs_to_episode_of(&refusal),
                "{other} calls for another action"
            );
        }
        let timeout = failure(Reason::Timeout, None);
        assert!(!maintenance.belongs_to_episode_of(&timeout) && !timeout.belongs_to_episode_of(&maintenance));
    }

    #[test]
    fn a_failure_that_says_nothing_about_the_key_does_not_concern_its_credentials() {
        for &reason in Reason::VARIANTS {
            let expected = reason.is_refusal() || matches!(reason, Reason::Login | Reason::Credential);
            assert_eq!(failure(reason, None).concerns_credentials(), expected, "{reason}");
        }
        let login = |cause| Failure { underlying: Some(cause), ..Failure::new(Reason::Login, "") };
        assert!(login(Reason::Token).concerns_credentials());
        assert!(
            !login(Reason::Maintenance).concerns_credentials(),
            "only the log-in route is under maintenance"
        );
    }
}
