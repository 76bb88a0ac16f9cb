//! The API Cabinet log-in: the client sends an e-mail address and a password and gets a token with a lifetime of
//! four hours by default.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::clock::format_without_zone;
use crate::error_codes::{NOT_A_LOG_IN, WRONG_PASSWORD};
use crate::refusal::Refusal;
use crate::request::LogInBody;
use crate::spec::{FirmSpec, LoginSpec, LoginStatus};
use crate::state::Shared;

/// `POST /api/authenticate/firm`
pub(crate) async fn log_in(
    extract::State(shared): extract::State<Arc<Shared>>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let log_in: LogInBody = serde_json::from_slice(&body).map_err(|_| Refusal::new(NOT_A_LOG_IN))?;
    let mut state = shared.lock();
    let account = state.accounts.get_mut(&log_in.mail).ok_or(Refusal::new(WRONG_PASSWORD))?;
    account.check_password(&log_in.password)?;
    let spec = account.spec.clone();
    let firm = match (spec.status, account.choose_firm(log_in.firm.as_ref())?) {
        (None | Some(LoginStatus::Authenticated), Some(firm)) => firm.clone(),
        (None | Some(LoginStatus::Authenticated), None) => {
            return Ok(without_token(&spec, LoginStatus::FirmSelection));
        }
        (Some(status), _) => return Ok(without_token(&spec, status)),
    };
    let token = state.log_in(&log_in.mail, &firm).ok_or(Refusal::new("ERR-INTERNAL"))?;
    let firm_id = if spec.firm_id_as_text { json!(firm.id.to_string()) } else { json!(firm.id) };
    let mut answer = json!({
        "api_token": token,
        "expiresIn": format_without_zone(state.clock.shown() + spec.lifetime, spec.offset_minutes),
        "firm": {"id": firm_id, "label": firm.label},
    });
    if let (Some(status), Some(answer)) = (spec.status, answer.as_object_mut()) {
        answer.insert("status".into(), json!(status));
    }
    Ok(Json(answer).into_response())
}

/// Only `firm-selection` says more than its status: which firms the account has.
fn without_token(spec: &LoginSpec, status: LoginStatus) -> Response {
    let answer = match status {
        LoginStatus::FirmSelection => {
            let details: Vec<_> = spec.firms.iter().map(selectable).collect();
            json!({"status": status, "details": details})
        }
        LoginStatus::Authenticated
        | LoginStatus::UpdatePassword
        | LoginStatus::RequireOtp
        | LoginStatus::RequireCguApproval => json!({"status": status}),
    };
    (spec.status_without_token, Json(answer)).into_response()
}

fn selectable(firm: &FirmSpec) -> Value {
    json!({"member_group_id": firm.id.to_string(), "label": firm.label})
}
