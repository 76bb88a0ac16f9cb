//! The diagnosis: what is wrong in one sentence, who is to blame, and what to do next. Pure.
//!
//! A failure's reason says what was seen; whom to call follows from it only together with the state of the key, of
//! its partner's secret, and how far the probe came. The page, its JSON and `probe` on the command line all say this.

use serde::Serialize;

use crate::api::error::{Code, ErrorCode};
use crate::api::verdict::{Failure, Reason};
use crate::config::KEY_INFO;
use crate::key_state::{KeyState, SecretState};
use crate::report::Phase;
use crate::words::words;

words! {
    /// Where the trouble lies.
    pub enum Blame {
        /// MyUnisoft's API itself.
        Platform => "platform",
        /// What lies between: name service, network, a proxy or a firewall.
        Network => "network",
        /// The partner's secret, and so all its keys.
        Secret => "secret",
        /// This key: its token, its activation, its log-in.
        Key => "key",
        /// This key's permission for one route, or the route's own refusal.
        Route => "route",
        /// The key's budget of requests.
        Budget => "budget",
        /// The machine or the files of this exporter.
        Exporter => "exporter",
    }
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
    pub certificate_ended: bool,
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
    pub is_spared: bool,
    /// Whether its last due probe could not be made for want of something of the exporter's own.
    pub is_starved: bool,
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
pub fn of_health(was_asked: bool, is_starved: bool, trouble: Option<Trouble<'_>>) -> Verdict {
    match trouble {
        _ if is_starved => starved(),
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
        _ if case.is_starved => starved(),
        // What is known of a key that is lost, or not activated, comes before what follows from it, and stays
        // true while the way to the API is not.
        Some(trouble) if !says_nothing && !is_of_the_credentials(trouble) => of_state(case),
        Some(trouble) => of_trouble(case, trouble),
        None if case.is_spared && says_nothing => spared(),
        None => of_state(case),
    }
}

/// The trouble that a verdict is about: what concerns most comes first.
#[must_use]
pub fn gravest<'a, 't>(troubles: &'t [Trouble<'a>]) -> Option<&'t Trouble<'a>> {
    troubles.iter().min_by_key(|trouble| gravity(trouble))
}

/// Whether it is about the secret, the token or the log-in.
fn is_of_the_credentials(trouble: &Trouble<'_>) -> bool {
    matches!(trouble.failure.reason, Reason::Secret | Reason::Token | Reason::Login)
        && gravity(trouble) < OF_THE_KEY
}

/// How many of [`gravity`]'s reasons are about the key or its partner.
const OF_THE_KEY: usize = 6;

