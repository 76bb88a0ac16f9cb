//! The diagnosis: what is wrong in one sentence, who is to blame, and what to do next. Pure.
//!
//! A failure's reason says what was seen; whom to call follows from it only together with the state of the key, of
//! its partner's secret, and how far the probe came. The page, its JSON and `probe` on the command line all say this.

use serde_with::SerializeDisplay;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::config::KEY_INFO;
use crate::key_state::{KeyState, SecretState};
use crate::partner_api::error::{Code, ErrorCode};
use crate::partner_api::failure::{Failure, Reason};
use crate::report::Phase;

/// Where the trouble lies.
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
pub enum Blame {
    /// MyUnisoft's API itself.
    Platform,
    /// What lies between: name service, network, a proxy or a firewall.
    Network,
    /// The partner's secret, and so all its keys.
    Secret,
    /// This key: its token, its activation, its log-in.
    Key,
    /// This key's permission for one route, or the route's own refusal.
    Route,
    /// The key's budget of requests.
    Budget,
    /// The machine or the files of this exporter.
    Exporter,
}

/// What there is to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Where the trouble lies; `None` while there is none, or nothing is known.
    pub blame: Option<Blame>,
    /// What is the matter, in one sentence.
    pub summary: String,
    /// What to do next, if anything.
    pub action: Option<&'static str>,
}

/// One failing probe.
#[derive(Clone, Copy, Debug)]
pub struct Trouble<'a> {
    /// Its name.
    pub probe: &'a str,
    /// Why it fails.
    pub failure: &'a Failure,
    /// The last phase that it came to; `None`: it could not be sent.
    pub reached: Option<Phase>,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// Whether the answer carried a request-id, as all of the API's do.
    pub is_the_api_s: bool,
    /// Whether the certificate that the API's host shows has ended.
    pub certificate_expired: bool,
}

/// All that the diagnosis of a key rests on.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// The key's state.
    pub state: KeyState,
    /// The state of its partner's secret.
    pub secret: SecretState,
    /// Its failing probes.
    pub troubles: Vec<Trouble<'a>>,
    /// Whether any of its probes ran.
    pub was_asked: bool,
    /// Whether its last due probe was left out for the sake of its budget.
    pub over_budget: bool,
    /// Whether its last due probe could not be made for want of something of the exporter's own.
    pub is_out_of_resources: bool,
}

impl Verdict {
    fn fine(summary: impl Into<String>) -> Self {
        Self { blame: None, summary: summary.into(), action: None }
    }

    fn new(blame: Blame, summary: impl Into<String>, action: &'static str) -> Self {
        Self { blame: Some(blame), summary: summary.into(), action: Some(action) }
    }
}

/// The API's, as its health route tells; `None` for `trouble`: its last probe succeeded. `is_starved`: the
/// last due one could not be made for want of something of the exporter's own.
#[must_use]
pub fn of_health(was_asked: bool, is_out_of_resources: bool, trouble: Option<Trouble<'_>>) -> Verdict {
    match trouble {
        _ if is_out_of_resources => out_of_resources(),
        Some(trouble) => of_the_way(&trouble).unwrap_or_else(|| health_refused(&trouble)),
        None if was_asked => Verdict::fine("The API answers."),
        None => Verdict::fine("The API was not asked yet."),
    }
}

/// A key's.
#[must_use]
pub fn of_key(case: &Case<'_>) -> Verdict {
    let says_nothing = matches!(case.state, KeyState::Unknown | KeyState::Active);
    match gravest(&case.troubles) {
        _ if case.is_out_of_resources => out_of_resources(),
        // What is known of a key that is lost, or not activated, comes before what follows from it, and stays
        // true while the way to the API is not.
        Some(trouble) if !says_nothing && !is_of_the_credentials(trouble) => of_state(case),
        Some(trouble) => of_trouble(case, trouble),
        None if case.over_budget && says_nothing => spared(),
        None => of_state(case),
    }
}

/// The trouble that a verdict is about: what concerns most comes first.
#[must_use]
pub fn gravest<'a, 't>(troubles: &'t [Trouble<'a>]) -> Option<&'t Trouble<'a>> {
    troubles.iter().min_by_key(|trouble| concern(trouble).unwrap_or(usize::MAX))
}

