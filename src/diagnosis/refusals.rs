//! Verdicts about refusals that concern one route: they move no state of a key or secret.

use super::{Blame, FailedProbe, KeyFacts, Verdict, code, platform_failed};
use crate::config::KEY_INFO;
use crate::key_state::{KeyState, SecretState};
use crate::partner_api::error::{ErrorCode, RouteCode};
use crate::partner_api::failure::Reason;

/// The documented code of a route, if the failure has one.
pub(super) fn route_code(probe: &FailedProbe<'_>) -> Option<RouteCode> {
    probe.failure.code.as_ref().and_then(ErrorCode::of_route)
}

/// The verdict about a documented code of a route.
pub(super) fn route_refused(probe: &FailedProbe<'_>, facts: &KeyFacts<'_>, route_code: RouteCode) -> Verdict {
    let (name, origin) = (probe.probe, facts.origin);
    match route_code {
        RouteCode::Societe12 => Blame::Route.verdict(
            "The customer's folder is inactive: its billing formula is “Inactif” (SOCIETE12).",
            "Ask the customer whether this was intended. Only MyUnisoft's support can make the folder active again: the \
             customer writes to them, and quotes the request ID.",
        ),
        RouteCode::Societe13 => Blame::Route.verdict(
            "No billing formula was chosen for the customer's folder (SOCIETE13).",
            "Have the firm choose one for this folder in MyUnisoft. If it can't, ask MyUnisoft's support, and quote the \
             request ID.",
        ),
        RouteCode::Token1 | RouteCode::Token2 | RouteCode::Gbl15 => Blame::Route.verdict(
            format!(
                "The route of the probe {name} can't use the token: it calls it unreadable or expired ({}).",
                code(probe)
            ),
            format!(
                "If other probes of the key succeed, ask MyUnisoft's support why this route refuses the token, and \
                 quote the request ID. Otherwise, {}.",
                origin.new_token()
            ),
        ),
        RouteCode::Droit1 | RouteCode::Droit5 => Blame::Route.verdict(
            format!("The key has no right for what the route of the probe {name} does ({}).", code(probe)),
            format!(
                "Have the right added in MyUnisoft by the manager of the folder or firm ({}, the partner's card), or \
                 configure another canary for the key.",
                origin.screen()
            ),
        ),
        RouteCode::Gbl1 => Blame::Platform.verdict(
            format!("The route of the probe {name} fails: GBL1, MyUnisoft's code for a general failure."),
            "Wait. If it lasts, tell MyUnisoft's support and quote the request ID.",
        ),
        RouteCode::Gbl2 => Blame::Route.verdict(
            format!("The route of the probe {name} refuses a date in its path (GBL2)."),
            "Correct the date in the canary's path (canaries, in the configuration), or configure another canary.",
        ),
        RouteCode::Exercice5 => Blame::Route.verdict(
            format!("The route of the probe {name} refuses the request because of the fiscal year (EXERCICE5)."),
            "Check the fiscal year in the canary's path, and the folder's fiscal years in MyUnisoft. Otherwise configure \
             another canary.",
        ),
    }
}

/// The route refuses the request with a code that has no documented meaning.
pub(super) fn undocumented_refusal(probe: &FailedProbe<'_>, facts: &KeyFacts<'_>) -> Verdict {
    let is_about_key = probe.status == Some(401) || probe.probe == KEY_INFO;
    if is_about_key && facts.accepted_probes.is_empty() {
        return Blame::Key.verdict(
            format!("The API refuses the key with an error code that is not documented: {}.", code(probe)),
            "Ask MyUnisoft's support what the code means for this key, and quote the request ID.",
        );
    }
    Blame::Route.verdict(
        format!("The route of the probe {} refuses the request: {}.", probe.probe, code(probe)),
        "Check the canary's path and society: the route itself refuses the request. If both are right, ask MyUnisoft's \
         support what the code means, and quote the request ID.",
    )
}

/// A refusal of the key or the secret that another probe of the same key contradicts, or contradicted before: the state
/// stays `active`, so the verdict must not say that the key is lost. `None` if nothing contradicts the refusal.
pub(super) fn contradicted(probe: &FailedProbe<'_>, facts: &KeyFacts<'_>) -> Option<Verdict> {
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
            refused.iter().map(|probe| format!("{} ({})", probe.probe, code(probe))).collect();
        return Some(Blame::Key.verdict(
            format!("key/info accepts the key, but every canary is refused: {}.", refusals.join(", ")),
            format!(
                "Nothing can be read with this key, although MyUnisoft counts it as valid. Ask MyUnisoft's support for \
                 the cause, and quote the request ID. {}",
                facts.origin.journal()
            ),
        ));
    }
    let subject = if refused.len() == 1 { "Only the route" } else { "The route" };
    let object = if is_secret { "partner's secret" } else { "key" };
    Some(Blame::Route.verdict(
        format!(
            "{subject} of the probe {} refuses the {object} ({}); the API accepts it for {}.",
            probe.probe,
            code(probe),
            facts.accepted_probes.join(", "),
        ),
        if probe.probe == KEY_INFO {
            "Ask MyUnisoft's support why key/info refuses a key that other routes accept, and quote the request ID."
        } else {
            "Check the canary's path and society. If both are right, ask MyUnisoft's support why this route refuses the \
             key, and quote the request ID."
        },
    ))
}

/// A refusal of the key that no other probe confirms or contradicts now. `None` if all probes refuse the key.
fn unanswered(probe: &FailedProbe<'_>, facts: &KeyFacts<'_>) -> Option<Verdict> {
    let others = facts.failed_probes.iter().filter(|other| !other.failure.refuses_key_or_secret());
    let others: Vec<_> =
        others.map(|other| format!("{} ({})", other.probe, other.failure.reason.into_str())).collect();
    (!others.is_empty()).then(|| {
        Blame::Key.verdict(
            format!(
                "The probe {} says that the API refuses the key ({}), and no probe is accepted. The state does not \
                 change, because no other probe confirms the refusal: {}.",
                probe.probe,
                code(probe),
                others.join(", ")
            ),
            format!(
                "Check that the key is still under Connectés in MyUnisoft ({}). If it is not, {}. If it is, ask \
                 MyUnisoft's support for the cause, and quote the request ID.",
                facts.origin.screen(),
                facts.origin.new_token()
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
pub(super) fn unexpected_answer(probe: &FailedProbe<'_>) -> Verdict {
    if !is_unfit_canary(probe) {
        return platform_failed(probe);
    }
    Blame::Route.verdict(
        format!("The route of the probe {} does not answer as a canary must: {}.", probe.probe, probe.failure.detail),
        "Configure a GET route that answers JSON, and no route that answers a file (canaries, in the configuration). If \
         this route answered JSON before, ask MyUnisoft's support, and quote the request ID.",
    )
}
