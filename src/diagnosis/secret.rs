//! The verdict about a partner's secret.

use super::{Blame, Verdict};
use crate::key_state::SecretState;
use crate::language::{Language, text};

/// A secret that can't be read here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnreadableSecret<'a> {
    /// Why.
    pub detail: &'a str,
    /// Whether it was read before, so that the probes continue with that value.
    pub last_value_serves: bool,
}

/// The verdict about a partner's secret. `unreadable`: why it can't be read here, if it can't.
pub(crate) fn diagnose_secret(
    state: SecretState,
    unreadable: Option<UnreadableSecret<'_>>,
    language: Language,
) -> Verdict {
    if let Some(UnreadableSecret { detail, last_value_serves }) = unreadable {
        return if last_value_serves {
            Blame::Exporter.verdict(
                text!(language, "secret-lost", detail = detail),
                text!(language, "credential-lost-action"),
            )
        } else {
            Blame::Exporter.verdict(
                text!(language, "secret-unreadable", detail = detail),
                text!(language, "secret-unreadable-action"),
            )
        };
    }
    match state {
        SecretState::Rejected => Blame::Secret.verdict(
            text!(language, "partner-secret-rejected"),
            text!(language, "partner-secret-rejected-action"),
        ),
        SecretState::Pending => Blame::Secret
            .verdict(text!(language, "partner-secret-pending"), text!(language, "secret-pending-action")),
        SecretState::Unknown | SecretState::Active => Verdict::no_problem(text!(language, "secret-fine")),
    }
}
