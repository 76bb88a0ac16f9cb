//! Provides a key's current token.

use std::sync::Arc;
use std::time::SystemTime;

use secrecy::SecretString;
use tokio::time::Instant;

use super::Context;
use super::account::{Held, Obtained, Token, Turn};
use super::refused_token::RefusedToken;
use super::token_failure::TokenFailure;
use crate::config::{Credential, Login};
use crate::probe::Prober;
use crate::secret::{SecretError, SecretKind, WatchedSecret};
use crate::store::CredentialId;

const TOKEN: &str = "the key's token";
const PASSWORD: &str = "the account's password";

/// Provides a key's token, and renews it before it expires.
#[derive(Debug)]
pub(super) enum TokenProvider {
    /// A permanent token from the operator's secret source.
    Permanent(WatchedSecret),
    /// A log-in.
    Account(Box<AccountTokens>),
}

/// The log-in of one key, and its last token.
#[derive(Debug)]
pub(super) struct AccountTokens {
    login: Login,
    password: WatchedSecret,
    token: Option<Token>,
    /// Whether the token was obtained for the probe that runs now.
    is_new: bool,
    /// After a replacement, until its first response: no other log-in of the account starts.
    turn: Option<Turn>,
    /// Whether a refusal in the last response counts: the token was new, and no other log-in of this process could
    /// have ended it.
    refusal_counts: bool,
    /// Refusals that another token did not end, so they are not about the token.
    not_about_token: Vec<RefusedToken>,
}

/// What to do after the API refused the token of a probe.
#[derive(Debug)]
pub(super) enum Replacement {
    /// The response counts as it is.
    NotNeeded,
    /// Send the request again: there is another token.
    Obtained,
    /// The response says nothing about the key, and there is no other token now.
    Failed(TokenFailure),
}

impl TokenProvider {
    pub(super) fn new(credential: &Credential) -> Self {
        match credential {
            Credential::Token(source) => {
                Self::Permanent(WatchedSecret::new(source.clone(), SecretKind::HeaderValue))
            }
            Credential::Login(login) => Self::Account(Box::new(AccountTokens {
                password: WatchedSecret::new(login.password.clone(), SecretKind::Password),
                login: login.clone(),
                token: None,
                is_new: false,
                turn: None,
                refusal_counts: false,
                not_about_token: Vec::new(),
            })),
        }
    }

    /// What the key's persisted state belongs to. The tokens of an account change, so for a log-in it is the
    /// account.
    pub(super) fn id(&self, api: &Arc<str>, partner: &str, key: &str, token: &SecretString) -> CredentialId {
        match self {
            Self::Permanent(_) => CredentialId::of_token(api, partner, key, token),
            Self::Account(account) => CredentialId::of_login(api, partner, key, &account.login),
        }
    }

    /// The token to use now.
    pub(super) async fn token(
        &mut self,
        context: &Arc<Context>,
        prober: &Prober,
    ) -> Result<SecretString, TokenFailure> {
        match self {
            Self::Permanent(watched) => watched
                .current()
                .cloned()
                .map_err(|error| TokenFailure::unreadable(unreadable(TOKEN, &error))),
            Self::Account(account) => account.token(context, prober).await,
        }
    }

    /// The same before the first probe; `None` if a permanent token cannot be read yet. Does not log in.
    pub(super) fn initial_id(&mut self, api: &Arc<str>, partner: &str, key: &str) -> Option<CredentialId> {
        match self {
            Self::Permanent(watched) => {
                watched.current().ok().map(|token| CredentialId::of_token(api, partner, key, token))
            }
            Self::Account(account) => Some(CredentialId::of_login(api, partner, key, &account.login)),
        }
    }

    /// The permanent token, if the key has one that can be read.
    pub(super) fn permanent_token(&mut self) -> Option<&SecretString> {
        let Self::Permanent(watched) = self else { return None };
        watched.current().ok()
    }

    const fn watched(&self) -> &WatchedSecret {
        match self {
            Self::Permanent(token) => token,
            Self::Account(account) => &account.password,
        }
    }

    /// Where the token or the password is read from.
    pub(super) fn description(&self) -> String {
        let name = match self {
            Self::Permanent(_) => "token",
            Self::Account(_) => "password",
        };
        format!("{name}: {}", self.watched().description())
    }

    /// Reads the token or password again if its file changed. Never waits long for a file.
    pub(super) async fn refresh(&self) {
        self.watched().refresh().await;
    }

    /// The permanent token that its file has at this moment, if there is one.
    pub(super) async fn permanent_token_now(&mut self) -> Option<&SecretString> {
        self.watched().refresh_now().await;
        self.permanent_token()
    }

    /// As long as this is the same, [`Self::id`] is the same.
    pub(super) const fn version(&self) -> u64 {
        match self {
            Self::Permanent(watched) => watched.version(),
            // The fingerprint is that of the log-in.
            Self::Account(_) => 0,
        }
    }

