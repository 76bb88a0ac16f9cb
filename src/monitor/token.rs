//! Where a key's token is right now.

use secrecy::SecretString;
use tokio::time::{Duration, Instant};

use super::Context;
use super::account::{Token, TokenFailure};
use crate::config::{Credential, Login};
use crate::partner_api::failure::{Failure, Reason};
use crate::probe::Prober;
use crate::secret::{SecretError, SecretKind, WatchedSecret};
use crate::store::Fingerprint;

/// A refused token younger than this is not replaced by another log-in: a key that is revoked for
/// good must not log in with every probe.
const MIN_AGE_TO_REPLACE: Duration = Duration::from_mins(5);

/// Holds a key's token, and keeps it fresh.
#[derive(Debug)]
pub(super) enum TokenProvider {
    /// A permanent token, from wherever the operator keeps it.
    Permanent(WatchedSecret),
    /// A log-in, and the token it last yielded.
    Account { login: Login, password: WatchedSecret, token: Option<Token> },
}

impl TokenProvider {
    pub(super) fn new(credential: &Credential) -> Self {
        match credential {
            Credential::Token(source) => {
                Self::Permanent(WatchedSecret::new(source.clone(), SecretKind::HeaderValue))
            }
            Credential::Login(login) => Self::Account {
                password: WatchedSecret::new(login.password.clone(), SecretKind::Password),
                login: login.clone(),
                token: None,
            },
        }
    }

    /// What the key's memory is bound to. An account's tokens come and go: there it is the account.
    pub(super) fn fingerprint(&self, partner: &str, key: &str, token: &SecretString) -> Fingerprint {
        match self {
            Self::Permanent(_) => Fingerprint::of_token(partner, key, token),
            Self::Account { login, .. } => Fingerprint::of_login(partner, key, login),
        }
    }

    /// The token to use now. A log-in's is renewed before it ends; should that fail, the old one
    /// serves until its end, so that no probe is lost.
    pub(super) async fn token(
        &mut self,
        context: &Context,
        prober: &Prober,
    ) -> Result<&SecretString, TokenFailure> {
        match self {
            Self::Permanent(watched) => watched.current().map_err(|error| unreadable(Reason::Token, &error)),
            Self::Account { login, password, token } => {
                let now = Instant::now();
                if token.as_ref().is_none_or(|token| token.renew_at <= now) {
                    let password = password.current().map_err(|error| unreadable(Reason::Login, &error))?;
                    match context.accounts.log_in(prober, &context.shared_state, login, password).await {
                        Ok(fresh) => *token = Some(fresh),
                        Err(failure) if token.as_ref().is_none_or(|token| token.expires <= now) => {
                            return Err(failure);
                        }
                        Err(_) => {}
                    }
                }
                token.as_ref().map(|token| &token.value).ok_or_else(|| TokenFailure {
                    failure: Failure::new(Reason::Login, "there is no token yet"),
                    request_id: None,
                })
            }
        }
    }

    /// The same before the first probe, where it can be told without a log-in.
    pub(super) fn initial_fingerprint(&mut self, partner: &str, key: &str) -> Option<Fingerprint> {
        match self {
            Self::Permanent(watched) => {
                watched.current().ok().map(|token| Fingerprint::of_token(partner, key, token))
            }
            Self::Account { login, .. } => Some(Fingerprint::of_login(partner, key, login)),
        }
    }

    /// A permanent token, if it can be read.
    pub(super) fn permanent_token(&mut self) -> Option<&SecretString> {
        match self {
            Self::Permanent(watched) => watched.current().ok(),
            Self::Account { .. } => None,
        }
    }

    /// Drops a log-in's token that the API no longer knows, unless it is so new that another log-in
    /// would bring nothing better. Whether one was dropped.
    pub(super) fn discard_if_old(&mut self) -> bool {
        match self {
            Self::Account { token, .. } => {
                let now = Instant::now();
                token
                    .take_if(|token| now.saturating_duration_since(token.obtained_at) >= MIN_AGE_TO_REPLACE)
                    .is_some()
            }
            Self::Permanent(_) => false,
        }
    }

    /// When the token in use ends, where that is known without asking the token itself.
    pub(super) fn expiry(&self) -> Option<std::time::SystemTime> {
        match self {
            Self::Account { token: Some(token), .. } => Some(token.expiry),
            _ => None,
        }
    }
}

/// A secret that can't be read right now fails the probe: nothing was asked, so nothing is known.
pub(super) fn unreadable(reason: Reason, error: &SecretError) -> TokenFailure {
    TokenFailure { failure: Failure::new(reason, error.to_string()), request_id: None }
}
