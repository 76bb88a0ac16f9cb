//! Makes the verdict: what is wrong, whose fault it is, and what to do next. It reads no shared state and no
//! clock.
//!
//! The reason of a failure says what was seen. The fault follows from it only together with the state of the
//! key, the state of the partner's secret, and the last phase of the probe. The page, its JSON and the command
//! `probe` show the same verdict.

mod network;
mod places;
mod refusals;
mod secret;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde_with::SerializeDisplay;
use strum::{Display, IntoStaticStr, VariantArray};

use crate::config::KEY_INFO;
use crate::format::localized_time;
use crate::key_state::{KeyState, SecretState};
use crate::language::{Language, text};
use crate::partner_api::error::{DocumentedCode, ErrorCode, RouteCode};
use crate::partner_api::failure::{Failure, Reason};
use crate::report::Phase;

use network::{edge_responded, health_refused, platform_failed, timed_out, tls_failed};
pub(crate) use places::TokenOrigin;
pub(crate) use secret::{UnreadableSecret, diagnose_secret};

#[cfg(test)]
mod tests;

/// Where the problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, IntoStaticStr, VariantArray, SerializeDisplay)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub(crate) enum Blame {
    /// MyUnisoft's API.
    Platform,
    /// Everything between the exporter and the API: name resolution, network, proxy, firewall.
    Network,
    /// The partner's secret, and therefore all its keys.
    Secret,
    /// This key: its token, its activation, its log-in.
    Key,
    /// This key's permission for one route, or a refusal by the route itself.
    Route,
    /// The key's request budget.
    Budget,
    /// The machine or the files of this exporter.
    Exporter,
}

/// The reasons that say something about the key or its partner, the most important first. A test compares them
/// with the verdicts.
const KEY_REASONS: [Reason; 8] = [
    Reason::Secret,
    Reason::Token,
    Reason::Login,
    Reason::Forbidden,
    Reason::RateLimited,
    Reason::ApiError,
    Reason::UnexpectedBody,
    Reason::UnexpectedStatus,
];

/// What the page says about the API or a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    /// Where the problem is; `None` if there is no problem, or nothing is known yet.
    pub blame: Option<Blame>,
    /// What is wrong, in one sentence.
    pub summary: String,
    /// What to do next, if anything.
    pub action: Option<String>,
}

/// The last run of a probe, which failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedProbe<'a> {
    /// The probe's name.
    pub probe: &'a str,
    pub failure: &'a Failure,
    /// The last phase that the probe reached; `None` if it could not be sent.
    pub reached: Option<Phase>,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// Whether the response had a request ID, as all responses of the API do.
    pub from_api: bool,
    /// Whether the certificate of the API's host has expired.
    pub certificate_expired: bool,
}

/// Everything that the verdict about a key depends on.
#[derive(Clone, Debug)]
pub(crate) struct KeyFacts<'a> {
    /// The language of the verdict.
    pub language: Language,
    pub state: KeyState,
    /// The state of the partner's secret.
    pub secret: SecretState,
    /// Without [`Self::outdated`].
    pub failed_probes: Vec<FailedProbe<'a>>,
    /// The refusals that an acceptance has overtaken, if there are any.
    pub outdated: Option<OutdatedRefusals<'a>>,
    /// The names of the probes whose last run shows that the API accepted key and secret.
    pub accepted_probes: Vec<&'a str>,
    /// Whether the key worked before, and was refused since.
    pub is_broken: bool,
    pub origin: TokenOrigin,
    /// Which secret, token or password can't be read any more, and why. The last value that was read serves.
    pub unreadable: Option<Arc<str>>,
    pub answers: Answers,
    /// Whether the last due probe was skipped to save the request budget.
    pub over_budget: bool,
    /// Whether the last due probe was skipped because the exporter has no file descriptors, ports or memory.
    pub out_of_resources: bool,
}

