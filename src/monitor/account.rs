//! API Cabinet accounts: at most one log-in at a time per account, and never so many refused log-ins that the
//! account is locked.
//!
//! The keys of one account share its log-ins: those with the same firm share a token. `login_history` decides which
//! log-in may be tried.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Duration, Instant, timeout};
use tracing::{error, warn};

use super::login_history::{LoginFirm, LoginHistory, Permission, REFUSAL_RETRY_DELAY};
use super::token_failure::TokenFailure;
use super::{Context, SAVE_TIMEOUT, persist};
use crate::config;
use crate::partner_api::error::ErrorCode;
use crate::partner_api::login::{LIFETIME, LoginAnswer, LoginRefusal};
use crate::password_fingerprint::PasswordFingerprint;
use crate::probe::Prober;
use crate::store::{LoginEvent, StateUpdate, Store};

/// The delay after a log-in that failed for a reason other than the account. It doubles with each
/// further failure.
const MIN_RETRY_DELAY: Duration = Duration::from_secs(5);
/// The maximum delay after such a failure.
const MAX_RETRY_DELAY: Duration = Duration::from_mins(5);
/// A token is used for at least this long while the API accepts it, whatever it says about its end: a wrong clock,
/// here or at the server, must not make every probe log in.
const MIN_TOKEN_USE: Duration = REPLACEMENT_INTERVAL;
/// The timeout of one log-in.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// A token that the API refuses early is replaced at once, and then only once in this time. If log-ins end the
/// account's other tokens, each replacement makes the next one necessary.
const REPLACEMENT_INTERVAL: Duration = Duration::from_mins(15);
/// A reload by hand counts only once in this time: some sidecars reload at each change of a file.
const HAND_RELOAD_INTERVAL: Duration = REFUSAL_RETRY_DELAY;

/// All accounts that keys log in with.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    by_id: Mutex<HashMap<AccountId, Arc<tokio::sync::Mutex<Account>>>>,
    hand_reloads: Mutex<HandReloads>,
}

/// The URL of the log-in route, and the mail in lower case, because upper and lower case make no difference.
type AccountId = (String, String);

/// The reloads by hand that count.
#[derive(Debug, Default)]
struct HandReloads {
    count: u64,
    last: Option<Instant>,
}

/// The state of one account. Its lock is held during a log-in.
#[derive(Debug, Default)]
struct Account {
    history: LoginHistory,
    failed: Option<FailedAttempt>,
    /// The tokens of each firm.
    firms: BTreeMap<LoginFirm, FirmTokens>,
    /// How many log-ins were sent.
    sent: Arc<AtomicU64>,
    /// The reloads by hand that the history includes.
    hand_reloads: u64,
    /// The events of the journal that this process wrote.
    own_events: BTreeSet<u64>,
}

/// The log-ins of one firm.
#[derive(Debug, Default)]
struct FirmTokens {
    /// The last token, and the password that it was obtained with.
    latest: Option<(SecretString, Token)>,
    /// When a token that was refused early was replaced last.
    last_replacement: Option<Instant>,
}

impl FirmTokens {
    /// Counts a log-in that replaced a token. A renewal counts like a replacement if it soon follows one: otherwise a
    /// token that ends early and also says that it ends early would be replaced twice in each interval.
    fn count_replacement(&mut self, is_replacement: bool, now: Instant) {
        let is_soon = |last: Instant| now < last + 2 * REPLACEMENT_INTERVAL;
        if is_replacement || self.last_replacement.is_some_and(is_soon) {
            self.last_replacement = Some(now);
        }
    }
}

/// A log-in that failed for a reason other than the account.
#[derive(Debug)]
struct FailedAttempt {
    times: u32,
    retry_at: Instant,
    failure: TokenFailure,
}

/// A token from a log-in, valid for four hours.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) value: SecretString,
    /// When it expires, by the monotonic clock.
    pub(super) expires_at: Instant,
    /// When to fetch the next one.
    pub(super) renew_at: Instant,
    /// When it expires, by the wall clock, for display.
    pub(super) displayed_expiry: SystemTime,
    origin: LogIn,
}

