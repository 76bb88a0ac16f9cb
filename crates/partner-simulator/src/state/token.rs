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

/// The claims of a token, with times in seconds since the Unix epoch.
pub(crate) fn claims(access: &Access, third_party: u64, issued_at: u64, expires_at: Option<u64>) -> Value {
    let third_party = third_party.to_string();
    let mut claims = match access {
        Access::Society { schema, society } => json!({
            "type": "api", "m": schema, "t": third_party, "s": society.to_string(), "iat": issued_at,
        }),
        // The person is invented.
        Access::Firm { schema, .. } => json!({
            "type": "firm", "m": schema, "p": "3001", "t": third_party, "iat": issued_at,
        }),
    };
    if let (Some(claims), Some(end)) = (claims.as_object_mut(), expires_at) {
        claims.insert("exp".into(), json!(end));
    }
    claims
}

/// Generates a token. The serial number makes it different from all other tokens of this simulator.
pub(crate) fn create_token(form: TokenForm, claims: &Value, serial: u64) -> String {
    let body = encode(claims.to_string());
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