/// Whether it is about the key or its partner: no outage of the API, or of the way there, explains it.
#[must_use]
pub fn is_of_the_key(trouble: &Trouble<'_>) -> bool {
    concern(trouble).is_some()
}

/// Of what is about the key or its partner, the first of these is 0.
fn concern(trouble: &Trouble<'_>) -> Option<usize> {
    use Reason as R;
    const ORDER: [Reason; 6] = [R::Secret, R::Token, R::Login, R::Forbidden, R::RateLimited, R::ApiError];
    let Trouble { failure, status, .. } = *trouble;
    let explained = is_platform_fault(failure, status) || failure.met.is_some();
    ORDER.iter().position(|reason| *reason == failure.reason && !explained)
}

/// Whether it is about the secret, the token or the log-in.
fn is_of_the_credentials(trouble: &Trouble<'_>) -> bool {
    matches!(trouble.failure.reason, Reason::Secret | Reason::Token | Reason::Login) && is_of_the_key(trouble)
}

fn of_trouble(case: &Case<'_>, trouble: &Trouble<'_>) -> Verdict {
    if let Some(verdict) = of_the_way(trouble) {
        return verdict;
    }
    match trouble.failure.reason {
        Reason::Secret => of_secret(case.secret, trouble),
        Reason::Token => of_token(case.state, trouble),
        Reason::Login => of_login(trouble),
        Reason::Forbidden if case.state == KeyState::Forbidden => of_state(case),
        Reason::Forbidden => Verdict::new(
            Blame::Route,
            if case.state == KeyState::Active {
                format!("The key works, but may not call the route of the probe {}.", trouble.probe)
            } else {
                format!("The key may not call the route of the probe {}.", trouble.probe)
            },
            if is_key_info(trouble) {
                "Have the permission for key/info added to the key, or do without it (key_info: {mode: off})."
            } else {
                "Have the permission for this route added to the key, or give the key another canary."
            },
        ),
        Reason::RateLimited if is_crowded(trouble) => Verdict::new(
            Blame::Budget,
            "Too many requests of the key are under way at once.",
            "Find out what sends them: the probes send one at a time, beside the customer's production traffic.",
        ),
        Reason::RateLimited => Verdict::new(
            Blame::Budget,
            "The key's budget of requests is spent.",
            "Find out what spends it: the probes share it with the customer's production traffic. \
             Longer intervals leave more of it.",
        ),
        Reason::ApiError if is_platform_fault(trouble.failure, trouble.status) => platform_failed(trouble),
        Reason::ApiError if trouble.status == Some(401) || is_key_info(trouble) => Verdict::new(
            Blame::Key,
            format!("The API refuses the key with a code that is not documented: {}.", code(trouble)),
            "Ask MyUnisoft's support what the code means for this key, and quote the request-id.",
        ),
        Reason::ApiError => Verdict::new(
            Blame::Route,
            format!("The route of the probe {} refuses the request: {}.", trouble.probe, code(trouble)),
            "Check the canary's path and its society: this refusal is the route's own, and the key itself was let in.",
        ),
        _ => platform_failed(trouble),
    }
}

