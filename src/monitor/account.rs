//! API Cabinet accounts: at most one log-in at a time for each, and never so many refused ones that
//! the account is locked.
//!
//! The limits are an account's, not a key's: twenty keys may share one mail and one wrong password.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Duration, Instant};

use crate::config;
use crate::partner_api::error::{Code, ErrorCode};
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::login::LoginAnswer;
use crate::partner_api::request_id::RequestId;
use crate::password_fingerprint::PasswordFingerprint;
use crate::probe::Prober;
use crate::state::SharedState;
use crate::store::{RefusedLogins, StateUpdate, Store};

/// A refused password is tried once more, in case the refusal was an accident, and then never again:
/// how many refusals lock an account is documented nowhere.
const MAX_REFUSALS: u32 = 2;
/// Before that one more try.
const REFUSAL_RETRY_DELAY: Duration = Duration::from_mins(15);
/// The wait after a log-in that failed for no fault of the password; it doubles with each further one.
const MIN_RETRY_DELAY: Duration = Duration::from_secs(5);
/// The longest wait after such a failure.
const MAX_RETRY_DELAY: Duration = Duration::from_mins(5);
/// A token is used for at least that long, be it over already by what was said of it: a clock that is
/// wrong, here or there, must not make every probe log in.
const MIN_TOKEN_USE: Duration = Duration::from_mins(1);
/// How long one log-in may take.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Every account that some key logs in with.
#[derive(Debug)]
pub struct Accounts {
    store: Store,
    by_id: Mutex<HashMap<AccountId, Arc<tokio::sync::Mutex<Account>>>>,
}

/// Where one logs in, and the mail.
type AccountId = (String, String);

/// What is known of one account. Its lock is held while a log-in is under way.
#[derive(Debug, Default)]
struct Account {
    refused: Option<RefusedPassword>,
    failed: Option<FailedAttempt>,
}

/// A password that the log-in route refused.
#[derive(Debug)]
struct RefusedPassword {
    password: KnownPassword,
    times: u32,
    /// When it was refused last.
    at: Instant,
    /// When it may be tried again; `None`: never.
    retry_at: Option<Instant>,
    failure: TokenFailure,
}

/// How a refused password is recognised.
#[derive(Debug)]
enum KnownPassword {
    /// It was refused in this process.
    Plain(SecretString),
    /// It was refused before a restart.
    Fingerprint(PasswordFingerprint),
}

/// A log-in that failed for no fault of the password.
#[derive(Debug)]
struct FailedAttempt {
    times: u32,
    retry_at: Instant,
    failure: TokenFailure,
}

/// A four-hour token.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) value: SecretString,
    pub(super) obtained_at: Instant,
    /// When it ends, by the monotonic clock.
    pub(super) expires: Instant,
    /// When it is time to fetch the next one.
    pub(super) renew_at: Instant,
    /// When it ends, for people.
    pub(super) expiry: SystemTime,
}

/// Why there is no token.
#[derive(Clone, Debug)]
pub(super) struct TokenFailure {
    pub(super) failure: Failure,
    pub(super) request_id: Option<RequestId>,
}