/// Refusals of a key or a secret that the API has accepted since.
#[derive(Clone, Debug)]
pub(crate) struct OutdatedRefusals<'a> {
    /// The names of the probes that were refused, and have not run again since the API accepts the key or the secret.
    pub probes: Vec<&'a str>,
    /// Since when the API accepts it.
    pub accepted_since: SystemTime,
    /// Whether the key worked before it was refused.
    pub worked_before: bool,
}

/// What is known from the last run of each probe of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// No probe ran yet.
    None,
    /// A probe succeeded although its response had no request ID: that does not prove that the API wrote it.
    WithoutRequestId,
    Other,
}

impl Verdict {
    fn no_problem(summary: String) -> Self {
        Self { blame: None, summary, action: None }
    }
}

impl Blame {
    fn verdict(self, summary: String, action: String) -> Verdict {
        Verdict { blame: Some(self), summary, action: Some(action) }
    }
}

/// The verdict about the API, from its health route.
///
/// `failed`: the last health probe, if it failed. `out_of_resources`: the last due one was skipped because the
/// exporter has no file descriptors, ports or memory.
pub(crate) fn diagnose_api(
    language: Language,
    was_probed: bool,
    out_of_resources: bool,
    failed: Option<FailedProbe<'_>>,
) -> Verdict {
    if out_of_resources {
        return no_resources(language);
    }
    match failed {
        Some(probe) => failure_verdict(&probe, None, language),
        None if was_probed => Verdict::no_problem(text!(language, "api-up")),
        None => Verdict::no_problem(text!(language, "api-unprobed")),
    }
}

pub(crate) fn diagnose_key(facts: &KeyFacts<'_>) -> Verdict {
    let language = facts.language;
    if facts.out_of_resources {
        return no_resources(language);
    }
    let bad_state = facts.state.is_problem();
    match most_important(&facts.failed_probes) {
        // The failures of a key that is lost or not activated are consequences of its state. The state also
        // stays true while the API cannot be reached.
        Some(probe) if bad_state && !concerns_credentials(probe) => state_verdict(facts),
        Some(probe) => failure_verdict(probe, Some(facts), language),
        None if facts.over_budget && !bad_state => skipped_for_budget(language),
        None => state_verdict(facts),
    }
}

/// The failed probe that the verdict is about: a problem of the key or of its partner comes first.
pub(crate) fn most_important<'a, 'p>(failed: &'p [FailedProbe<'a>]) -> Option<&'p FailedProbe<'a>> {
    failed.iter().min_by_key(|probe| rank(probe).unwrap_or(usize::MAX))
}

/// Whether the failure is about the key or its partner: a failure of the API or of the network does not explain
/// it.
pub(crate) fn concerns_key(probe: &FailedProbe<'_>) -> bool {
    rank(probe).is_some()
}

/// The importance of a problem of the key or of its partner, 0 first; `None` for all other failures.
fn rank(probe: &FailedProbe<'_>) -> Option<usize> {
    let reason = probe.failure.reason;
    let is_unexpected = matches!(reason, Reason::UnexpectedBody | Reason::UnexpectedStatus);
    let is_other = (is_unexpected && !refusals::is_unfit_canary(probe))
        || is_platform_fault(probe)
        || probe.failure.underlying.is_some_and(|cause| cause != Reason::Token);
    if is_other { None } else { KEY_REASONS.iter().position(|reason| *reason == probe.failure.reason) }
}

/// Whether the failure is about the secret, the token or the log-in.
fn concerns_credentials(probe: &FailedProbe<'_>) -> bool {
    matches!(probe.failure.reason, Reason::Secret | Reason::Token | Reason::Login) && concerns_key(probe)
}