/// What says something about a probe's way, or about the API, and nothing about the key.
fn of_the_way(trouble: &Trouble<'_>) -> Option<Verdict> {
    let detail = &trouble.failure.detail;
    let network = |summary: String, action| Some(Verdict::new(Blame::Network, summary, action));
    match trouble.failure.reason {
        Reason::Dns => network(
            format!("A name can't be resolved, the API's or the proxy's: {detail}."),
            "Check this machine's name service; in a browser on another network the API may well work.",
        ),
        Reason::Connect => network(
            format!("No connection to the API: {detail}."),
            "Check firewall, proxy and route from this machine; if other networks fail too, it is MyUnisoft's side.",
        ),
        Reason::Tls if trouble.certificate_expired => Some(Verdict::new(
            Blame::Platform,
            "The certificate that is shown in the API's name has ended.",
            "See who issued it: if it is MyUnisoft's, tell their support; if a proxy of yours shows it, renew it \
             there. Until then nothing is sent, for the secrets would travel unprotected.",
        )),
        Reason::Tls => network(
            format!("No trusted connection to the API: {detail}."),
            "If a proxy here opens TLS, name its authority in api.ca_file; otherwise find out who answers in the \
             API's place.",
        ),
        Reason::Timeout if trouble.reached >= Some(Phase::Processing) => Some(Verdict::new(
            Blame::Platform,
            format!("The API takes the request and does not answer in time: {detail}."),
            "Wait, and tell MyUnisoft's support if it lasts: the way to the API is open, so it is busy or hangs.",
        )),
        Reason::Timeout => network(
            format!("The API can't be reached in time: {detail}."),
            "Check firewall, proxy and route from this machine: the request did not get as far as the API.",
        ),
        Reason::Io => network(
            format!("The connection broke: {detail}."),
            "If it lasts, look at the proxies and load balancers between here and the API.",
        ),
        Reason::Redirect => network(
            format!("Something answers with a redirect: {detail}."),
            "Check api.base_url, and whether a proxy here wants a log-in first.",
        ),
        Reason::Edge if trouble.is_the_api_s => Some(Verdict::new(
            Blame::Platform,
            format!("MyUnisoft's side answers without saying why: {detail}."),
            "Wait; if it lasts, tell MyUnisoft's support, and quote the request-id.",
        )),
        Reason::Edge => network(
            format!("Something before the API answers in its place: {detail}."),
            "Look at api.base_url and at your own proxy and firewall first; if they are innocent, it is MyUnisoft's \
             load balancer.",
        ),
        Reason::UnexpectedBody | Reason::UnexpectedStatus if !trouble.is_the_api_s => network(
            format!("The answer is not the API's: {detail}."),
            "Check whether a proxy or a captive portal answers in the API's place.",
        ),
        Reason::Maintenance => Some(Verdict::new(
            Blame::Platform,
            "MyUnisoft has announced maintenance.",
            "Wait for its end; nothing is to be done on your side.",
        )),
        _ => None,
    }
}

fn platform_failed(trouble: &Trouble<'_>) -> Verdict {
    Verdict::new(
        Blame::Platform,
        format!("The API fails by itself: {}.", trouble.failure.detail),
        "Wait; if it lasts, tell MyUnisoft's support, and quote the request-id.",
    )
}

/// The health route is asked without credentials: a refusal is about the machine that asks.
fn health_refused(trouble: &Trouble<'_>) -> Verdict {
    match trouble.status {
        Some(401 | 403 | 429) => Verdict::new(
            Blame::Platform,
            format!(
                "The API refuses this machine, which asks its health route without a key: {}.",
                code(trouble)
            ),
            "Ask MyUnisoft's support whether they block or limit this machine's address, and quote the request-id.",
        ),
        _ => platform_failed(trouble),
    }
}

fn out_of_resources() -> Verdict {
    Verdict::new(
        Blame::Exporter,
        "Nothing can be asked: the exporter's machine has run out of descriptors, ports or memory.",
        "Raise its limits (open files, memory), or stop what uses them up. What is shown is from before.",
    )
}

fn of_secret(state: SecretState, trouble: &Trouble<'_>) -> Verdict {
    if trouble.reached.is_none() {
        return unreadable("The partner's secret", trouble);
    }
    if state == SecretState::Rejected {
        return Verdict::new(
            Blame::Secret,
            format!("The API refuses the partner's secret, which it accepted before: {}.", code(trouble)),
            "Ask MyUnisoft's support what became of the secret, and quote the request-id: none of the partner's keys \
             works without it.",
        );
    }
    Verdict::new(
        Blame::Secret,
        format!("The API does not know the partner's secret, or not yet: {}.", code(trouble)),
        "Compare the secret with the one that MyUnisoft gave out. A new one works once MyUnisoft has activated it.",
    )
}

fn of_token(state: KeyState, trouble: &Trouble<'_>) -> Verdict {
    if trouble.reached.is_none() {
        return unreadable("The key's token", trouble);
    }
    if trouble.failure.code.as_ref().and_then(ErrorCode::documented) == Some(Code::TokenActivationFailure) {
        return Verdict::new(
            Blame::Key,
            "The key can't be activated.",
            "Have it generated anew in MyUnisoft; if that fails too, ask MyUnisoft's support and quote the request-id.",
        );
    }
    of_key_state(state).unwrap_or_else(|| {
        Verdict::new(
            Blame::Key,
            format!("The API refuses the token: {}.", code(trouble)),
            "Compare the token with the one in MyUnisoft, and have it generated anew if it is gone.",
        )
    })
}

