//! Verdicts about failures on the way to the API, and about an API that fails.

use super::{Blame, FailedProbe, Verdict, code};
use crate::language::{Language, text};
use crate::report::Phase;

pub(super) fn tls_failed(probe: &FailedProbe<'_>, language: Language) -> Verdict {
    if probe.certificate_expired {
        return Blame::Platform
            .verdict(text!(language, "certificate-expired"), text!(language, "certificate-expired-action"));
    }
    let detail = probe.failure.detail.as_str();
    Blame::Network.verdict(text!(language, "tls", detail = detail), text!(language, "tls-action"))
}

pub(super) fn timed_out(probe: &FailedProbe<'_>, language: Language) -> Verdict {
    let detail = probe.failure.detail.as_str();
    if probe.reached >= Some(Phase::Processing) {
        return Blame::Platform.verdict(
            text!(language, "timeout-of-api", detail = detail),
            text!(language, "timeout-of-api-action"),
        );
    }
    Blame::Network.verdict(
        text!(language, "timeout-of-network", detail = detail),
        text!(language, "timeout-of-network-action"),
    )
}

pub(super) fn edge_responded(probe: &FailedProbe<'_>, language: Language) -> Verdict {
    let detail = probe.failure.detail.as_str();
    if probe.from_api {
        return Blame::Platform
            .verdict(text!(language, "edge-of-api", detail = detail), text!(language, "wait-action"));
    }
    Blame::Network.verdict(text!(language, "edge", detail = detail), text!(language, "edge-action"))
}

pub(super) fn platform_failed(probe: &FailedProbe<'_>, language: Language) -> Verdict {
    let detail = probe.failure.detail.as_str();
    Blame::Platform.verdict(text!(language, "api-fails", detail = detail), text!(language, "wait-action"))
}

/// The health probe sends no credentials, so the API refuses the address of this machine. Only MyUnisoft can end
/// that.
pub(super) fn health_refused(probe: &FailedProbe<'_>, language: Language) -> Verdict {
    match probe.status {
        Some(401 | 403 | 429) => Blame::Platform.verdict(
            text!(language, "health-refused", code = code(probe, language)),
            text!(language, "health-refused-action"),
        ),
        _ => platform_failed(probe, language),
    }
}