impl Accounts {
    /// Accounts as `store` remembers them.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, by_id: Mutex::default() }
    }

    /// Logs in, unless the account has to be left alone for now.
    pub(super) async fn log_in(
        &self,
        prober: &Prober,
        shared_state: &SharedState,
        login: &config::Login,
        password: &SecretString,
    ) -> Result<Token, TokenFailure> {
        let account = self.account(prober, login);
        let mut account = account.lock().await;
        if account.refused.is_none() {
            // At each log-in: the storage folder may have become usable only after the first one.
            let persisted = self.store.refused_logins(prober.auth_url(), &login.mail.to_lowercase());
            account.refused = persisted.map(RefusedPassword::restored);
        }
        account.resolve_fingerprint(password).await;
        if let Some(failure) = account.blocking_failure(password, Instant::now()) {
            return Err(failure);
        }
        let report = prober.log_in(&login.mail, password, login.firm.as_ref(), LOGIN_TIMEOUT).await;
        if let Some(expiry) = report.certificate_expiry {
            shared_state.set_certificate_expiry(prober.auth_host(), expiry);
        }
        let before = account.refusals();
        let outcome = account.record_response(report.outcome, password, Instant::now());
        // That it was let in is told each time: an older memory of refusals may yet come to light.
        if account.refusals() != before || outcome.is_ok() {
            self.persist_refusals(prober, login, password, account.refusals()).await;
        }
        outcome
    }

    /// A reload is the operator's word that something was mended, if only at MyUnisoft's: every
    /// account gets one more try.
    pub fn allow_another_try(&self) {
        let by_id = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        for account in by_id.values() {
            // One whose log-in is under way is being tried right now.
            if let Ok(mut account) = account.try_lock() {
                account.failed = None;
                if let Some(refused) = &mut account.refused {
                    // However often it is reloaded: there are sidecars that do so at each change.
                    refused.retry_at = Some(refused.at + REFUSAL_RETRY_DELAY);
                }
            }
        }
    }

    fn account(&self, prober: &Prober, login: &config::Login) -> Arc<tokio::sync::Mutex<Account>> {
        let mut by_id = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        // A mail is the same account however it is capitalised.
        let id = (prober.auth_url().to_owned(), login.mail.to_lowercase());
        Arc::clone(by_id.entry(id).or_default())
    }

    /// A restart must not give a wrong password a fresh start.
    async fn persist_refusals(
        &self,
        prober: &Prober,
        login: &config::Login,
        password: &SecretString,
        times: u32,
    ) {
        let (auth_url, mail) = (prober.auth_url().to_owned(), login.mail.to_lowercase());
        // Another mark of the same password would tell more of it to whoever sees both.
        let same = self.store.refused_logins(&auth_url, &mail).filter(|_| times > 1);
        let mark = match same {
            _ if times == 0 => None,
            Some(known) => Some(known.password),
            None => Some(fingerprint_of(password).await),
        };
        let refused = mark.map(|password| RefusedLogins { times, last: SystemTime::now(), password });
        super::persist(&self.store, StateUpdate::Login { auth_url, mail, refused }).await;
    }
}

/// Marking is slow on purpose, so it is kept off the threads that probe.
async fn fingerprint_of(password: &SecretString) -> PasswordFingerprint {
    let copy = password.clone();
    let marked = tokio::task::spawn_blocking(move || PasswordFingerprint::of(&copy)).await;
    // It only fails where the runtime ends, and then nothing is kept any more.
    marked.unwrap_or_else(|_| PasswordFingerprint::of(password))
}

impl Account {
    /// How often the password last tried was refused.
    fn refusals(&self) -> u32 {
        self.refused.as_ref().map_or(0, |refused| refused.times)
    }

    /// Forgets a refusal from before the restart if it was of another password. One in 256 others can't
    /// be told from it, and is left alone like it until a reload gives it its try.
    async fn resolve_fingerprint(&mut self, password: &SecretString) {
        if let Some(RefusedPassword { password: known @ KnownPassword::Fingerprint(_), .. }) =
            &mut self.refused
        {
            let (candidate, KnownPassword::Fingerprint(mark)) = (password.clone(), &*known) else { return };
            let mark = mark.clone();
            let same = tokio::task::spawn_blocking(move || mark.matches(&candidate)).await.unwrap_or(true);
            if same {
                *known = KnownPassword::Plain(password.clone());
            } else {
                self.refused = None;
            }
        }
    }

    /// The failure to report instead of trying, while the account is to be left alone.
    fn blocking_failure(&self, password: &SecretString, now: Instant) -> Option<TokenFailure> {
        if let Some(failed) = self.failed.as_ref().filter(|failed| now < failed.retry_at) {
            return Some(failed.failure.with_retry_time(Some(failed.retry_at - now)));
        }
        let refused = self.refused.as_ref().filter(|refused| refused.matches(password))?;
        match refused.retry_at {
            Some(retry_at) if retry_at <= now => None,
            retry_at => Some(refused.failure.with_retry_time(retry_at.map(|retry_at| retry_at - now))),
        }
    }