/// The log-in that gave a token.
#[derive(Clone, Debug)]
struct LogIn {
    number: u64,
    /// How many log-ins of the account were sent, by now.
    sent: Arc<AtomicU64>,
    /// The code with which the API refused the token although it was new. All clones of the token know it.
    refused_when_new: Arc<Mutex<Option<ErrorCode>>>,
}

/// The token that a key holds when it asks for another one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Held<'a> {
    /// None, or one that should be renewed.
    Due(Option<&'a Token>),
    /// The API refused it before its time.
    Refused(&'a Token),
}

/// A token for a probe.
#[derive(Debug)]
pub(super) struct Obtained {
    pub token: Token,
    /// Whether this call logged in. Otherwise another key with the same log-in did.
    pub is_new: bool,
    pub turn: Turn,
}

/// No other log-in of the account starts while this exists. So no log-in of this process ends the token before
/// its first use.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<Account>);

impl Accounts {
    /// Obtains another token: from another key with the same log-in, or by a log-in, if one is allowed now.
    pub(super) async fn token(
        &self,
        context: &Arc<Context>,
        prober: &Prober,
        login: &config::Login,
        password: &SecretString,
        held: Held<'_>,
    ) -> Result<Obtained, TokenFailure> {
        let id = (prober.auth_url().to_string(), login.mail.to_lowercase());
        let mut account = self.account(id.clone()).lock_owned().await;
        let hand_reloads = self.hand_reloads.lock().unwrap_or_else(PoisonError::into_inner).count;
        account.catch_up(&context.store, &id, password, hand_reloads).await;
        if let Some(token) = account.shared_token(&login.firm, password, held) {
            return Ok(Obtained { token, is_new: false, turn: Turn(account) });
        }
        account.check_replacement(&login.firm, held)?;
        let attempt = Attempt {
            context: Arc::clone(context),
            prober: prober.clone(),
            id,
            login: login.clone(),
            password: password.clone(),
            is_replacement: matches!(held, Held::Refused(_)),
        };
        // A task of its own: if a reload removes the key meanwhile, the result must still be recorded.
        match tokio::spawn(attempt.run(account)).await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(TokenFailure::interrupted()),
            },
        }
    }

    fn account(&self, id: AccountId) -> Arc<tokio::sync::Mutex<Account>> {
        let new = || {
            let hand_reloads = self.hand_reloads.lock().unwrap_or_else(PoisonError::into_inner).count;
            Arc::new(tokio::sync::Mutex::new(Account { hand_reloads, ..Account::default() }))
        };
        let mut by_id = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(by_id.entry(id).or_insert_with(new))
    }

    /// Allows every account one more try after a reload by hand: it means that the operator fixed something, here
    /// or at MyUnisoft.
    pub(crate) fn allow_another_try(&self) {
        let now = Instant::now();
        let mut hand_reloads = self.hand_reloads.lock().unwrap_or_else(PoisonError::into_inner);
        if hand_reloads.last.is_none_or(|last| now >= last + HAND_RELOAD_INTERVAL) {
            *hand_reloads = HandReloads { count: hand_reloads.count + 1, last: Some(now) };
        }
    }
}

/// One log-in to send, and what it needs.
struct Attempt {
    context: Arc<Context>,
    prober: Prober,
    id: AccountId,
    login: config::Login,
    password: SecretString,
    /// Whether it replaces a token that the API refused early.
    is_replacement: bool,
}

impl Attempt {
    /// Logs in, if this is allowed now. If it is not certain that the password is right, another firm's log-in
    /// proves it first.
    async fn run(self, mut account: OwnedMutexGuard<Account>) -> Result<Obtained, TokenFailure> {
        let firm = &self.login.firm;
        while let Some(prover) = account.permission(firm, &self.password)? {
            account.log_in(&self, &prover).await?;
        }
        let token = account.log_in(&self, firm).await?;
        // A log-in that failed has replaced nothing: the bounds of refused and failed log-ins hold for it.
        account.firms.entry(firm.clone()).or_default().count_replacement(self.is_replacement, Instant::now());
        Ok(Obtained { token, is_new: true, turn: Turn(account) })
    }
}

