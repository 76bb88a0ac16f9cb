//! The API Cabinet log-in: a mail and a password for a token that lives four hours.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::clock::zoneless;
use super::codes::{ACCOUNT_LOCKED, UNKNOWN_FIRM, WRONG_PASSWORD};
use super::refusal::Refusal;
use super::spec::{Access, FirmSpec, LoginSpec};
use super::state::{State, World};

/// An account, and how often it was tried.
pub(super) struct AccountState {
    pub(super) spec: LoginSpec,
    pub(super) key: Arc<str>,
    pub(super) attempts: Attempts,
}

/// How often an account was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Log-ins of any outcome.
    pub total: u64,
    /// Those refused for their password, or because the account was locked.
    pub refused: u64,
    /// Refused since the last right password.
    pub refused_in_a_row: u32,
    /// Whether the account was locked for it; then no password helps any more.
    pub locked: bool,
}

impl AccountState {
    pub(super) fn new(spec: LoginSpec, key: Arc<str>) -> Self {
        Self { spec, key, attempts: Attempts::default() }
    }

    /// Counts the attempt and judges its password.
    fn enter(&mut self, password: &str) -> Result<(), Refusal> {
        let attempts = &mut self.attempts;
        attempts.total += 1;
        if attempts.locked {
            attempts.refused += 1;
            return Err(Refusal::new(ACCOUNT_LOCKED));
        }
        if password == self.spec.password {
            attempts.refused_in_a_row = 0;
            return Ok(());
        }
        attempts.refused += 1;
        attempts.refused_in_a_row += 1;
        attempts.locked = attempts.refused_in_a_row >= self.spec.lock_after;
        Err(Refusal::new(WRONG_PASSWORD))
    }

    /// The firm that the log-in is for; `None` where it has to choose one.
    fn choose(&self, wanted: Option<&Value>) -> Result<Option<&FirmSpec>, Refusal> {
        match (wanted, self.spec.firms.as_slice()) {
            (None | Some(Value::Null), [only]) => Ok(Some(only)),
            (None | Some(Value::Null), [_, _, ..]) => Ok(None),
            (wanted, firms) => firms
                .iter()
                .find(|firm| wanted.is_some_and(|wanted| *wanted == firm.id || *wanted == firm.label))
                .map(Some)
                .ok_or(Refusal::new(UNKNOWN_FIRM)),
        }
    }
}

#[derive(Deserialize)]
struct LogIn {
    mail: String,
    password: String,
    firm: Option<Value>,
}

/// The account that a log-in names.
pub(super) fn mail_in(body: &[u8]) -> Option<String> {
    serde_json::from_slice(body).ok().map(|LogIn { mail, .. }| mail)
}

/// `POST /api/authenticate/firm`
pub(super) async fn log_in(Shared(world): Shared<Arc<World>>, body: Bytes) -> Result<Response, Refusal> {
    let asked: LogIn = serde_json::from_slice(&body).map_err(|_| Refusal::new("GBL1"))?;
    let mut state = world.lock();
    let account = state.accounts.get_mut(&asked.mail).ok_or(Refusal::new(WRONG_PASSWORD))?;
    account.enter(&asked.password)?;
    let Some(firm) = account.choose(asked.firm.as_ref())?.cloned() else {
        return Ok((account.spec.selection_status, Json(selection(&account.spec.firms))).into_response());
    };
    let (spec, key) = (account.spec.clone(), Arc::clone(&account.key));
    let token = issue(&mut state, &key, &spec, &firm).ok_or(Refusal::new("ERR-INTERNAL"))?;
    let expires_in = zoneless(world.clock.now() + spec.lifetime, spec.offset_minutes);
    Ok(Json(json!({
        "api_token": token,
        "expiresIn": expires_in,
        "firm": {"id": firm.id, "label": firm.label},
    }))
    .into_response())
}

fn issue(state: &mut State, key: &Arc<str>, spec: &LoginSpec, firm: &FirmSpec) -> Option<String> {
    if spec.one_token {
        state.end_tokens(key);
    }
    let opens = Access::Firm { schema: firm.id, person: 3001, societies: firm.societies.clone() };
    state.issue(key, opens, Some((spec.lifetime, spec.expired.clone())), None)
}

/// The documentation shows the status alone; that the firms are listed beside it is a guess.
fn selection(firms: &[FirmSpec]) -> Value {
    let firms: Vec<_> = firms.iter().map(|firm| json!({"id": firm.id, "label": firm.label})).collect();
    json!({"status": "firm-selection", "firms": firms})
}