/// The first of these is 0.
fn gravity(trouble: &Trouble<'_>) -> usize {
    use Reason as R;
    let failure = trouble.failure;
    let order: [Reason; OF_THE_KEY] =
        [R::Secret, R::Token, R::Login, R::Forbidden, R::RateLimited, R::ApiError];
    let own = order.iter().position(|reason| *reason == failure.reason).unwrap_or(OF_THE_KEY);
    if is_the_platform_s(failure, trouble.status) || failure.met.is_some() { OF_THE_KEY } else { own }
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
        Reason::ApiError if is_the_platform_s(trouble.failure, trouble.status) => platform_failed(trouble),
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
        Reason::Tls if trouble.certificate_ended => Some(Verdict::new(
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

fn starved() -> Verdict {
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
fn is_the_platform_s(failure: &Failure, status: Option<u16>) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    const FORBIDDEN_ROUTE: Code = Code::ForbiddenRoute;

    fn failure(reason: Reason, code: Option<Code>) -> Failure {
        Failure { code: code.map(Into::into), ..Failure::new(reason, "what was seen") }
    }

    fn trouble(failure: &Failure) -> Trouble<'_> {
        Trouble {
            probe: "exercices",
            failure,
            reached: Some(Phase::Transfer),
            status: Some(400),
            is_the_api_s: true,
            certificate_ended: false,
        }
    }

    fn case(state: KeyState, troubles: Vec<Trouble<'_>>) -> Case<'_> {
        Case {
            state,
            secret: SecretState::Active,
            troubles,
            was_asked: true,
            is_spared: false,
            is_starved: false,
        }
    }

    fn blame(state: KeyState, reason: Reason, code: Option<Code>) -> Blame {
        of_key(&case(state, vec![trouble(&failure(reason, code))])).blame.unwrap()
    }

    #[test]
    fn every_reason_has_someone_to_blame_and_something_to_do() {
        for reason in Reason::ALL {
            let failure = failure(*reason, None);
            for verdict in [
                of_key(&case(KeyState::Active, vec![trouble(&failure)])),
                of_health(true, false, Some(trouble(&failure))),
            ] {
                assert!(verdict.blame.is_some() && verdict.action.is_some(), "{reason}: {verdict:?}");
                assert!(verdict.summary.ends_with('.') && !verdict.summary.contains(".."), "{verdict:?}");
            }
        }
    }

    #[test]
    fn every_state_but_active_and_unknown_is_the_key_s_own_trouble() {
        for state in KeyState::ALL {
            let verdict = of_key(&case(*state, Vec::new()));
            let fine = matches!(state, KeyState::Active | KeyState::Unknown);
            assert_eq!(verdict.blame, (!fine).then_some(Blame::Key), "{state}");
        }
    }

    #[test]
    fn blame_is_told_apart() {
        use KeyState::{Active, Forbidden, Revoked};
        for (state, reason, code, to_blame) in [
            (Active, Reason::Maintenance, Some(Code::UnderMaintenance), Blame::Platform),
            (Active, Reason::ApiError, Some(Code::Internal), Blame::Platform),
            (Active, Reason::ApiError, Some(Code::MissingRule), Blame::Route),
            (Active, Reason::Edge, None, Blame::Platform),
            (Active, Reason::Io, None, Blame::Network),
            (Active, Reason::Dns, None, Blame::Network),
            (Active, Reason::Secret, Some(Code::InvalidSecret), Blame::Secret),
            (Revoked, Reason::Token, Some(Code::ApiTokenNotFound), Blame::Key),
            (Active, Reason::Forbidden, Some(FORBIDDEN_ROUTE), Blame::Route),
            (Forbidden, Reason::Forbidden, Some(Code::ForbiddenAccess), Blame::Key),
            (Active, Reason::RateLimited, Some(Code::TooManyRequest), Blame::Budget),
            (Active, Reason::Login, None, Blame::Key),
        ] {
            assert_eq!(blame(state, reason, code), to_blame, "{reason}");
        }
    }

    #[test]
    fn what_is_known_of_a_lost_key_stays_true_while_the_api_is_down() {
        for reason in [Reason::Edge, Reason::Connect, Reason::Maintenance] {
            let failure = failure(reason, None);
            for state in [KeyState::Revoked, KeyState::Pending, KeyState::Forbidden] {
                let verdict = of_key(&case(state, vec![trouble(&failure)]));
                assert_eq!(verdict.blame, Some(Blame::Key), "{reason} {state}: {verdict:?}");
            }
        }
        let spared = Case { is_spared: true, ..case(KeyState::Pending, Vec::new()) };
        assert_eq!(of_key(&spared).blame, Some(Blame::Key));
    }

    #[test]
    fn a_key_that_is_not_activated_is_told_so_before_what_follows_from_it() {
        for (reason, code) in [
            (Reason::Forbidden, Some(FORBIDDEN_ROUTE)),
            (Reason::ApiError, Some(Code::MissingRule)),
            (Reason::RateLimited, Some(Code::TooManyRequest)),
        ] {
            let verdict = of_key(&case(KeyState::Pending, vec![trouble(&failure(reason, code))]));
            assert!(verdict.summary.contains("not activated"), "{reason}: {verdict:?}");
        }
        let forbidden = failure(Reason::Forbidden, Some(FORBIDDEN_ROUTE));
        let verdict = of_key(&case(KeyState::Unknown, vec![trouble(&forbidden)]));
        assert!(!verdict.summary.contains("works"), "nothing says so: {verdict:?}");
    }

    #[test]
    fn an_exporter_that_can_ask_nothing_blames_itself_and_tells_nothing_of_others() {
        let starved = Case { is_starved: true, ..case(KeyState::Active, Vec::new()) };
        assert_eq!(of_key(&starved).blame, Some(Blame::Exporter));
        assert_eq!(of_health(true, true, None).blame, Some(Blame::Exporter));
    }

    #[test]
    fn a_health_route_that_refuses_is_not_one_to_wait_for() {
        let failure = failure(Reason::RateLimited, Some(Code::TooManyRequest));
        let limited = Trouble { status: Some(429), ..trouble(&failure) };
        assert!(of_health(true, false, Some(limited)).summary.contains("refuses this machine"));
    }

    #[test]
    fn an_undocumented_code_is_blamed_by_its_status() {
        let failure = Failure { code: Some(ErrorCode::withheld()), ..failure(Reason::ApiError, None) };
        for (status, probe, to_blame) in [
            (500, "exercices", Blame::Platform),
            (503, "key_info", Blame::Platform),
            (401, "exercices", Blame::Key),
            (400, "key_info", Blame::Key),
            (400, "exercices", Blame::Route),
            (422, "exercices", Blame::Route),
        ] {
            let trouble = Trouble { status: Some(status), probe, ..trouble(&failure) };
            assert_eq!(
                of_key(&case(KeyState::Active, vec![trouble])).blame,
                Some(to_blame),
                "{status} {probe}"
            );
        }
    }

    #[test]
    fn a_log_in_that_failed_for_no_fault_of_the_account_is_blamed_on_what_it_met() {
        for (met, to_blame) in [
            (None, Blame::Key),
            (Some(Reason::Connect), Blame::Network),
            (Some(Reason::Timeout), Blame::Network),
            (Some(Reason::Edge), Blame::Network),
            (Some(Reason::ApiError), Blame::Platform),
            (Some(Reason::Maintenance), Blame::Platform),
        ] {
            let failure = Failure { met, ..failure(Reason::Login, None) };
            assert_eq!(
                of_key(&case(KeyState::Active, vec![trouble(&failure)])).blame,
                Some(to_blame),
                "{met:?}"
            );
        }
    }

    #[test]
    fn an_answer_that_is_not_documented_is_the_api_s_only_with_a_request_id() {
        for reason in [Reason::UnexpectedStatus, Reason::Edge] {
            let failure = failure(reason, None);
            let stranger = Trouble { is_the_api_s: false, ..trouble(&failure) };
            assert_eq!(of_health(true, false, Some(stranger)).blame, Some(Blame::Network), "{reason}");
            assert_eq!(
                of_health(true, false, Some(trouble(&failure))).blame,
                Some(Blame::Platform),
                "{reason}"
            );
        }
    }

    #[test]
    fn a_time_out_is_the_network_s_until_the_api_has_the_request() {
        let failure = failure(Reason::Timeout, None);
        for (reached, to_blame) in [
            (Phase::Resolve, Blame::Network),
            (Phase::Connect, Blame::Network),
            (Phase::Tls, Blame::Network),
            (Phase::Processing, Blame::Platform),
            (Phase::Transfer, Blame::Platform),
        ] {
            let trouble = Trouble { reached: Some(reached), ..trouble(&failure) };
            assert_eq!(of_health(true, false, Some(trouble)).blame, Some(to_blame), "{reached}");
        }
    }

    #[test]
    fn a_certificate_that_has_ended_is_the_platform_s_and_another_doubt_is_not() {
        let failure = failure(Reason::Tls, None);
        let ended = Trouble { certificate_ended: true, ..trouble(&failure) };
        assert_eq!(of_health(true, false, Some(ended)).blame, Some(Blame::Platform));
        assert_eq!(of_health(true, false, Some(trouble(&failure))).blame, Some(Blame::Network));
    }

    #[test]
    fn a_portal_s_page_is_the_network_s_and_a_strange_answer_of_the_api_its_own() {
        let failure = failure(Reason::UnexpectedBody, None);
        let foreign = Trouble { is_the_api_s: false, ..trouble(&failure) };
        assert_eq!(of_health(true, false, Some(foreign)).blame, Some(Blame::Network));
        assert_eq!(of_health(true, false, Some(trouble(&failure))).blame, Some(Blame::Platform));
    }

    #[test]
    fn what_concerns_most_is_told_first() {
        let (secret, timeout) =
            (failure(Reason::Secret, Some(Code::InvalidSecret)), failure(Reason::Timeout, None));
        let verdict = of_key(&case(KeyState::Active, vec![trouble(&timeout), trouble(&secret)]));
        assert_eq!(verdict.blame, Some(Blame::Secret));
    }

    #[test]
    fn a_file_that_can_t_be_read_is_not_the_key_s_fault() {
        for reason in [Reason::Token, Reason::Secret] {
            let failure = failure(reason, None);
            let unsent = Trouble { reached: None, ..trouble(&failure) };
            assert_eq!(
                of_key(&case(KeyState::Active, vec![unsent])).blame,
                Some(Blame::Exporter),
                "{reason}"
            );
        }
    }
}