impl Account {
    /// Brings the history up to date: with the state file, with the log-ins of the command `probe`, and with the
    /// reloads by hand.
    async fn catch_up(&mut self, store: &Store, id: &AccountId, password: &SecretString, hand_reloads: u64) {
        if self.history.is_empty()
            && let Some(record) = store.account(&id.0, &id.1)
        {
            // At each log-in: the storage directory may have become usable only after the first one.
            let journal = self.history.journal.max(record.journal);
            self.history = LoginHistory::restore(record, Instant::now());
            self.history.journal = journal;
        }
        // The account is locked meanwhile: a disk that hangs must not stop its log-ins.
        let read = timeout(SAVE_TIMEOUT, store.journal()).await;
        match read
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the disk does not respond")))
        {
            Ok(events) => self.include_journal(&events, id),
            Err(cause) => {
                warn!(%cause, "cannot read the log-ins of the command probe; their refusals are not counted");
            }
        }
        while let Some(fingerprint) = self.history.fingerprint_to_compare(password) {
            let is_same = is_fingerprint_of(&fingerprint, password).await;
            self.history.set_compared(&fingerprint, password, is_same);
        }
        if self.hand_reloads < hand_reloads {
            self.hand_reloads = hand_reloads;
            self.failed = None;
            self.history.allow_another_try(Instant::now());
        }
    }

    fn include_journal(&mut self, events: &[LoginEvent], id: &AccountId) {
        for event in events {
            let is_new = event.number > self.history.journal && !self.own_events.contains(&event.number);
            if !is_new || event.auth_url != id.0 || event.mail != id.1 {
                continue;
            }
            let history = self.history.of_fingerprint(&event.password);
            match event.refused {
                None => history.accept(event.firm.clone()),
                Some(refusal) => {
                    let age = event.at.elapsed().unwrap_or_default();
                    let cause = (refusal, TokenFailure::refused_before(refusal));
                    history.refuse(event.firm.clone(), cause, (event.at, age), Instant::now());
                }
            }
            self.history.journal = event.number;
        }
    }

    /// The token that another key with the same log-in obtained, if it is newer than the one that is held.
    fn shared_token(&self, firm: &LoginFirm, password: &SecretString, held: Held<'_>) -> Option<Token> {
        let (obtained_with, latest) = self.firms.get(firm)?.latest.as_ref()?;
        let is_held = match held {
            Held::Due(Some(token)) | Held::Refused(token) => token.is_same(latest),
            Held::Due(None) => false,
        };
        let is_same_login = obtained_with.expose_secret() == password.expose_secret();
        (is_same_login && !is_held && !latest.is_due(Instant::now())).then(|| latest.clone())
    }

    /// Refuses to replace a refused token if the firm's last one was replaced a short time ago.
    fn check_replacement(&self, firm: &LoginFirm, held: Held<'_>) -> Result<(), TokenFailure> {
        let last = self.firms.get(firm).and_then(|tokens| tokens.last_replacement);
        match (held, last) {
            (Held::Due(_), _) | (Held::Refused(_), None) => Ok(()),
            (Held::Refused(_), Some(last)) => {
                let left = (last + REPLACEMENT_INTERVAL).saturating_duration_since(Instant::now());
                if left.is_zero() { Ok(()) } else { Err(TokenFailure::tokens_end_early(left)) }
            }
        }
    }

    /// Whether to log in now: `Some` if another firm must prove first that the password is right.
    fn permission(
        &mut self,
        firm: &LoginFirm,
        password: &SecretString,
    ) -> Result<Option<LoginFirm>, TokenFailure> {
        let now = Instant::now();
        if let Some(failed) = self.failed.as_ref().filter(|failed| now < failed.retry_at) {
            return Err(failed.failure.with_retry_time(Some(failed.retry_at - now)));
        }
        match self.history.of(password).permission(firm, now) {
            Permission::Allowed => Ok(None),
            Permission::ProofNeeded(prover) => Ok(Some(prover)),
            Permission::Blocked(failure) => Err(failure),
        }
    }

