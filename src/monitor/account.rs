//! API Cabinet accounts: at most one log-in at a time per account, and never so many refused log-ins that the
//! account is locked.
//!
//! The limits are per account, not per key: twenty keys may share one mail and one wrong password.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Duration, Instant};

use super::{Context, persist};
use crate::config;
use crate::partner_api::error::{DocumentedCode, ErrorCode};
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::login::LoginAnswer;
use crate::partner_api::request_id::RequestId;
use crate::password_fingerprint::PasswordFingerprint;
use crate::probe::Prober;
use crate::store::{RefusedLogins, StateUpdate, Store};

/// A refused password is tried once more, in case the refusal was an error, and then never again: no
/// documentation says how many refusals lock an account.
const MAX_REFUSALS: u32 = 2;
/// The delay before that second try.
const REFUSAL_RETRY_DELAY: Duration = Duration::from_mins(15);
/// The delay after a log-in that failed for a reason other than the account. It doubles with each
/// further failure.
const MIN_RETRY_DELAY: Duration = Duration::from_secs(5);
/// The maximum delay after such a failure.
const MAX_RETRY_DELAY: Duration = Duration::from_mins(5);
/// A token is used for at least this long, even if it seems to have expired already: a wrong clock, here
/// or at the server, must not make every probe log in.
const MIN_TOKEN_USE: Duration = Duration::from_mins(1);
/// The timeout of one log-in.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// All accounts that keys log in with.
#[derive(Debug, Default)]
pub(crate) struct Accounts(Mutex<HashMap<AccountId, Arc<tokio::sync::Mutex<Account>>>>);

/// The URL of the log-in route, and the mail in lower case, because upper and lower case make no difference.
type AccountId = (String, String);

/// The state of one account. Its lock is held during a log-in.
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
    /// The time of the last refusal.
    at: Instant,
    /// When it may be tried again; `None` means never.
    retry_at: Option<Instant>,
    failure: TokenFailure,
}

/// A refused password, as far as this process knows it.
#[derive(Debug)]
enum KnownPassword {
    /// It was refused in this process.
    Plain(SecretString),
    /// It was refused before a restart.
    Fingerprint(PasswordFingerprint),
}

/// A log-in that failed for a reason other than the account.
#[derive(Debug)]
struct FailedAttempt {
    times: u32,
    retry_at: Instant,
    failure: TokenFailure,
}

/// A token from a log-in, valid for four hours.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) value: SecretString,
    pub(super) obtained_at: Instant,
    /// When it expires, by the monotonic clock.
    pub(super) expires_at: Instant,
    /// When to fetch the next one.
    pub(super) renew_at: Instant,
    /// When it expires, by the wall clock, for display.
    pub(super) displayed_expiry: SystemTime,
}

/// Why there is no token or secret for a request.
#[derive(Clone, Debug)]
pub(super) struct TokenFailure {
    pub(super) failure: Failure,
    pub(super) request_id: Option<RequestId>,
}

impl Accounts {
    /// Logs in, unless the account must not be tried now; then returns the failure of the last try.
    pub(super) async fn log_in(
        &self,
        context: &Context,
        prober: &Prober,
        login: &config::Login,
        password: &SecretString,
    ) -> Result<Token, TokenFailure> {
        let id = (prober.auth_url().to_owned(), login.mail.to_lowercase());
        let account = {
            let mut by_id = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(by_id.entry(id.clone()).or_default())
        };
        let mut account = account.lock().await;
        if account.refused.is_none() {
            // At each log-in: the storage directory may have become usable only after the first one.
            account.refused = context.store.refused_logins(&id.0, &id.1).map(RefusedPassword::restored);
        }
        account.resolve_fingerprint(password).await;
        if let Some(failure) = account.blocking_failure(password, Instant::now()) {
            return Err(failure);
        }
        let report = prober.log_in(&login.mail, password, login.firm.as_ref(), LOGIN_TIMEOUT).await;
        if let Some(expiry) = report.certificate_expiry {
            context.shared_state.set_certificate_expiry(prober.auth_host(), expiry);
        }
        let before = account.refusals();
        let outcome = account.record_response(report.outcome, password, Instant::now());
        // A success is persisted each time: a state file with older refusals may become readable later.
        if account.refusals() != before || outcome.is_ok() {
            persist_refusals(&context.store, id, password, account.refusals()).await;
        }
        outcome
    }

    /// Allows every account one more try after a reload: it means that the operator fixed something, here or
    /// at MyUnisoft.
    pub(crate) fn allow_another_try(&self) {
        let by_id = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for account in by_id.values() {
            // If the lock is held, a log-in is in progress, so the account is being tried already.
            if let Ok(mut account) = account.try_lock() {
                account.failed = None;
                if let Some(refused) = &mut account.refused {
                    // The delay holds for frequent reloads too: some sidecars reload at each change.
                    refused.retry_at = Some(refused.at + REFUSAL_RETRY_DELAY);
                }
            }
        }
    }
}

