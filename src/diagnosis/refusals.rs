//! Verdicts about refusals that concern one route: they move no state of a key or secret.

use super::{Blame, FailedProbe, KeyFacts, Verdict, code, platform_failed};
use crate::config::KEY_INFO;
use crate::key_state::{KeyState, SecretState};
use crate::language::{Language, text};
use crate::partner_api::error::{ErrorCode, RouteCode};
use crate::partner_api::failure::Reason;

/// The documented code of a route, if the failure has one.
pub(super) fn route_code(probe: &FailedProbe<'_>) -> Option<RouteCode> {
    probe.failure.code.as_ref().and_then(ErrorCode::of_route)
}

/// The verdict about a documented code of a route.
pub(super) fn route_refused(probe: &FailedProbe<'_>, facts: &KeyFacts<'_>, route_code: RouteCode) -> Verdict {
    let (name, origin, language) = (probe.probe, facts.origin, facts.language);
    match route_code {
        RouteCode::Societe12 => {
            Blame::Route.verdict(text!(language, "societe12"), text!(language, "societe12-action"))
        }
        RouteCode::Societe13 => {
            Blame::Route.verdict(text!(language, "societe13"), text!(language, "societe13-action"))
        }
        RouteCode::Token1 | RouteCode::Token2 | RouteCode::Gbl15 => Blame::Route.verdict(
            text!(language, "route-token", probe = name, code = code(probe, language)),
            text!(language, "route-token-action", new_token = origin.new_token(language)),
        ),
        RouteCode::Droit1 | RouteCode::Droit5 => Blame::Route.verdict(
            text!(language, "route-right", probe = name, code = code(probe, language)),
            text!(language, "route-right-action", screen = origin.screen()),
        ),
        RouteCode::Gbl1 => {
            Blame::Platform.verdict(text!(language, "gbl1", probe = name), text!(language, "wait-action"))
        }
        RouteCode::Gbl2 => {
            Blame::Route.verdict(text!(language, "gbl2", probe = name), text!(language, "gbl2-action"))
        }
        RouteCode::Exercice5 => Blame::Route
            .verdict(text!(language, "exercice5", probe = name), text!(language, "exercice5-action")),
    }
}

/// The route refuses the request with a code that has no documented meaning.
pub(super) fn undocumented_refusal(probe: &FailedProbe<'_>, facts: &KeyFacts<'_>) -> Verdict {
    let language = facts.language;
    let is_about_key = probe.status == Some(401) || probe.probe == KEY_INFO;
    if is_about_key && facts.accepted_probes.is_empty() {
        return Blame::Key.verdict(
            text!(language, "undocumented-code", code = code(probe, language)),
            text!(language, "undocumented-code-action"),
        );
    }
    Blame::Route.verdict(
        text!(language, "route-refuses", probe = probe.probe, code = code(probe, language)),
        text!(language, "route-refuses-action"),
    )
}

/// A refusal of the key or the secret that another probe of the same key contradicts, or contradicted before: the state
/// stays `active`, so the verdict must not say that the key is lost. `None` if nothing contradicts the refusal.
pub(super) fn contradicted(probe: &FailedProbe<'_>, facts: &KeyFacts<'_>) -> Option<Verdict> {
    let language = facts.language;
    let is_secret = probe.failure.reason == Reason::Secret;
    let stays_active = facts.state == KeyState::Active && (!is_secret || facts.secret == SecretState::Active);
    if !stays_active || !probe.failure.refuses_key_or_secret() {
        return None;
    }
    if facts.accepted_probes.is_empty() {
        return unanswered(probe, facts).filter(|_| !is_secret);
    }
    let refused: Vec<_> =
        facts.failed_probes.iter().filter(|probe| probe.failure.refuses_key_or_secret()).collect();
    let only_key_info_accepts = facts.accepted_probes == [KEY_INFO];
    if only_key_info_accepts && refused.len() == facts.failed_probes.len() {
        let refusals: Vec<_> =
            refused.iter().map(|probe| format!("{} ({})", probe.probe, code(probe, language))).collect();
        return Some(Blame::Key.verdict(
            text!(language, "only-key-info", refusals = refusals.join(", ")),
            text!(language, "only-key-info-action", journal = facts.origin.journal(language)),
        ));
    }
    let (is_only, object) = (refused.len() == 1, if is_secret { "secret" } else { "key" });
    Some(Blame::Route.verdict(
        text!(
            language,
            "contradicted",
            only = is_only.to_string(),
            object = object,
            probe = probe.probe,
            code = code(probe, language),
            accepted = facts.accepted_probes.join(", "),
        ),
        if probe.probe == KEY_INFO {
            text!(language, "contradicted-key-info-action")
        } else {
            text!(language, "contradicted-action")
        },
    ))
}

/// A refusal of the key that no other probe confirms or contradicts now. `None` if all probes refuse the key.
fn unanswered(probe: &FailedProbe<'_>, facts: &KeyFacts<'_>) -> Option<Verdict> {
    let (language, origin) = (facts.language, facts.origin);
    let others = facts.failed_probes.iter().filter(|other| !other.failure.refuses_key_or_secret());
    let others: Vec<_> =
        others.map(|other| format!("{} ({})", other.probe, other.failure.reason.into_str())).collect();
    (!others.is_empty()).then(|| {
        Blame::Key.verdict(
            text!(
                language,
                "unconfirmed",
                probe = probe.probe,
                code = code(probe, language),
                others = others.join(", ")
            ),
            text!(
                language,
                "unconfirmed-action",
                screen = origin.screen(),
                new_token = origin.new_token(language)
            ),
        )
    })
}

/// Whether the API answers a canary with something that no canary can use: a file, no body, or a refusal of HEAD that
/// has no body. The configuration chose the route.
pub(super) fn is_unfit_canary(probe: &FailedProbe<'_>) -> bool {
    let is_own_answer = probe.from_api && probe.probe != KEY_INFO;
    let is_server_failure = probe.status.is_some_and(|status| status >= 500);
    is_own_answer
        && (probe.failure.reason == Reason::UnexpectedBody
            || (probe.failure.reason == Reason::UnexpectedStatus && !is_server_failure))
}

/// An answer of the API that the documentation does not allow.
pub(super) fn unexpected_answer(probe: &FailedProbe<'_>, language: Language) -> Verdict {
    if !is_unfit_canary(probe) {
        return platform_failed(probe, language);
    }
    let detail = probe.failure.detail.as_str();
    Blame::Route.verdict(
        text!(language, "unfit-canary", probe = probe.probe, detail = detail),
        text!(language, "unfit-canary-action"),
    )
}