    /// Has the file of the token or password read ahead, for a probe that is due in a moment. Returns whether there is one.
    pub(super) fn read_ahead(&self) -> bool {
        self.watched().read_ahead();
        self.watched().has_file()
    }

    /// Why the token or password cannot be read now, if it cannot, and whether the last value serves.
    pub(super) fn credential_problem(&mut self) -> (Option<String>, bool) {
        let (name, watched) = match self {
            Self::Permanent(token) => (TOKEN, token),
            Self::Account(account) => (PASSWORD, &mut account.password),
        };
        // The value is read where it is needed.
        let _ = watched.current();
        (watched.problem().map(|error| unreadable(name, error)), watched.has_value())
    }

    /// Must be called before each probe: a token that was obtained for an earlier probe is not new any more.
    pub(super) fn start_probe(&mut self) {
        if let Self::Account(account) = self {
            (account.is_new, account.refusal_counts, account.turn) = (false, false, None);
        }
    }

    /// Must be called as soon as a request with the token has ended: it allows other log-ins of the account.
    pub(super) fn end_request(&mut self) {
        if let Self::Account(account) = self {
            let is_latest = account.token.as_ref().is_some_and(Token::is_latest_of_account);
            account.refusal_counts = account.is_new && is_latest;
            account.turn = None;
        }
    }

    /// Allows other log-ins of the account.
    pub(super) fn end_turn(&mut self) {
        if let Self::Account(account) = self {
            account.turn = None;
        }
    }

    /// Replaces a log-in's token that the API refused, unless the refusal counts as it is.
    pub(super) async fn replace_refused(
        &mut self,
        refused: RefusedToken,
        context: &Arc<Context>,
        prober: &Prober,
    ) -> Replacement {
        match self {
            Self::Permanent(_) => Replacement::NotNeeded,
            Self::Account(account) => account.replace_refused(refused, context, prober).await,
        }
    }

    /// When the current token of a log-in expires; `None` for a permanent token.
    pub(super) fn expiry(&self) -> Option<SystemTime> {
        match self {
            Self::Account(account) => account.token.as_ref().map(|token| token.displayed_expiry),
            Self::Permanent(_) => None,
        }
    }
}

impl AccountTokens {
    /// The token, renewed before it expires. If the renewal fails, the old token is used until it expires, so that no
    /// probe is lost.
    async fn token(&mut self, context: &Arc<Context>, prober: &Prober) -> Result<SecretString, TokenFailure> {
        // During a turn, a log-in would wait for itself.
        let has_turn = self.turn.is_some();
        if let Some(token) = self.token.as_ref().filter(|token| has_turn || !token.is_due(Instant::now())) {
            return Ok(token.value.clone());
        }
        let failure = match self.password.current() {
            Err(error) => TokenFailure::unreadable(unreadable(PASSWORD, &error)),
            Ok(password) => {
                let held = Held::Due(self.token.as_ref());
                match context.accounts.token(context, prober, &self.login, password, held).await {
                    Ok(Obtained { token, is_new, .. }) => {
                        self.is_new = is_new;
                        return Ok(self.token.insert(token).value.clone());
                    }
                    Err(failure) => failure,
                }
            }
        };
        // The log-in took time, so the old token may have expired since.
        let valid = self.token.as_ref().filter(|token| !token.has_expired(Instant::now()));
        valid.map(|token| token.value.clone()).ok_or(failure)
    }

    /// A four-hour token may end early: another log-in of the account may end it. So the refusal of a token counts
    /// only if the token was obtained for this very probe, and no other log-in of this process was sent since.
    async fn replace_refused(
        &mut self,
        refused: RefusedToken,
        context: &Arc<Context>,
        prober: &Prober,
    ) -> Replacement {
        let Some(token) = &self.token else { return Replacement::NotNeeded };
        if self.not_about_token.contains(&refused) {
            return Replacement::NotNeeded;
        }
        if self.refusal_counts {
            if refused.is_evidence() {
                token.set_refused_when_new(refused.code());
            } else {
                self.not_about_token.push(refused);
            }
            return Replacement::NotNeeded;
        }
        let failure = match self.password.current() {
            Err(error) => TokenFailure::unreadable(unreadable(PASSWORD, &error)),
            Ok(password) => {
                let held = Held::Refused(token);
                match context.accounts.token(context, prober, &self.login, password, held).await {
                    Ok(Obtained { token, is_new, turn }) => {
                        (self.token, self.is_new, self.turn) = (Some(token), is_new, Some(turn));
                        return Replacement::Obtained;
                    }
                    Err(failure) => failure,
                }
            }
        };
        // If the API refused this token when it was new, then it did not end early.
        if token.was_refused_when_new(refused.code()) || !refused.is_certain() {
            return Replacement::NotNeeded;
        }
        Replacement::Failed(failure)
    }
}

fn unreadable(name: &str, error: &SecretError) -> String {
    format!("{name} can't be read: {error}")
}