/// `facts`: those of the key; `None` for the health probe, which has no key.
fn failure_verdict(probe: &FailedProbe<'_>, facts: Option<&KeyFacts<'_>>, language: Language) -> Verdict {
    let detail = || probe.failure.detail.as_str();
    match (probe.failure.reason, facts) {
        (Reason::Dns, _) => {
            Blame::Network.verdict(text!(language, "dns", detail = detail()), text!(language, "dns-action"))
        }
        (Reason::Connect, _) => Blame::Network
            .verdict(text!(language, "connect", detail = detail()), text!(language, "connect-action")),
        (Reason::Tls, _) => tls_failed(probe, language),
        (Reason::Timeout, _) => timed_out(probe, language),
        (Reason::Io, _) => {
            Blame::Network.verdict(text!(language, "io", detail = detail()), text!(language, "io-action"))
        }
        (Reason::Redirect, _) => Blame::Network
            .verdict(text!(language, "redirect", detail = detail()), text!(language, "redirect-action")),
        (Reason::Edge, _) => edge_responded(probe, language),
        (Reason::UnexpectedBody | Reason::UnexpectedStatus, _) if !probe.from_api => Blame::Network
            .verdict(text!(language, "foreign", detail = detail()), text!(language, "foreign-action")),
        (Reason::Credential, _) => credential_missing(detail(), language),
        (Reason::Maintenance, _) => {
            Blame::Platform.verdict(text!(language, "maintenance"), text!(language, "maintenance-action"))
        }
        // Every reason that gets here also needs a verdict about a key, so `_` hides no new one.
        (_, None) => health_refused(probe, language),
        (Reason::UnexpectedBody | Reason::UnexpectedStatus, Some(_)) => {
            refusals::unexpected_answer(probe, language)
        }
        (Reason::Secret, Some(facts)) => secret_refused(facts, probe),
        (Reason::Token, Some(facts)) => token_refused(facts, probe),
        (Reason::Login, Some(_)) => login_failed(probe, language),
        (Reason::Forbidden, Some(facts)) => route_forbidden(facts, probe),
        (Reason::RateLimited, Some(_)) => rate_limited(probe, language),
        (Reason::ApiError, Some(facts)) => api_error(probe, facts),
    }
}

fn no_resources(language: Language) -> Verdict {
    Blame::Exporter.verdict(text!(language, "no-resources"), text!(language, "no-resources-action"))
}

fn secret_refused(facts: &KeyFacts<'_>, probe: &FailedProbe<'_>) -> Verdict {
    if let Some(verdict) = refusals::contradicted(probe, facts) {
        return verdict;
    }
    let language = facts.language;
    let code = code(probe, language);
    match facts.secret {
        SecretState::Rejected => Blame::Secret.verdict(
            text!(language, "secret-rejected", code = code),
            text!(language, "secret-rejected-action"),
        ),
        SecretState::Active => Blame::Key.verdict(
            text!(language, "secret-mismatch", code = code),
            text!(language, "secret-mismatch-action"),
        ),
        SecretState::Unknown | SecretState::Pending => Blame::Secret.verdict(
            text!(language, "secret-pending", code = code),
            text!(language, "secret-pending-action"),
        ),
    }
}

fn token_refused(facts: &KeyFacts<'_>, probe: &FailedProbe<'_>) -> Verdict {
    if documented_code(probe) == Some(DocumentedCode::TokenActivationFailure) {
        return activation_failed(facts, probe);
    }
    let (language, origin) = (facts.language, facts.origin);
    refusals::contradicted(probe, facts).or_else(|| key_state_problem(facts)).unwrap_or_else(|| {
        Blame::Key.verdict(
            text!(language, "token-refused", code = code(probe, language)),
            text!(
                language,
                "token-refused-action",
                screen = origin.screen(),
                new_token = origin.new_token(language)
            ),
        )
    })
}

/// The API tried to activate the key and failed. This moves no state, so the state decides what the verdict says: the
/// next request can activate the key, and the token need not be replaced.
fn activation_failed(facts: &KeyFacts<'_>, probe: &FailedProbe<'_>) -> Verdict {
    let language = facts.language;
    refusals::contradicted(probe, facts).or_else(|| key_state_problem(facts)).unwrap_or_else(|| {
        Blame::Key.verdict(
            text!(language, "activation-failed", code = code(probe, language)),
            wait_for_activation(facts),
        )
    })
}

