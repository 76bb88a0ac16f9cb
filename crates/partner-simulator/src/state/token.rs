//! Tokens in MyUnisoft's format: JWTs whose payload says what they give access to.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::refusal::Refusal;
use crate::spec::{Access, TokenForm};
use crate::state::budget::Budget;

/// An issued token. It stays known after it expires, so that the log can still tell which key a request belongs to.
pub(crate) struct TokenState {
    pub(crate) key: Arc<str>,
    pub(crate) access: Access,
    pub(crate) expires_at: Option<Instant>,
    /// How requests are refused after the expiry.
    pub(crate) refusal_after_expiry: Refusal,
    pub(crate) budget: Budget,
}

impl TokenState {
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

pub(crate) struct Claims<'a> {
    pub(crate) access: &'a Access,
    pub(crate) third_party: u64,
    pub(crate) issued_at: u64,
    pub(crate) expires_at: Option<u64>,
}

/// Generates a token. The serial number makes it different from all other tokens of this simulator.
pub(crate) fn create_token(form: TokenForm, claims: &Claims<'_>, serial: u64) -> String {
    let mut payload = match claims.access {
        Access::Society { schema, society } => json!({
            "type": "api", "m": schema, "t": claims.third_party.to_string(), "s": society.to_string(),
        }),
        Access::Firm { schema, .. } => json!({
            "type": "firm", "m": schema, "p": "3001", "t": claims.third_party.to_string(),
        }),
    };
    if let Some(fields) = payload.as_object_mut() {
        fields.insert("iat".into(), json!(claims.issued_at));
        if let (TokenForm::JwtWithExp, Some(end)) = (form, claims.expires_at) {
            fields.insert("exp".into(), json!(end));
        }
    }
    let body = encode(payload.to_string());
    let signature = encode(Sha256::digest(format!("{body}.{serial}")));
    match form {
        TokenForm::Opaque => format!("opaque-{signature}"),
        TokenForm::Jwt | TokenForm::JwtWithExp => {
            format!("{}.{body}.{signature}", encode(r#"{"alg":"HS256","typ":"JWT"}"#))
        }
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The error code for a token that this API never issued. It depends on the type that the token claims.
pub(crate) fn unknown_token_code(token: &str) -> &'static str {
    match claimed_type(token).as_deref() {
        Some("api") => "ERR-API-TOKEN-NOT-FOUND",
        Some("firm") => "ERR-FIRM-TOKEN-NOT-FOUND",
        Some("user") => "ERR-INVALID-USER-JWT",
        _ => "ERR-INVALID-JWT",
    }
}

fn claimed_type(token: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Some(payload.get("type")?.as_str()?.to_owned())
}

/// The refusal for a token that does not exist or that was revoked.
pub(crate) fn token_not_found(access: &Access) -> Refusal {
    Refusal::new(match access {
        Access::Society { .. } => "ERR-API-TOKEN-NOT-FOUND",
        Access::Firm { .. } => "ERR-FIRM-TOKEN-NOT-FOUND",
    })
}
