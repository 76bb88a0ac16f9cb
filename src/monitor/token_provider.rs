//! Provides a key's current token.

use std::sync::Arc;
use std::time::SystemTime;

use secrecy::SecretString;
use tokio::time::{Duration, Instant};

use super::Context;
use super::account::{Token, TokenFailure};
use crate::config::{Credential, Login};
use crate::probe::Prober;
use crate::secret::{LastValue, SecretError, SecretKind, WatchedSecret};
use crate::store::CredentialId;

/// If a token younger than this is refused, the exporter does not log in again. Otherwise a revoked key would
/// log in at every probe.
const MIN_AGE_TO_REPLACE: Duration = Duration::from_mins(5);

const TOKEN: &str = "the key's token";
const PASSWORD: &str = "the account's password";

/// Provides a key's token, and renews it before it expires.
#[derive(Debug)]
pub(super) enum TokenProvider {
    /// A permanent token from the operator's secret source.
    Permanent(WatchedSecret),
    /// A log-in, and its last token.
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

    /// What the key's persisted state belongs to. The tokens of an account change, so for a log-in it is the
    /// account.
    pub(super) fn id(&self, api: &Arc<str>, partner: &str, key: &str, token: &SecretString) -> CredentialId {
        match self {
            Self::Permanent(_) => CredentialId::of_token(api, partner, key, token),
            Self::Account { login, .. } => CredentialId::of_login(api, partner, key, login),
        }
    }

    /// The token to use now.
    pub(super) async fn token(
        &mut self,
        context: &Context,
        prober: &Prober,
    ) -> Result<SecretString, TokenFailure> {
        match self {
            Self::Permanent(watched) => watched
                .current()
                .cloned()
                .map_err(|error| TokenFailure::unreadable(unreadable(TOKEN, &error))),
            Self::Account { login, password, token } => {
                renew_if_due(token, login, password, context, prober).await
            }
        }
    }

    /// The same before the first probe; `None` if a permanent token cannot be read yet. Does not log in.
    pub(super) fn initial_id(&mut self, api: &Arc<str>, partner: &str, key: &str) -> Option<CredentialId> {
        match self {
            Self::Permanent(watched) => {
                watched.current().ok().map(|token| CredentialId::of_token(api, partner, key, token))
            }
            Self::Account { login, .. } => Some(CredentialId::of_login(api, partner, key, login)),
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
            Self::Account { password, .. } => password,
        }
    }

    /// The last token or password that was read, shared with the next reader of the same source.
    pub(super) const fn last_value(&self) -> &LastValue {
        self.watched().last_value()
    }

    /// Continues with the last token or password that an earlier reader of the same source read.
    pub(super) fn set_last_value(&mut self, last_value: LastValue) {
        match self {
            Self::Permanent(watched) | Self::Account { password: watched, .. } => {
                watched.set_last_value(last_value);
            }
        }
    }

    /// Reads the token or password again if its file changed. Returns why it cannot be read now, if it cannot, and
    /// whether the last value serves.
    pub(super) fn credential_problem(&mut self) -> (Option<String>, bool) {
        let (name, watched) = match self {
            Self::Permanent(token) => (TOKEN, token),
            Self::Account { password, .. } => (PASSWORD, password),
        };
        // The value is read where it is needed.
        let _ = watched.current();
        (watched.problem().map(|error| unreadable(name, error)), watched.has_value())
    }

    /// Drops a log-in's token that the API refused, unless it is so new that another log-in would not
    /// help. Returns whether a token was dropped.
    pub(super) fn discard_refused_token(&mut self) -> bool {
        let Self::Account { token, .. } = self else { return false };
        let now = Instant::now();
        token
            .take_if(|token| now.saturating_duration_since(token.obtained_at) >= MIN_AGE_TO_REPLACE)
            .is_some()
    }

    /// When the current token of a log-in expires; `None` for a permanent token.
    pub(super) fn expiry(&self) -> Option<SystemTime> {
        match self {
            Self::Account { token: Some(token), .. } => Some(token.displayed_expiry),
            Self::Account { token: None, .. } | Self::Permanent(_) => None,
        }
    }
}

/// The token of a log-in, renewed before it expires. If the renewal fails, the old token is used until it
/// expires, so that no probe is lost.
async fn renew_if_due(
    current: &mut Option<Token>,
    login: &Login,
    password: &mut WatchedSecret,
    context: &Context,
    prober: &Prober,
) -> Result<SecretString, TokenFailure> {
    if let Some(token) = current.as_ref().filter(|token| !token.is_due(Instant::now())) {
        return Ok(token.value.clone());
    }
    let password =
        password.current().map_err(|error| TokenFailure::unreadable(unreadable(PASSWORD, &error)))?;
    match context.accounts.log_in(context, prober, login, password).await {
        Ok(fresh) => Ok(current.insert(fresh).value.clone()),
        // The log-in took time, so the old token may have expired since.
        Err(failure) => match current {
            Some(token) if !token.has_expired(Instant::now()) => Ok(token.value.clone()),
            Some(_) | None => Err(failure),
        },
    }
}

fn unreadable(name: &str, error: &SecretError) -> String {
    format!("{name} can't be read: {error}")
}
