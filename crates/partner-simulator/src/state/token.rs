//! Tokens as MyUnisoft shapes them: JWTs whose payload says what they open.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::spec::Access;

/// What a token looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenForm {
    /// A JWT, with an `exp` claim where the token ends.
    #[default]
    JwtWithExp,
    /// A JWT without `exp`: MyUnisoft's documentation calls the claim optional.
    Jwt,
    /// Nothing that a client could read.
    Opaque,
}

/// What a token is made of.
pub(crate) struct Claims<'a> {
    pub(crate) access: &'a Access,
    pub(crate) third_party: u64,
    pub(crate) issued_at: u64,
    pub(crate) expires_at: Option<u64>,
}

/// Makes a token; the serial number makes it differ from every other of this simulator.
pub(crate) fn mint(form: TokenForm, claims: &Claims<'_>, serial: u64) -> String {
    let mut payload = match claims.access {
        Access::Society { schema, society } => json!({
            "type": "api", "m": schema, "t": claims.third_party.to_string(), "s": society.to_string(),
        }),
        Access::Firm { schema, person, .. } => json!({
            "type": "firm", "m": schema, "p": person.to_string(), "t": claims.third_party.to_string(),
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

/// Which code answers a token that this API never issued: it depends on what the token claims to be.
pub(crate) fn code_for_unknown(token: &str) -> &'static str {
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
