//! The API Cabinet log-in: the client sends an e-mail address and a password and gets a token with a lifetime of
//! four hours by default.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::format_without_zone;
use crate::error_codes::WRONG_PASSWORD;
use crate::refusal::Refusal;
use crate::spec::{Access, FirmSpec};
use crate::state::Shared;

#[derive(Deserialize)]
struct LogInBody {
    mail: String,
    password: String,
    firm: Option<Value>,
}

/// The e-mail address in the body of a log-in.
pub(crate) fn mail_of(body: &[u8]) -> Option<String> {
    serde_json::from_slice(body).ok().map(|LogInBody { mail, .. }| mail)
}

/// `POST /api/authenticate/firm`
pub(crate) async fn log_in(
    extract::State(shared): extract::State<Arc<Shared>>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let log_in: LogInBody = serde_json::from_slice(&body).map_err(|_| Refusal::new("GBL1"))?;
    let mut state = shared.lock();
    let account = state.accounts.get_mut(&log_in.mail).ok_or(Refusal::new(WRONG_PASSWORD))?;
    account.check_password(&log_in.password)?;
    let Some(firm) = account.choose_firm(log_in.firm.as_ref())?.cloned() else {
        return Ok((account.spec.selection_status, Json(selection(&account.spec.firms))).into_response());
    };
    let (spec, key) = (account.spec.clone(), Arc::clone(&account.key));
    if spec.one_token {
        state.revoke_tokens(&key);
    }
    let access = Access::Firm { schema: firm.id, societies: firm.societies };
    let token = state.issue_token(&key, access, Some((spec.lifetime, spec.expired)), None);
    let token = token.ok_or(Refusal::new("ERR-INTERNAL"))?;
    Ok(Json(json!({
        "api_token": token,
        "expiresIn": format_without_zone(state.clock.now() + spec.lifetime, spec.offset_minutes),
        "firm": {"id": firm.id, "label": firm.label},
    }))
    .into_response())
}

/// The documentation shows only `status`. The list of firms is a guess.
fn selection(firms: &[FirmSpec]) -> Value {
    let firms: Vec<_> = firms.iter().map(|firm| json!({"id": firm.id, "label": firm.label})).collect();
    json!({"status": "firm-selection", "firms": firms})
}