fn of_login(trouble: &Trouble<'_>) -> Verdict {
    let detail = &trouble.failure.detail;
    match trouble.failure.met {
        None => {}
        Some(Reason::Maintenance | Reason::ApiError | Reason::RateLimited) => {
            return Verdict::new(
                Blame::Platform,
                format!("The log-in route fails by itself: {detail}."),
                "Wait; if it lasts, tell MyUnisoft's support. The account is not at fault, as far as is known.",
            );
        }
        Some(_) => {
            return Verdict::new(
                Blame::Network,
                format!("The log-in does not come through: {detail}."),
                "Check api.auth_url, firewall and proxy from this machine. The account is not at fault, as far as is \
                 known.",
            );
        }
    }
    Verdict::new(
        Blame::Key,
        format!("No token could be had by logging in: {}.", trouble.failure.detail),
        "Check the account's mail, password and firm. A password that was refused is not tried again and again, so \
         that the account isn't locked.",
    )
}

fn unreadable(what: &str, trouble: &Trouble<'_>) -> Verdict {
    Verdict::new(
        Blame::Exporter,
        format!("{what} can't be read: {}.", trouble.failure.detail),
        "Mend the file or the variable that the configuration names; it is read again at the next probe.",
    )
}

fn spared() -> Verdict {
    Verdict::new(
        Blame::Budget,
        "The key is not asked, to leave what is left of its budget to production traffic.",
        "Find out what spends it. It is asked again as soon as enough is left (rate_limit.keep_free).",
    )
}

/// Where no probe fails.
fn of_state(case: &Case<'_>) -> Verdict {
    of_key_state(case.state).unwrap_or_else(|| match case.state {
        KeyState::Active => Verdict::fine("The key works."),
        _ if case.was_asked => Verdict::fine("The API has not said anything about the key yet."),
        _ => Verdict::fine("The key was not asked yet."),
    })
}

fn of_key_state(state: KeyState) -> Option<Verdict> {
    let (summary, action) = match state {
        KeyState::Unknown | KeyState::Active => return None,
        KeyState::Pending => (
            "The key is not activated yet.",
            "Have whoever made the key finish it in MyUnisoft, where it is shown as “En attente de connexion”.",
        ),
        KeyState::NotFound => (
            "The API does not know the token, and has never accepted it.",
            "Check that the token was copied whole, and for this environment; else it was not created yet, or revoked \
             before.",
        ),
        KeyState::Revoked => (
            "The key was revoked: the API does not know its token any more.",
            "Ask the customer whether that was meant. A new token has to be generated in MyUnisoft and put in the old \
             one's place.",
        ),
        KeyState::Disconnected => (
            "MyUnisoft's technical team has disconnected this integration.",
            "Ask MyUnisoft's support for the reason, and quote the request-id.",
        ),
        KeyState::FolderNotFound => (
            "There is no active folder behind the key any more.",
            "Ask the customer what became of the folder; the token has to be generated anew in the one to be used.",
        ),
        KeyState::Invalid => (
            "The token is not a valid one.",
            "Check that it was copied whole, is a token at all, and was made for this environment.",
        ),
        KeyState::Forbidden => (
            "The key has no permission to use the API.",
            "Have the permission granted in MyUnisoft by whoever manages the folder or the firm.",
        ),
    };
    Some(Verdict::new(Blame::Key, summary, action))
}

/// Whether the API failed by itself: it says so, or its status does.
fn is_platform_fault(failure: &Failure, status: Option<u16>) -> bool {
    let documented = failure.code.as_ref().and_then(ErrorCode::documented);
    failure.reason == Reason::ApiError
        && (failure.code.is_none()
            || matches!(documented, Some(Code::Http | Code::Internal))
            || (documented.is_none() && status.is_some_and(|status| status >= 500)))
}

fn is_key_info(trouble: &Trouble<'_>) -> bool {
    trouble.probe == KEY_INFO
}

fn is_crowded(trouble: &Trouble<'_>) -> bool {
    let documented = trouble.failure.code.as_ref().and_then(ErrorCode::documented);
    matches!(documented, Some(Code::TooManyConcurrentRequest | Code::TooManyConcurrentRequests))
}

/// The API's code, where it gave one.
fn code<'a>(trouble: &Trouble<'a>) -> &'a str {
    trouble.failure.code.as_ref().map_or("without a code", |code| code.as_str())
}
