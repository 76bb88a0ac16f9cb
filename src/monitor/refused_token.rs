//! Which responses may mean that a log-in's token ended early.

use std::sync::Arc;

use crate::partner_api::error::ErrorCode;
use crate::report::ProbeReport;

/// The codes with which a route says that the token is expired or unreadable. They are no evidence about the key:
/// `ERR-…` codes are.
const TOKEN_CODES: [&str; 4] = ["TOKEN1", "TOKEN2", "USER7", "GBL15"];
/// The beginning of codes that refuse a right, although often with the status 401.
const RIGHT_CODES: &str = "DROIT";

/// A response to a probe that may mean that the token ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RefusedToken {
    probe: Arc<str>,
    code: ErrorCode,
    certainty: Certainty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Certainty {
    /// The API refuses the token, the folder behind it or the access: evidence about the key too.
    Evidence,
    /// The code is about the token.
    Code,
    /// The status is that of a refused token, and the code is not documented.
    Status,
}

impl RefusedToken {
    /// `None` if the response accepts the token or is about something else.
    pub(super) fn in_report(probe: &Arc<str>, report: &ProbeReport) -> Option<Self> {
        let judgement = report.judgement.as_ref()?;
        let code = judgement.outcome.as_ref().err()?.code.as_ref()?;
        // The evidence of an error is always a refusal.
        let certainty = if judgement.key.is_some() {
            Certainty::Evidence
        } else if TOKEN_CODES.contains(&code.as_str()) {
            Certainty::Code
        } else {
            let is_other = code.documented().is_some() || code.as_str().starts_with(RIGHT_CODES);
            if is_other || report.status != Some(401) {
                return None;
            }
            Certainty::Status
        };
        Some(Self { probe: Arc::clone(probe), code: code.clone(), certainty })
    }

    pub(super) const fn code(&self) -> &ErrorCode {
        &self.code
    }

    /// Whether the response is evidence about the key, if the token did not end early.
    pub(super) fn is_evidence(&self) -> bool {
        self.certainty == Certainty::Evidence
    }

    /// Whether the response is about the token, and not perhaps about the route.
    pub(super) fn is_certain(&self) -> bool {
        self.certainty != Certainty::Status
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;
    use crate::confirmation::Statement as _;
    use crate::partner_api::KeyInfoMode;
    use crate::partner_api::error::DocumentedCode;
    use crate::partner_api::judge::{KeyEvidence, RequestKind};
    use crate::test_support::{at, judge_error, judge_response, report};

    fn refused(status: u16, code: &str) -> Option<RefusedToken> {
        let judgement = judge_error(RequestKind::KeyInfo(KeyInfoMode::Extended), status, code);
        let outcome = judgement.outcome.clone();
        let report =
            ProbeReport { status: Some(status), judgement: Some(judgement), ..report(at(0), outcome) };
        RefusedToken::in_report(&"key_info".into(), &report)
    }

    #[test]
    fn a_refused_token_is_recognized_in_whatever_words() {
        for (status, code, is_evidence, is_certain) in [
            (401, "ERR-FIRM-TOKEN-NOT-FOUND", true, true),
            (400, "ERR-INVALID-FIRM-JWT", true, true),
            (404, "ERR-FOLDER-NOT-FOUND", true, true),
            (403, "ERR-FORBIDDEN-ACCESS", true, true),
            (403, "ERR-THIRD-PARTY-DISCONNECTED", true, true),
            (400, "TOKEN1", false, true),
            (400, "TOKEN2", false, true),
            (401, "USER7", false, true),
            (500, "GBL15", false, true),
            (401, "AUTH1", false, false),
        ] {
            let refused = refused(status, code).unwrap_or_else(|| panic!("{status} {code}"));
            assert_eq!((refused.is_evidence(), refused.is_certain()), (is_evidence, is_certain), "{code}");
            assert_eq!(refused.code().as_str(), code);
        }
    }

    #[test]
    fn the_evidence_of_each_documented_error_is_a_refusal() {
        for code in DocumentedCode::VARIANTS {
            let judgement = judge_error(RequestKind::KeyInfo(KeyInfoMode::Extended), 401, code.into_str());
            assert!(judgement.key.is_none_or(KeyEvidence::is_refusal), "{code}");
        }
    }

    #[test]
    fn a_success_or_an_error_without_a_code_is_not_about_the_token() {
        let kind = RequestKind::KeyInfo(KeyInfoMode::Extended);
        for (status, body) in [(200, r#"{"isActivated":true}"#), (401, "<html>"), (404, "")] {
            let judgement = judge_response(kind, status, body);
            let outcome = judgement.outcome.clone();
            let report =
                ProbeReport { status: Some(status), judgement: Some(judgement), ..report(at(0), outcome) };
            assert_eq!(RefusedToken::in_report(&"key_info".into(), &report), None, "{status}");
        }
    }

    #[test]
    fn another_refusal_is_not_about_the_token() {
        for (status, code) in [
            (401, "DROIT1"),
            (401, "DROIT5"),
            (401, "ERR-INVALID-SECRET"),
            (401, "ERR-FORBIDDEN-ROUTE"),
            (403, "EXERCICE5"),
            (400, "SOCIETE12"),
        ] {
            assert_eq!(refused(status, code), None, "{status} {code}");
        }
    }
}