    fn record_response(
        &mut self,
        outcome: Result<LoginAnswer, Failure>,
        password: &SecretString,
        now: Instant,
    ) -> Result<Token, TokenFailure> {
        let message = |what: &str, code: Option<&ErrorCode>| {
            code.map_or_else(|| what.to_owned(), |code| format!("{what} ({code})"))
        };
        let failure = match outcome {
            Ok(LoginAnswer::Token { token, lives_for }) => {
                *self = Self::default();
                return Ok(Token::new(token, lives_for, now));
            }
            Ok(LoginAnswer::FirmSelection) => {
                let detail = "the account reaches several firms: name one in login.firm".to_owned();
                self.record_refusal(password, TokenFailure::new(detail, None, None), now)
            }
            Ok(LoginAnswer::Refused(code, request_id)) => {
                let detail = message("the log-in was refused: check mail, password and firm", code.as_ref());
                self.record_refusal(password, TokenFailure::new(detail, code, request_id), now)
            }
            Ok(LoginAnswer::Unavailable(code, request_id)) => {
                let detail = message("the log-in route did not answer as documented", code.as_ref());
                let met = match code.as_ref().map(ErrorCode::documented) {
                    Some(Some(Code::UnderMaintenance)) => Reason::Maintenance,
                    Some(_) => Reason::ApiError,
                    None => Reason::Edge,
                };
                self.record_failure(TokenFailure::new(detail, code, request_id).with_cause(met), now)
            }
            // It says nothing about the account, which need not wait for it.
            Err(failure) if failure.is_resource_exhaustion => TokenFailure { failure, request_id: None },
            Err(failure) => {
                let detail = format!("the log-in failed: {}", failure.detail);
                self.record_failure(TokenFailure::new(detail, None, None).with_cause(failure.reason), now)
            }
        };
        Err(failure)
    }

    fn record_refusal(
        &mut self,
        password: &SecretString,
        failure: TokenFailure,
        now: Instant,
    ) -> TokenFailure {
        let before = self.refused.as_ref().filter(|refused| refused.matches(password));
        let times = before.map_or(0, |refused| refused.times).saturating_add(1);
        self.refused = Some(RefusedPassword {
            password: KnownPassword::Plain(password.clone()),
            times,
            at: now,
            retry_at: (times < MAX_REFUSALS).then(|| now + REFUSAL_RETRY_DELAY),
            failure: failure.clone(),
        });
        self.failed = None;
        failure
    }

    /// What was refused stays refused: a failure in between proves nothing about the password.
    fn record_failure(&mut self, failure: TokenFailure, now: Instant) -> TokenFailure {
        let times = self.failed.as_ref().map_or(0, |failed| failed.times).saturating_add(1);
        let retry_at = now + backoff(MIN_RETRY_DELAY, times, MAX_RETRY_DELAY);
        self.failed = Some(FailedAttempt { times, retry_at, failure: failure.clone() });
        failure
    }
}

impl RefusedPassword {
    /// Goes on where the last process stopped.
    fn restored(RefusedLogins { times, last, password }: RefusedLogins) -> Self {
        // A clock that was set back must not stretch the wait.
        let left = REFUSAL_RETRY_DELAY.saturating_sub(last.elapsed().unwrap_or_default());
        let detail = "the log-in was refused before the restart: check mail, password and firm";
        Self {
            password: KnownPassword::Fingerprint(password),
            times,
            at: Instant::now(),
            retry_at: (times < MAX_REFUSALS).then(|| Instant::now() + left),
            failure: TokenFailure::new(detail.to_owned(), None, None),
        }
    }

    fn matches(&self, password: &SecretString) -> bool {
        match &self.password {
            KnownPassword::Plain(refused) => refused.expose_secret() == password.expose_secret(),
            // Not recognised yet: better wait in vain than try in vain.
            KnownPassword::Fingerprint(_) => true,
        }
    }
}

impl Token {
    /// A token is renewed when a tenth of its life is left, ten minutes at most.
    fn new(value: SecretString, lives_for: Duration, now: Instant) -> Self {
        let early = (lives_for / 10).min(Duration::from_mins(10));
        let expires = now + lives_for;
        let renew_at = expires.checked_sub(early).unwrap_or(now).max(now + MIN_TOKEN_USE);
        Self { value, obtained_at: now, expires, renew_at, expiry: SystemTime::now() + lives_for }
    }
}

impl TokenFailure {
    fn new(detail: String, code: Option<ErrorCode>, request_id: Option<RequestId>) -> Self {
        Self { failure: Failure { code, ..Failure::new(Reason::Login, detail) }, request_id }
    }

    /// The same, for no fault of the account.
    fn with_cause(mut self, met: Reason) -> Self {
        self.failure.met = Some(met);
        self
    }

