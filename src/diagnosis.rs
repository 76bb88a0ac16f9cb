//! Makes the verdict: what is wrong, whose fault it is, and what to do next. It reads no shared state and no
//! clock.
//!
//! The reason of a failure says what was seen. The fault follows from it only together with the state of the
//! key, the state of the partner's secret, and the last phase of the probe. The page, its JSON and the command
//! `probe` show the same verdict.

mod places;
mod refusals;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde_with::SerializeDisplay;
use strum::{Display, IntoStaticStr, VariantArray};

use crate::config::KEY_INFO;
use crate::format::utc_time;
use crate::key_state::{KeyState, SecretState};
use crate::partner_api::error::{DocumentedCode, ErrorCode, RouteCode};
use crate::partner_api::failure::{Failure, Reason};
use crate::report::Phase;

pub(crate) use places::TokenOrigin;

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
    pub action: Option<Cow<'static, str>>,
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
    fn no_problem(summary: impl Into<String>) -> Self {
        Self { blame: None, summary: summary.into(), action: None }
    }
}

impl Blame {
    fn verdict(self, summary: impl Into<String>, action: impl Into<Cow<'static, str>>) -> Verdict {
        Verdict { blame: Some(self), summary: summary.into(), action: Some(action.into()) }
    }
}

/// The verdict about the API, from its health route.
///
/// `failed`: the last health probe, if it failed. `out_of_resources`: the last due one was skipped because the
/// exporter has no file descriptors, ports or memory.
pub(crate) fn diagnose_api(
    was_probed: bool,
    out_of_resources: bool,
    failed: Option<FailedProbe<'_>>,
) -> Verdict {
    if out_of_resources {
        return no_resources();
    }
    match failed {
        Some(probe) => failure_verdict(&probe, None),
        None if was_probed => Verdict::no_problem("The API responds."),
        None => Verdict::no_problem("The API has not been probed yet."),
    }
}