/// Persists the number of refusals, so that a restart does not reset it for a wrong password.
async fn persist_refusals(store: &Store, id: AccountId, password: &SecretString, times: u32) {
    let (auth_url, mail) = id;
    let refused = if times == 0 {
        None
    } else {
        // A second fingerprint of the same password would reveal more of it to a person who sees both.
        let password = match store.refused_logins(&auth_url, &mail).filter(|_| times > 1) {
            Some(known) => known.password,
            None => fingerprint_of(password).await,
        };
        Some(RefusedLogins { times, last: SystemTime::now(), password })
    };
    persist(store, StateUpdate::Login { auth_url, mail, refused }).await;
}

/// The hash is slow on purpose, so it runs on a thread for blocking work.
async fn fingerprint_of(password: &SecretString) -> PasswordFingerprint {
    let copy = password.clone();
    let fingerprint = tokio::task::spawn_blocking(move || PasswordFingerprint::of(&copy)).await;
    // It fails only when the runtime shuts down; nothing is persisted then.
    fingerprint.unwrap_or_else(|_| PasswordFingerprint::of(password))
}

impl Account {
    /// How many times the last tried password was refused.
    fn refusals(&self) -> u32 {
        self.refused.as_ref().map_or(0, |refused| refused.times)
    }

    /// Drops a refusal from before the restart if it was of another password. One in 256 other passwords
    /// matches the fingerprint too; it is not tried until a reload allows a try.
    async fn resolve_fingerprint(&mut self, password: &SecretString) {
        let Some(refused) = &mut self.refused else { return };
        let KnownPassword::Fingerprint(fingerprint) = &refused.password else { return };
        let (fingerprint, candidate) = (fingerprint.clone(), password.clone());
        let same = tokio::task::spawn_blocking(move || fingerprint.matches(&candidate)).await.unwrap_or(true);
        if same {
            refused.password = KnownPassword::Plain(password.clone());
        } else {
            self.refused = None;
        }
    }

    /// The failure to report instead of a log-in, while the account must not be tried.
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
        let failure = match outcome {
            Ok(LoginAnswer::Token { token, lives_for }) => {
                *self = Self::default();
                return Ok(Token::new(token, lives_for, now));
            }
            Ok(LoginAnswer::FirmSelection) => {
                let text = "the account has access to several firms: set one of them in login.firm";
                self.record_refusal(password, TokenFailure::new(text, None, None), now)
            }
            Ok(LoginAnswer::Refused(code, request_id)) => {
                let text = "the log-in was refused: check mail, password and firm";
                self.record_refusal(password, TokenFailure::new(text, code, request_id), now)
            }
            Ok(LoginAnswer::Unavailable(code, request_id)) => {
                let cause = match code.as_ref().map(ErrorCode::documented) {
                    Some(Some(DocumentedCode::UnderMaintenance)) => Reason::Maintenance,
                    Some(_) => Reason::ApiError,
                    None => Reason::Edge,
                };
                let text = if code.is_some() {
                    "the log-in route cannot answer now"
                } else {
                    "the response of the log-in route is not as documented"
                };
                self.record_failure(TokenFailure::new(text, code, request_id), cause, now)
            }
            // It says nothing about the account, so the account does not have to wait.
            Err(failure) if failure.is_resource_exhaustion => TokenFailure { failure, request_id: None },
            Err(Failure { reason: cause, detail, .. }) => {
                let text = format!("the log-in failed: {detail}");
                self.record_failure(TokenFailure::new(&text, None, None), cause, now)
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

    /// Records a failure whose `cause` is not the account. A refused password stays refused: a failure between
    /// two tries proves nothing about the password.
    fn record_failure(&mut self, mut failure: TokenFailure, cause: Reason, now: Instant) -> TokenFailure {
        failure.failure.underlying = Some(cause);
        let times = self.failed.as_ref().map_or(0, |failed| failed.times).saturating_add(1);
        // The minimum delay × 1, 2, 4, …, up to the maximum.
        let factor = 2_u32.saturating_pow(times - 1);
        let retry_at = now + MIN_RETRY_DELAY.saturating_mul(factor).min(MAX_RETRY_DELAY);
        self.failed = Some(FailedAttempt { times, retry_at, failure: failure.clone() });
        failure
    }
}

impl RefusedPassword {
    /// Continues with the refusals of the previous process.
    fn restored(RefusedLogins { times, last, password }: RefusedLogins) -> Self {
        // If the clock was set back, the delay must not become longer.
        let left = REFUSAL_RETRY_DELAY.saturating_sub(last.elapsed().unwrap_or_default());
        let detail = "the log-in was refused before the restart: check mail, password and firm";
        Self {
            password: KnownPassword::Fingerprint(password),
            times,
            at: Instant::now(),
            retry_at: (times < MAX_REFUSALS).then(|| Instant::now() + left),
            failure: TokenFailure::new(detail, None, None),
        }
    }

    fn matches(&self, password: &SecretString) -> bool {
        match &self.password {
            KnownPassword::Plain(refused) => refused.expose_secret() == password.expose_secret(),
            // Not compared yet: an unnecessary wait is better than an unnecessary try.
            KnownPassword::Fingerprint(_) => true,
        }
    }
}

impl Token {
    /// A token is renewed when a tenth of its lifetime is left, or ten minutes if that is less.
    fn new(value: SecretString, lives_for: Duration, now: Instant) -> Self {
        let early = (lives_for / 10).min(Duration::from_mins(10));
        let expires_at = now + lives_for;
        let renew_at = expires_at.checked_sub(early).unwrap_or(now).max(now + MIN_TOKEN_USE);
        let displayed_expiry = SystemTime::now() + lives_for;
        Self { value, obtained_at: now, expires_at, renew_at, displayed_expiry }
    }

    /// Whether it is time to fetch the next token.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.renew_at <= now
    }

    pub(super) fn has_expired(&self, now: Instant) -> bool {
        self.expires_at <= now
    }
}

impl TokenFailure {
    /// The token or the password cannot be read, as `problem` says. Nothing was sent.
    pub(super) fn unreadable(problem: String) -> Self {
        Self { failure: Failure::new(Reason::Credential, problem), request_id: None }
    }