    /// The same, telling for how long nothing is tried; `None`: not with this password.
    fn with_retry_time(&self, left: Option<Duration>) -> Self {
        let mut failure = self.clone();
        failure.failure.detail = match left {
            Some(left) => {
                let left = humantime::format_duration(Duration::from_secs(left.as_secs() + 1));
                format!("{}; the next try is in {left}", self.failure.detail)
            }
            None => format!(
                "{}; lest the account be locked, there is no further try until the password changes or the \
                 configuration is reloaded",
                self.failure.detail
            ),
        };
        failure
    }
}

/// `first`, twice that, four times that, … up to `longest`; `times` counts from one.
fn backoff(first: Duration, times: u32, longest: Duration) -> Duration {
    let factor = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn refused() -> LoginAnswer {
        LoginAnswer::Refused(None, None)
    }

    /// Tries every second; tells the seconds at which a log-in was sent.
    fn tries(account: &mut Account, password: &str, answer: fn() -> LoginAnswer, hours: u64) -> Vec<u64> {
        let start = Instant::now();
        let password = password.into();
        (0..hours * 3600)
            .filter(|second| {
                let now = start + Duration::from_secs(*second);
                if account.blocking_failure(&password, now).is_some() {
                    return false;
                }
                account.record_response(Ok(answer()), &password, now).unwrap_err();
                true
            })
            .collect()
    }

    #[test]
    fn a_refused_password_is_tried_once_more_and_then_never_again() {
        assert_eq!(tries(&mut Account::default(), "wrong", refused, 100), [0, 900]);
    }

    #[test]
    fn a_passing_failure_is_tried_again_within_minutes_and_gently() {
        let unavailable = || LoginAnswer::Unavailable(None, None);
        let tries = tries(&mut Account::default(), "right", unavailable, 1);
        assert_eq!(tries[..4], [0, 5, 15, 35]);
        assert!(tries.windows(2).all(|two| two[1] - two[0] <= 300));
    }

    #[test]
    fn a_passing_failure_does_not_wash_a_refusal_away() {
        let now = Instant::now();
        let mut account = Account::default();
        for minutes in [0, 20] {
            account
                .record_response(Ok(refused()), &"wrong".into(), now + Duration::from_mins(minutes))
                .unwrap_err();
        }
        account.record_response(Ok(LoginAnswer::Unavailable(None, None)), &"wrong".into(), now).unwrap_err();
        assert!(account.blocking_failure(&"wrong".into(), now + Duration::from_hours(9)).is_some());
    }

    #[test]
    fn another_password_gets_its_chance_at_once() {
        let now = Instant::now();
        let mut account = Account::default();
        account.record_response(Ok(refused()), &"wrong".into(), now).unwrap_err();
        assert!(account.blocking_failure(&"wrong".into(), now).is_some());
        assert!(account.blocking_failure(&"mended".into(), now).is_none());
    }

    #[tokio::test]
    async fn refusals_before_a_restart_still_count_for_the_same_password_alone() {
        for (password, waits) in [("wrong", true), ("mended", false)] {
            let logins = RefusedLogins {
                times: MAX_REFUSALS,
                last: SystemTime::now() - Duration::from_hours(48),
                password: PasswordFingerprint::with_salt([7; 16], &"wrong".into()),
            };
            let mut account = Account { refused: Some(RefusedPassword::restored(logins)), failed: None };
            account.resolve_fingerprint(&password.into()).await;
            assert_eq!(
                account.blocking_failure(&password.into(), Instant::now()).is_some(),
                waits,
                "{password}"
            );
        }
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        let now = Instant::now();
        let token = Token::new("t".into(), Duration::from_hours(4), now);
        assert_eq!(token.renew_at, now + Duration::from_mins(230));
        let short = Token::new("t".into(), Duration::from_mins(10), now);
        assert_eq!(short.renew_at, now + Duration::from_mins(9));
    }

    #[test]
    fn a_token_that_is_over_on_arrival_is_used_for_a_minute_all_the_same() {
        let now = Instant::now();
        for lives_for in [Duration::ZERO, Duration::from_secs(2)] {
            assert_eq!(Token::new("t".into(), lives_for, now).renew_at, now + MIN_TOKEN_USE);
        }
    }
}
