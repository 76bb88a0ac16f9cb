//! The API Cabinet log-in: a mail and a password for a token that lives four hours.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::zoneless;
use crate::error_codes::WRONG_PASSWORD;
use crate::refusal::Refusal;
use crate::shared::World;
use crate::spec::key::Access;
use crate::spec::login::{FirmSpec, LoginSpec};
use crate::state::State;

#[derive(Deserialize)]
struct LogIn {
    mail: String,
    password: String,
    firm: Option<Value>,
}

/// The account that a log-in names.
pub(crate) fn mail_in(body: &[u8]) -> Option<String> {
    serde_json::from_slice(body).ok().map(|LogIn { mail, .. }| mail)
}

/// `POST /api/authenticate/firm`
pub(crate) async fn log_in(Shared(world): Shared<Arc<World>>, body: Bytes) -> Result<Response, Refusal> {
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
