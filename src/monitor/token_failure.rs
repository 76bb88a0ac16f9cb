//! Why there is no token or secret for a request.

use tokio::time::Duration;

use crate::partner_api::error::{DocumentedCode, ErrorCode};
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::login::{LoginRefusal, Refused};
use crate::partner_api::request_id::RequestId;

/// So many firms are named in a text.
const MAX_LISTED_FIRMS: usize = 20;

#[derive(Clone, Debug)]
pub(super) struct TokenFailure {
    pub(super) failure: Failure,
    pub(super) request_id: Option<RequestId>,
}

impl TokenFailure {
    /// The token or the password cannot be read, as `problem` says. Nothing was sent.
    pub(super) fn unreadable(problem: String) -> Self {
        Self { failure: Failure::new(Reason::Credential, problem), request_id: None }
    }

    /// The exporter is stopping.
    pub(super) fn interrupted() -> Self {
        Self::new("the exporter is stopping", None, None)
    }

    /// A person must act before the log-in can succeed.
    pub(super) fn refused(refused: Refused) -> Self {
        let Refused { refusal, firms, code, request_id } = refused;
        let text = match refusal {
            LoginRefusal::FirmSelection if !firms.is_empty() => firms_to_choose(&firms),
            _ => what_to_do(refusal).to_owned(),
        };
        Self::new(&text, code, request_id)
    }

    /// The same refusal, in an earlier process or in another one.
    pub(super) fn refused_before(refusal: LoginRefusal) -> Self {
        Self::new(&format!("at the last try, {}", what_to_do(refusal)), None, None)
    }

    /// The log-in route gave no answer that says anything about the account.
    pub(super) fn unavailable(code: Option<ErrorCode>, request_id: Option<RequestId>) -> Self {
        let cause = match code.as_ref().map(ErrorCode::documented) {
            Some(Some(DocumentedCode::UnderMaintenance)) => Reason::Maintenance,
            Some(_) => Reason::ApiError,
            None => Reason::Edge,
        };
        let text = if code.is_some() {
            "the log-in route cannot answer now"
        } else {
            "the response of the log-in route is not as documented"
        };
        Self::new(text, code, request_id).because_of(cause)
    }

    /// The log-in route could not be reached.
    pub(super) fn unreachable(failure: &Failure) -> Self {
        Self::new(&format!("the log-in failed: {}", failure.detail), None, None).because_of(failure.reason)
    }

    /// The API no longer accepts a token that has not expired, and another log-in is not allowed yet.
    pub(super) fn tokens_end_early(left: Duration) -> Self {
        let text = "log-ins of this account end one another: the API refused a token before its time, and the \
                    token that replaced it too";
        Self::new(text, None, None).because_of(Reason::Token).with_retry_time(Some(left))
    }

    /// A failed log-in. Its error code is appended to `text`.
    fn new(text: &str, code: Option<ErrorCode>, request_id: Option<RequestId>) -> Self {
        let detail = code.as_ref().map_or_else(|| text.to_owned(), |code| format!("{text} ({code})"));
        Self { failure: Failure { code, ..Failure::new(Reason::Login, detail) }, request_id }
    }

    /// The account is not the cause.
    fn because_of(mut self, cause: Reason) -> Self {
        self.failure.underlying = Some(cause);
        self
    }

    /// The same failure as that of the whole account.
    pub(super) fn of_account(mut self) -> Self {
        self.failure.detail.push_str("; two firms of the account were refused, so no firm of it is tried");
        self
    }

    /// The same failure, with the time until the next try; `None` means that this log-in is not tried again.
    pub(super) fn with_retry_time(&self, left: Option<Duration>) -> Self {
        let next_try = match left {
            Some(left) => {
                let left = Duration::from_secs(left.as_secs() + 1);
                format!("the next try is in {}", humantime::format_duration(left))
            }
            None => {
                "to avoid locking the account, there is no further try until mail, password or firm change, \
                     or the configuration is reloaded by hand"
                    .to_owned()
            }
        };
        let mut failure = self.clone();
        failure.failure.detail = format!("{}; {next_try}", self.failure.detail);
        failure
    }
}

/// What happened, and who must do what.
const fn what_to_do(refusal: LoginRefusal) -> &'static str {
    match refusal {
        LoginRefusal::Credentials => "the log-in was refused: check mail, password and firm",
        LoginRefusal::FirmSelection => {
            "the account has access to several firms: set one of them in login.firm"
        }
        LoginRefusal::UpdatePassword => {
            "MyUnisoft asks for a new password: a person must log in to MyUnisoft's screen once with this account, \
             change the password there, and give the exporter the new one"
        }
        LoginRefusal::RequireOtp => {
            "MyUnisoft asks for a one-time password (OTP), which the exporter does not have: a person must have the \
             OTP turned off for this account, or give the exporter an account without one"
        }
        LoginRefusal::RequireCguApproval => {
            "MyUnisoft asks for the approval of its terms (CGU): a person must log in to MyUnisoft's screen once with \
             this account, accept them, and then reload the exporter's configuration by hand"
        }
    }
}

fn firms_to_choose(firms: &[String]) -> String {
    let listed = firms.get(..MAX_LISTED_FIRMS).unwrap_or(firms).join(", ");
    let more = if firms.len() > MAX_LISTED_FIRMS { ", …" } else { "" };
    format!(
        "the account has access to several firms: set the id of one of them in login.firm ({listed}{more})"
    )
}