/// What to do about a key that is not activated.
fn wait_for_activation(facts: &KeyFacts<'_>) -> String {
    text!(facts.language, "pending-action", screen = facts.origin.screen())
}

fn login_failed(probe: &FailedProbe<'_>, language: Language) -> Verdict {
    let detail = probe.failure.detail.as_str();
    match probe.failure.underlying {
        None => Blame::Key.verdict(
            text!(language, "login-refused", detail = detail),
            text!(language, "login-refused-action"),
        ),
        Some(Reason::Token) => Blame::Key.verdict(
            text!(language, "login-token-ended", detail = detail),
            text!(language, "login-token-ended-action"),
        ),
        Some(Reason::Maintenance | Reason::ApiError | Reason::RateLimited) => Blame::Platform.verdict(
            text!(language, "login-route-fails", detail = detail),
            text!(language, "login-route-fails-action"),
        ),
        Some(
            Reason::Dns
            | Reason::Connect
            | Reason::Tls
            | Reason::Timeout
            | Reason::Io
            | Reason::Redirect
            | Reason::Edge
            | Reason::UnexpectedStatus
            | Reason::UnexpectedBody
            | Reason::Secret
            | Reason::Forbidden
            | Reason::Login
            | Reason::Credential,
        ) => Blame::Network.verdict(
            text!(language, "login-unanswered", detail = detail),
            text!(language, "login-unanswered-action"),
        ),
    }
}

fn route_forbidden(facts: &KeyFacts<'_>, probe: &FailedProbe<'_>) -> Verdict {
    if facts.state == KeyState::Forbidden {
        return state_verdict(facts);
    }
    if let Some(verdict) = refusals::contradicted(probe, facts) {
        return verdict;
    }
    let (language, screen) = (facts.language, facts.origin.screen());
    Blame::Route.verdict(
        if facts.state == KeyState::Active {
            text!(language, "route-forbidden-key-works", probe = probe.probe)
        } else {
            text!(language, "route-forbidden", probe = probe.probe)
        },
        if probe.probe == KEY_INFO {
            text!(language, "route-forbidden-key-info-action", screen = screen)
        } else {
            text!(language, "route-forbidden-action", screen = screen)
        },
    )
}

fn rate_limited(probe: &FailedProbe<'_>, language: Language) -> Verdict {
    let code = documented_code(probe);
    if matches!(
        code,
        Some(DocumentedCode::TooManyConcurrentRequest | DocumentedCode::TooManyConcurrentRequests)
    ) {
        return Blame::Budget.verdict(text!(language, "concurrent"), text!(language, "concurrent-action"));
    }
    Blame::Budget.verdict(text!(language, "rate-limited"), text!(language, "rate-limited-action"))
}

fn api_error(probe: &FailedProbe<'_>, facts: &KeyFacts<'_>) -> Verdict {
    match refusals::route_code(probe) {
        Some(code) => refusals::route_refused(probe, facts, code),
        None if is_platform_fault(probe) => platform_failed(probe, facts.language),
        None => refusals::undocumented_refusal(probe, facts),
    }
}

/// `detail` says which secret, token or password can't be read here, and why. Nothing was sent.
fn credential_missing(detail: &str, language: Language) -> Verdict {
    Blame::Exporter.verdict(
        text!(language, "credential-missing", detail = detail),
        text!(language, "credential-missing-action"),
    )
}

/// A secret, token or password that can't be read, although no probe has failed because of it.
fn unreadable(detail: &str, facts: &KeyFacts<'_>) -> Verdict {
    let language = facts.language;
    if facts.answers == Answers::None {
        return credential_missing(detail, language);
    }
    Blame::Exporter.verdict(
        text!(language, "credential-lost", detail = detail),
        text!(language, "credential-lost-action"),
    )
}

fn skipped_for_budget(language: Language) -> Verdict {
    Blame::Budget.verdict(text!(language, "skipped"), text!(language, "skipped-action"))
}