pub(crate) fn diagnose_key(facts: &KeyFacts<'_>) -> Verdict {
    if facts.out_of_resources {
        return no_resources();
    }
    let bad_state = facts.state.is_problem();
    match most_important(&facts.failed_probes) {
        // The failures of a key that is lost or not activated are consequences of its state. The state also
        // stays true while the API cannot be reached.
        Some(probe) if bad_state && !concerns_credentials(probe) => state_verdict(facts),
        Some(probe) => failure_verdict(probe, Some(facts)),
        None if facts.over_budget && !bad_state => skipped_for_budget(),
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
fn failure_verdict(probe: &FailedProbe<'_>, facts: Option<&KeyFacts<'_>>) -> Verdict {
    let detail = &probe.failure.detail;
    match (probe.failure.reason, facts) {
        (Reason::Dns, _) => Blame::Network.verdict(
            format!("The host name of the API, or of the proxy, cannot be resolved: {detail}."),
            "Check the name resolution of this machine. The API may well work from another network.",
        ),
        (Reason::Connect, _) => Blame::Network.verdict(
            format!("No connection to the API: {detail}."),
            "Check the firewall, the proxy and the routing of this machine. If other networks fail too, the \
             problem is at MyUnisoft.",
        ),
        (Reason::Tls, _) => tls_failed(probe),
        (Reason::Timeout, _) => timed_out(probe),
        (Reason::Io, _) => Blame::Network.verdict(
            format!("The connection broke: {detail}."),
            "If it lasts, check the proxies and load balancers between this machine and the API.",
        ),
        (Reason::Redirect, _) => Blame::Network.verdict(
            format!("The response is a redirect: {detail}."),
            "Check api.base_url, and whether a proxy here requires a log-in first.",
        ),
        (Reason::Edge, _) => edge_responded(probe),
        (Reason::UnexpectedBody | Reason::UnexpectedStatus, _) if !probe.from_api => Blame::Network.verdict(
            format!("The response does not come from the API: {detail}."),
            "Check whether a proxy or a captive portal responds instead of the API.",
        ),
        (Reason::Credential, _) => credential_missing(detail),
        (Reason::Maintenance, _) => Blame::Platform.verdict(
            "MyUnisoft has announced maintenance.",
            "Wait until it ends. There is nothing to do on your side.",
        ),
        // Every reason that gets here also needs a verdict about a key, so `_` hides no new one.
        (_, None) => health_refused(probe),
        (Reason::UnexpectedBody | Reason::UnexpectedStatus, Some(_)) => refusals::unexpected_answer(probe),
        (Reason::Secret, Some(facts)) => secret_refused(facts, probe),
        (Reason::Token, Some(facts)) => token_refused(facts, probe),
        (Reason::Login, Some(_)) => login_failed(probe),
        (Reason::Forbidden, Some(facts)) => route_forbidden(facts, probe),
        (Reason::RateLimited, Some(_)) => rate_limited(probe),
        (Reason::ApiError, Some(facts)) => api_error(probe, facts),
    }
}

fn tls_failed(probe: &FailedProbe<'_>) -> Verdict {
    if probe.certificate_expired {
        return Blame::Platform.verdict(
            "The certificate of the API's host has expired.",
            "Check who issued the certificate. If it is MyUnisoft's, tell their support; if it comes from your \
             own proxy, renew it there. Until then the exporter sends nothing, because the secrets would not be \
             protected.",
        );
    }
    Blame::Network.verdict(
        format!("The TLS connection to the API is not trusted: {}.", probe.failure.detail),
        "If your proxy decrypts TLS, set its certificate authority in api.ca_file. Otherwise find out who \
         responds instead of the API.",
    )
}

fn timed_out(probe: &FailedProbe<'_>) -> Verdict {
    let detail = &probe.failure.detail;
    if probe.reached >= Some(Phase::Processing) {
        return Blame::Platform.verdict(
            format!("The API accepts the request, but does not respond in time: {detail}."),
            "Wait. If it lasts, tell MyUnisoft's support: the network path to the API works, so the API is \
             overloaded or hangs.",
        );
    }
    Blame::Network.verdict(
        format!("The API cannot be reached in time: {detail}."),
        "Check the firewall, the proxy and the routing of this machine: the request did not reach the API.",
    )
}

fn edge_responded(probe: &FailedProbe<'_>) -> Verdict {
    let detail = &probe.failure.detail;
    if probe.from_api {
        return Blame::Platform.verdict(
            format!("MyUnisoft's side responds with an error that gives no cause: {detail}."),
            "Wait. If it lasts, tell MyUnisoft's support and quote the request ID.",
        );
    }
    Blame::Network.verdict(
        format!("Something between this machine and the API responds instead of the API: {detail}."),
        "Check api.base_url, your own proxy and your firewall first. If they are not the cause, it is \
         MyUnisoft's load balancer.",
    )
}

fn platform_failed(probe: &FailedProbe<'_>) -> Verdict {
    Blame::Platform.verdict(
        format!("The API itself fails: {}.", probe.failure.detail),
        "Wait. If it lasts, tell MyUnisoft's support and quote the request ID.",
    )
}

/// The health probe sends no credentials, so the API refuses the address of this machine. Only MyUnisoft can end
/// that.
fn health_refused(probe: &FailedProbe<'_>) -> Verdict {
    match probe.status {
        Some(401 | 403 | 429) => Blame::Platform.verdict(
            format!(
                "The API refuses this machine, which calls the health route without a key: {}.",
                code(probe)
            ),
            "Ask MyUnisoft's support whether they block or limit the address of this machine, and quote the request ID.",
        ),
        _ => platform_failed(probe),
    }
}

fn no_resources() -> Verdict {
    Blame::Exporter.verdict(
        "The exporter cannot probe: its machine has no file descriptors, ports, threads or memory left.",
        "Raise the limits of the exporter (open files, memory), or stop what uses them up. The data shown here is from \
         before.",
    )
}

fn secret_refused(facts: &KeyFacts<'_>, probe: &FailedProbe<'_>) -> Verdict {
    if let Some(verdict) = refusals::contradicted(probe, facts) {
        return verdict;
    }
    match facts.secret {
        SecretState::Rejected => Blame::Secret.verdict(
            format!("The API refuses the partner's secret, which it accepted before: {}.", code(probe)),
            "Ask MyUnisoft's support what happened to the secret, and quote the request ID: none of the partner's keys \
             works without it.",
        ),
        SecretState::Active => Blame::Key.verdict(
            format!(
                "The secret does not belong to this key: the API refuses the partner's secret with it, and accepts it \
                 otherwise ({}).",
                code(probe)
            ),
            "Move the key to its own partner in the configuration: it needs the secret of the partner that it was made \
             for. If it was made for this partner, ask MyUnisoft's support, and quote the request ID.",
        ),
        SecretState::Unknown | SecretState::Pending => Blame::Secret.verdict(
            format!("The API does not know the partner's secret, or does not know it yet: {}.", code(probe)),
            "Compare the secret with the one that MyUnisoft issued. A new secret works when MyUnisoft has activated it.",
        ),
    }
}

fn token_refused(facts: &KeyFacts<'_>, probe: &FailedProbe<'_>) -> Verdict {
    if documented_code(probe) == Some(DocumentedCode::TokenActivationFailure) {
        return activation_failed(facts, probe);
    }
    refusals::contradicted(probe, facts).or_else(|| key_state_problem(facts)).unwrap_or_else(|| {
        Blame::Key.verdict(
            format!("The API refuses the token: {}.", code(probe)),
            format!(
                "Check that the key is still under Connectés in MyUnisoft ({}). If it is not, {}.",
                facts.origin.screen(),
                facts.origin.new_token()
            ),
        )
    })
}

/// The API tried to activate the key and failed. This moves no state, so the state decides what the verdict says: the
/// next request can activate the key, and the token need not be replaced.
fn activation_failed(facts: &KeyFacts<'_>, probe: &FailedProbe<'_>) -> Verdict {
    refusals::contradicted(probe, facts).or_else(|| key_state_problem(facts)).unwrap_or_else(|| {
        Blame::Key.verdict(
            format!("The activation of the key failed at MyUnisoft ({}).", code(probe)),
            wait_for_activation(facts.origin),
        )
    })
}

/// What to do about a key that is not activated.
fn wait_for_activation(origin: TokenOrigin) -> String {
    format!(
        "Look for “En attente de connexion” in MyUnisoft ({}, Évènements), and wait: the key_info probe in mode extended \
         activates a key. If the key stays like this for an hour, write to MyUnisoft's support, and quote the request ID.",
        origin.screen()
    )
}

fn login_failed(probe: &FailedProbe<'_>) -> Verdict {
    let detail = &probe.failure.detail;
    match probe.failure.underlying {
        None => Blame::Key.verdict(
            format!("The log-in gives no token: {detail}."),
            "Do what this text says; otherwise check the account's mail address, password and firm. After a change at \
             MyUnisoft, reload the exporter by hand (SIGHUP or POST /-/reload): it does not keep retrying a refused \
             log-in, so that the account is not locked.",
        ),
        Some(Reason::Token) => Blame::Key.verdict(
            format!("The token of the log-in ended early: {detail}."),
            "Find out what else logs in with this account (another key, another program, the command probe), and give \
             each its own account. The key itself may work.",
        ),
        Some(Reason::Maintenance | Reason::ApiError | Reason::RateLimited) => Blame::Platform.verdict(
            format!("The log-in route itself fails: {detail}."),
            "Wait. If it lasts, tell MyUnisoft's support. As far as is known, the account is not at fault.",
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
            format!("The log-in route gave no usable answer: {detail}."),
            "Check api.auth_url, and the firewall and the proxy of this machine. As far as is known, the account is not \
             at fault.",
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
    let subject = if facts.state == KeyState::Active { "The key works, but" } else { "The key" };
    let screen = facts.origin.screen();
    Blame::Route.verdict(
        format!("{subject} may not call the route of the probe {}.", probe.probe),
        if probe.probe == KEY_INFO {
            format!(
                "Have the permission for key/info added to the key in MyUnisoft ({screen}, the partner's card), or turn \
                 this probe off (key_info: {{mode: off}})."
            )
        } else {
            format!(
                "Have the permission for this route added to the key in MyUnisoft ({screen}, the partner's card), or \
                 configure another canary for the key."
            )
        },
    )
}

fn rate_limited(probe: &FailedProbe<'_>) -> Verdict {
    let code = documented_code(probe);
    if matches!(
        code,
        Some(DocumentedCode::TooManyConcurrentRequest | DocumentedCode::TooManyConcurrentRequests)
    ) {
        return Blame::Budget.verdict(
            "Too many requests of the key run at the same time.",
            "Find out what sends them: the exporter sends one request at a time, in addition to the customer's \
             production traffic.",
        );
    }
    Blame::Budget.verdict(
        "The key's request budget is used up.",
        "Find out what uses it up: the probes share it with the customer's production traffic. Longer intervals leave \
         more of it.",
    )
}

fn api_error(probe: &FailedProbe<'_>, facts: &KeyFacts<'_>) -> Verdict {
    match refusals::route_code(probe) {
        Some(code) => refusals::route_refused(probe, facts, code),
        None if is_platform_fault(probe) => platform_failed(probe),
        None => refusals::undocumented_refusal(probe, facts),
    }
}

/// `detail` says which secret, token or password can't be read here, and why. Nothing was sent.
fn credential_missing(detail: &str) -> Verdict {
    Blame::Exporter.verdict(
        format!("The exporter can't send anything with this key: {detail}."),
        "Repair the file or the variable that the configuration names, on the machine of the exporter. A file is read \
         again at the next probe, a variable only after a restart.",
    )
}

/// A secret, token or password that can't be read, although no probe has failed because of it.
fn unreadable(detail: &str, facts: &KeyFacts<'_>) -> Verdict {
    if facts.answers == Answers::None {
        return credential_missing(detail);
    }
    Blame::Exporter.verdict(
        format!("The key works, but only with the last value that the exporter read: {detail}."),
        "Repair the file on the machine of the exporter before the exporter restarts: it keeps the last value in memory \
         only.",
    )
}

/// The verdict about a partner's secret. `unreadable`: why it can't be read here, if it can't.
pub(crate) fn diagnose_secret(state: SecretState, unreadable: Option<&str>) -> Verdict {
    if let Some(detail) = unreadable {
        return Blame::Exporter.verdict(
            format!("The exporter can't read the secret of the partner: {detail}."),
            "Repair the file or the variable that the configuration names, on the machine of the exporter.",
        );
    }
    match state {
        SecretState::Rejected => Blame::Secret.verdict(
            "The API refuses the partner's secret, which it accepted before. None of its keys works without it.",
            "Ask MyUnisoft's support what happened to the secret, and quote the request ID.",
        ),
        SecretState::Pending => Blame::Secret.verdict(
            "The API does not know the partner's secret, or does not know it yet.",
            "Compare the secret with the one that MyUnisoft issued. A new secret works when MyUnisoft has activated it.",
        ),
        SecretState::Unknown | SecretState::Active => {
            Verdict { blame: None, summary: "Nothing is wrong with the secret.".to_owned(), action: None }
        }
    }
}

fn skipped_for_budget() -> Verdict {
    Blame::Budget.verdict(
        "The key is not probed, to leave the rest of its request budget to production traffic.",
        "Find out what uses the budget up. The probes continue when enough of it is left (rate_limit.keep_free).",
    )
}

/// The verdict that follows from the state alone.
fn state_verdict(facts: &KeyFacts<'_>) -> Verdict {
    let unreadable = || facts.unreadable.as_deref().map(|detail| unreadable(detail, facts));
    let broken = || facts.is_broken.then(replacement_not_judged);
    key_state_problem(facts).or_else(unreadable).or_else(broken).unwrap_or_else(|| {
        if let Some(outdated) = &facts.outdated {
            return accepted_again(facts.state, outdated);
        }
        Verdict::no_problem(match facts.answers {
            _ if facts.state == KeyState::Active => "The key works.",
            Answers::None => "The key has not been probed yet.",
            Answers::WithoutRequestId => {
                "The probes succeed, but the responses have no request ID, because a proxy removes it. So they do not \
                 prove that the API accepts the key. key/info proves it."
            }
            Answers::Other => "The API has not said anything about the key yet.",
        })
    })
}

/// The API accepts what it refused before, but not every probe has run since.
fn accepted_again(state: KeyState, outdated: &OutdatedRefusals<'_>) -> Verdict {
    let since = utc_time(outdated.accepted_since);
    let accepted = if state == KeyState::Active {
        format!("The key works again since {since}")
    } else {
        format!("The API accepts the partner's secret since {since}")
    };
    let not_run = match outdated.probes.as_slice() {
        [probe] => format!("the probe {probe} has not run again yet"),
        probes => format!("the probes {} have not run again yet", probes.join(", ")),
    };
    Verdict::no_problem(format!("{accepted}; {not_run}."))
}

/// The key was refused, and got another token or one that worked before.
fn replacement_not_judged() -> Verdict {
    Blame::Key.verdict(
        "The key was refused, and the API has not accepted its present token yet.",
        "Wait for the next probe. If it does not end this, compare the token with the one in MyUnisoft.",
    )
}

/// `None` for the states that are no problem.
fn key_state_problem(facts: &KeyFacts<'_>) -> Option<Verdict> {
    let origin = facts.origin;
    let screen = origin.screen();
    let (summary, action) = match facts.state {
        KeyState::Unknown | KeyState::Active => return None,
        KeyState::Pending => ("The key is not activated yet.", wait_for_activation(origin)),
        KeyState::NotFound => (
            "The API does not know the token, and has never accepted it.",
            format!(
                "Check that the token was copied completely, and for this environment. If the key is not under Connectés \
                 in MyUnisoft ({screen}), it does not exist yet or was ended before: {}.",
                origin.new_token()
            ),
        ),
        KeyState::Revoked => (
            "The key was revoked: the API no longer knows its token.",
            format!(
                "Ask the customer whether this was intended: Déconnecter on the partner's card ({screen}, Connectés) ends \
                 a key. To continue, {}.",
                origin.new_token()
            ),
        ),
        KeyState::Disconnected => (
            "MyUnisoft's technical team has disconnected this integration.",
            format!(
                "Ask MyUnisoft's support for the reason, and quote the request ID: the customer can't undo it. {}",
                origin.journal()
            ),
        ),
        KeyState::FolderNotFound => (
            "There is no active folder behind the key.",
            format!(
                "Ask the customer what happened to the folder: only MyUnisoft's support can bring back a folder that was \
                 archived or made inactive. To use another folder, {}.",
                origin.new_token()
            ),
        ),
        KeyState::Invalid => (
            "The token is not valid.",
            format!(
                "Check that the value is a token, that it was copied completely, and that it is for this environment \
                 (api.base_url). Otherwise, {}.",
                origin.new_token()
            ),
        ),
        KeyState::Forbidden => (
            "The key has no permission to use the API.",
            format!(
                "Have the permission granted by the person who manages the folder or the firm in MyUnisoft ({screen}, the \
                 partner's card)."
            ),
        ),
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
fn code<'a>(probe: &FailedProbe<'a>) -> &'a str {
    probe.failure.code.as_ref().map_or("it gives no error code", ErrorCode::as_str)
}