    /// A failed log-in. Its error code is appended to `text`.
    fn new(text: &str, code: Option<ErrorCode>, request_id: Option<RequestId>) -> Self {
        let detail = code.as_ref().map_or_else(|| text.to_owned(), |code| format!("{text} ({code})"));
        Self { failure: Failure { code, ..Failure::new(Reason::Login, detail) }, request_id }
    }

    /// The same failure, with the time until the next try; `None` means that this password is not tried
    /// again.
    fn with_retry_time(&self, left: Option<Duration>) -> Self {
        let next_try = match left {
            Some(left) => {
                let left = Duration::from_secs(left.as_secs() + 1);
                format!("the next try is in {}", humantime::format_duration(left))
            }
            None => {
                "to avoid locking the account, there is no further try until the password changes or the \
                 configuration is reloaded"
                    .to_owned()
            }
        };
        let mut failure = self.clone();
        failure.failure.detail = format!("{}; {next_try}", self.failure.detail);
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn refused() -> LoginAnswer {
        LoginAnswer::Refused(None, None)
    }

    /// Tries to log in every second; returns the seconds at which a log-in was sent.
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
    fn a_refused_password_is_tried_twice_and_then_never_again() {
        assert_eq!(tries(&mut Account::default(), "wrong", refused, 100), [0, 900]);
    }

    #[test]
    fn a_temporary_failure_is_retried_with_growing_delays_up_to_five_minutes() {
        let unavailable = || LoginAnswer::Unavailable(None, None);
        let tries = tries(&mut Account::default(), "right", unavailable, 1);
        assert_eq!(tries[..4], [0, 5, 15, 35]);
        assert!(tries.windows(2).all(|two| two[1] - two[0] <= 300));
    }

    #[test]
    fn a_temporary_failure_does_not_reset_a_refusal() {
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
    fn another_password_is_tried_immediately() {
        let now = Instant::now();
        let mut account = Account::default();
        account.record_response(Ok(refused()), &"wrong".into(), now).unwrap_err();
        assert!(account.blocking_failure(&"wrong".into(), now).is_some());
        assert!(account.blocking_failure(&"fixed".into(), now).is_none());
    }

    #[tokio::test]
    async fn refusals_before_a_restart_count_for_the_same_password_only() {
        for (password, waits) in [("wrong", true), ("fixed", false)] {
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
    fn a_token_is_renewed_before_it_expires() {
        let now = Instant::now();
        let token = Token::new("t".into(), Duration::from_hours(4), now);
        assert_eq!(token.renew_at, now + Duration::from_mins(230));
        let short = Token::new("t".into(), Duration::from_mins(10), now);
        assert_eq!(short.renew_at, now + Duration::from_mins(9));
    }

    #[test]
    fn a_token_that_has_expired_on_arrival_is_used_for_a_minute() {
        let now = Instant::now();
        for lives_for in [Duration::ZERO, Duration::from_secs(2)] {
            assert_eq!(Token::new("t".into(), lives_for, now).renew_at, now + MIN_TOKEN_USE);
        }
    }
}