/// The verdict that follows from the state alone.
fn state_verdict(facts: &KeyFacts<'_>) -> Verdict {
    let language = facts.language;
    let unreadable = || facts.unreadable.as_deref().map(|detail| unreadable(detail, facts));
    let broken = || facts.is_broken.then(|| replacement_not_judged(language));
    key_state_problem(facts).or_else(unreadable).or_else(broken).unwrap_or_else(|| {
        if let Some(outdated) = &facts.outdated {
            return accepted_again(facts, outdated);
        }
        Verdict::no_problem(match facts.answers {
            _ if facts.state == KeyState::Active => text!(language, "key-works"),
            Answers::None => text!(language, "key-unprobed"),
            Answers::WithoutRequestId => text!(language, "key-unproven"),
            Answers::Other => text!(language, "key-unknown"),
        })
    })
}

/// The API accepts what it refused before, but not every probe has run since.
fn accepted_again(facts: &KeyFacts<'_>, outdated: &OutdatedRefusals<'_>) -> Verdict {
    let language = facts.language;
    let since = localized_time(outdated.accepted_since, language);
    let (number, probes) = (outdated.probes.len(), outdated.probes.join(", "));
    Verdict::no_problem(if facts.state == KeyState::Active && outdated.worked_before {
        text!(language, "key-works-again", since = since, number = number, probes = probes)
    } else if facts.state == KeyState::Active {
        text!(language, "key-works-now", since = since, number = number, probes = probes)
    } else {
        text!(language, "secret-accepted-again", since = since, number = number, probes = probes)
    })
}

/// The key was refused, and got another token or one that worked before.
fn replacement_not_judged(language: Language) -> Verdict {
    Blame::Key.verdict(text!(language, "replacement"), text!(language, "replacement-action"))
}

/// `None` for the states that are no problem.
fn key_state_problem(facts: &KeyFacts<'_>) -> Option<Verdict> {
    let (language, origin) = (facts.language, facts.origin);
    let screen = origin.screen();
    let new_token = || origin.new_token(language);
    let (summary, action) = match facts.state {
        KeyState::Unknown | KeyState::Active => return None,
        KeyState::Pending => (text!(language, "pending"), wait_for_activation(facts)),
        KeyState::NotFound => (
            text!(language, "not-found"),
            text!(language, "not-found-action", screen = screen, new_token = new_token()),
        ),
        KeyState::Revoked => (
            text!(language, "revoked"),
            text!(language, "revoked-action", screen = screen, new_token = new_token()),
        ),
        KeyState::Disconnected => (
            text!(language, "disconnected"),
            text!(language, "disconnected-action", journal = origin.journal(language)),
        ),
        KeyState::FolderNotFound => (
            text!(language, "folder-not-found"),
            text!(language, "folder-not-found-action", new_token = new_token()),
        ),
        KeyState::Invalid => {
            (text!(language, "invalid"), text!(language, "invalid-action", new_token = new_token()))
        }
        KeyState::Forbidden => {
            (text!(language, "forbidden"), text!(language, "forbidden-action", screen = screen))
        }
    };
    Some(Blame::Key.verdict(summary, action))
}

/// Whether the API itself failed: its error code or its HTTP status says so.
fn is_platform_fault(probe: &FailedProbe<'_>) -> bool {
    if let Some(code) = refusals::route_code(probe) {
        return code == RouteCode::Gbl1;
    }
    let documented = documented_code(probe);
    probe.failure.reason == Reason::ApiError
        && (probe.failure.code.is_none()
            || matches!(documented, Some(DocumentedCode::Http | DocumentedCode::Internal))
            || (documented.is_none() && probe.status.is_some_and(|status| status >= 500)))
}

fn documented_code(probe: &FailedProbe<'_>) -> Option<DocumentedCode> {
    probe.failure.code.as_ref().and_then(ErrorCode::documented)
}

/// The API's error code, for the end of a sentence.
fn code<'a>(probe: &FailedProbe<'a>, language: Language) -> Cow<'a, str> {
    match probe.failure.code.as_ref() {
        Some(code) => code.as_str().into(),
        None => text!(language, "no-code").into(),
    }
}