    /// Sends one log-in and records its result.
    async fn log_in(&mut self, attempt: &Attempt, firm: &LoginFirm) -> Result<Token, TokenFailure> {
        let Attempt { context, prober, id, login, password, .. } = attempt;
        // The semaphore is never closed.
        let _permit = context.login_permits.acquire().await.ok();
        let number = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        let report = prober.log_in(&login.mail, password, firm.as_ref(), LOGIN_TIMEOUT).await;
        if let Some(expiry) = report.certificate_expiry {
            context.shared_state.record_certificate(prober.auth_url(), expiry);
        }
        match report.outcome {
            Ok(LoginAnswer::Token { token, lives_for }) => {
                let origin = LogIn { number, sent: Arc::clone(&self.sent), refused_when_new: Arc::default() };
                let token = Token::new(token, lives_for, Instant::now(), origin);
                self.record_success(&context.store, id, firm, password, &token).await;
                Ok(token)
            }
            Ok(LoginAnswer::Refused(refused)) => {
                let (refusal, failure) = (refused.refusal, TokenFailure::refused(refused));
                self.record_refusal(&context.store, id, firm, password, (refusal, failure.clone())).await;
                Err(self.history.of(password).final_failure(firm).unwrap_or(failure))
            }
            Ok(LoginAnswer::Unavailable(code, request_id)) => {
                Err(self.record_failure(TokenFailure::unavailable(code, request_id), Instant::now()))
            }
            // It says nothing about the account, so the account does not have to wait.
            Err(failure) if failure.is_resource_exhaustion => Err(TokenFailure { failure, request_id: None }),
            Err(failure) => Err(self.record_failure(TokenFailure::unreachable(&failure), Instant::now())),
        }
    }

    async fn record_success(
        &mut self,
        store: &Store,
        id: &AccountId,
        firm: &LoginFirm,
        password: &SecretString,
        token: &Token,
    ) {
        self.failed = None;
        self.firms.entry(firm.clone()).or_default().latest = Some((password.clone(), token.clone()));
        let history = self.history.of(password);
        let refused_before = history.fingerprint.clone().filter(|_| history.is_refused());
        history.accept(firm.clone());
        if let Some(fingerprint) = refused_before {
            self.record_event(store, id, firm, fingerprint, None).await;
        }
        // A success is persisted each time: a state file with older refusals may become readable later.
        self.save(store, id).await;
    }

    async fn record_refusal(
        &mut self,
        store: &Store,
        id: &AccountId,
        firm: &LoginFirm,
        password: &SecretString,
        (refusal, failure): (LoginRefusal, TokenFailure),
    ) {
        self.failed = None;
        let history = self.history.of(password);
        history.refuse(firm.clone(), (refusal, failure), (SystemTime::now(), Duration::ZERO), Instant::now());
        // A second fingerprint of the same password would reveal more of it to a person who sees both.
        let fingerprint = match history.fingerprint.clone() {
            Some(known) => known,
            None => history.fingerprint.insert(fingerprint_of(password).await).clone(),
        };
        self.record_event(store, id, firm, fingerprint, Some(refusal)).await;
        self.save(store, id).await;
    }

    /// Tells the exporter about a log-in, if this process is the command `probe`.
    async fn record_event(
        &mut self,
        store: &Store,
        (auth_url, mail): &AccountId,
        firm: &LoginFirm,
        password: PasswordFingerprint,
        refused: Option<LoginRefusal>,
    ) {
        let event = LoginEvent {
            number: 0,
            at: SystemTime::now(),
            auth_url: auth_url.clone(),
            mail: mail.clone(),
            firm: firm.clone(),
            password,
            refused,
        };
        match store.record_in_journal(event).await {
            Ok(number) => self.own_events.extend(number),
            Err(cause) => error!(%cause, "cannot record this log-in; the exporter does not count it"),
        }
    }

    /// Persists the refusals, so that a restart does not reset them for a wrong password.
    async fn save(&self, store: &Store, (auth_url, mail): &AccountId) {
        let (auth_url, mail, account) = (auth_url.clone(), mail.clone(), self.history.record());
        persist(store, StateUpdate::Login { auth_url, mail, account }).await;
    }

    /// Records a failure whose cause is not the account. A refused password stays refused: a failure between
    /// two tries proves nothing about the password.
    fn record_failure(&mut self, failure: TokenFailure, now: Instant) -> TokenFailure {
        let times = self.failed.as_ref().map_or(0, |failed| failed.times).saturating_add(1);
        // The minimum delay × 1, 2, 4, …, up to the maximum.
        let factor = 2_u32.saturating_pow(times - 1);
        let retry_at = now + MIN_RETRY_DELAY.saturating_mul(factor).min(MAX_RETRY_DELAY);
        self.failed = Some(FailedAttempt { times, retry_at, failure: failure.clone() });
        failure
    }
}

/// The hash is slow on purpose, so it runs on a thread for blocking work.
async fn fingerprint_of(password: &SecretString) -> PasswordFingerprint {
    let copy = password.clone();
    let fingerprint = tokio::task::spawn_blocking(move || PasswordFingerprint::of(&copy)).await;
    // It fails only when the runtime shuts down; nothing is persisted then.
    fingerprint.unwrap_or_else(|_| PasswordFingerprint::of(password))
}

/// One in 65,536 other passwords matches the fingerprint too; it is not tried until a reload by hand allows a try.
async fn is_fingerprint_of(fingerprint: &PasswordFingerprint, password: &SecretString) -> bool {
    let (fingerprint, candidate) = (fingerprint.clone(), password.clone());
    // If the runtime shuts down: an unnecessary wait is better than an unnecessary try.
    tokio::task::spawn_blocking(move || fingerprint.matches(&candidate)).await.unwrap_or(true)
}

impl Token {
    /// A token is renewed when a tenth of its lifetime is left, or ten minutes if that is less. A lifetime below
    /// [`MIN_TOKEN_USE`] is not believed: if the token cannot be renewed, it is used until the API refuses it.
    fn new(value: SecretString, lives_for: Duration, now: Instant, origin: LogIn) -> Self {
        let early = (lives_for / 10).min(Duration::from_mins(10));
        let renew_at = now + lives_for.saturating_sub(early).max(MIN_TOKEN_USE);
        let expires_at = now + if lives_for < MIN_TOKEN_USE { LIFETIME } else { lives_for };
        let displayed_expiry = SystemTime::now() + lives_for;
        Self { value, expires_at, renew_at, displayed_expiry, origin }
    }

    /// Whether it is time to fetch the next token.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.renew_at <= now
    }

    pub(super) fn has_expired(&self, now: Instant) -> bool {
        self.expires_at <= now
    }

    fn is_same(&self, other: &Self) -> bool {
        self.origin.number == other.origin.number && Arc::ptr_eq(&self.origin.sent, &other.origin.sent)
    }

    /// Whether no other log-in of the account was sent since: one could have ended this token.
    pub(super) fn is_latest_of_account(&self) -> bool {
        self.origin.sent.load(Ordering::Relaxed) == self.origin.number
    }

    /// Whether the API refused this token with the same code when it was new. Then it did not end early: another
    /// log-in that ends it changes the code.
    pub(super) fn was_refused_when_new(&self, code: &ErrorCode) -> bool {
        let refused = self.origin.refused_when_new.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref() == Some(code)
    }

    pub(super) fn set_refused_when_new(&self, code: &ErrorCode) {
        *self.origin.refused_when_new.lock().unwrap_or_else(PoisonError::into_inner) = Some(code.clone());
    }
}
