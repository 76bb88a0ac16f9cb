//! The claims of a token. Their signature is not verified: the claims are used as labels only, and nothing
//! trusts them.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use serde_with::SerializeDisplay;
use strum::{Display, IntoStaticStr, VariantArray};

/// What a token gives access to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, IntoStaticStr, VariantArray, SerializeDisplay)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub(crate) enum Access {
    /// One society.
    Society,
    /// A whole schema.
    Firm,
}

/// The IDs of a key, as text for labels. An unknown ID is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "they are the names of the labels")]
pub(crate) struct Identity {
    /// The schema (the tenant).
    pub schema_id: String,
    /// The partner.
    pub third_party_id: String,
    /// The society. Empty for a key with firm access.
    pub society_id: String,
}

/// The payload of a token that is a JWT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    /// `api` for society access, `firm` for firm access.
    pub kind: Option<String>,
    pub identity: Identity,
    /// When the token expires. A permanent token has no such claim.
    pub expires: Option<SystemTime>,
}

impl Claims {
    /// Reads the payload of a JWT. Returns `None` if the token is not a JWT. This is not an error: it is
    /// not documented that every token is a JWT.
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let &[_, payload, _] = token.split('.').collect::<Vec<_>>().as_slice() else { return None };
        let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let wire: Wire = super::json_object(&bytes)?;
        Some(Self {
            kind: wire.r#type.as_str().map(str::to_owned),
            identity: Identity {
                schema_id: id_text(&wire.m),
                third_party_id: id_text(&wire.t),
                society_id: id_text(&wire.s),
            },
            expires: wire.exp.as_f64().and_then(unix_time),
        })
    }
}

/// Any field may be missing or of another type: the exporter does not refuse a token because of a label.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    r#type: Value,
    m: Value,
    t: Value,
    s: Value,
    exp: Value,
}

/// An ID as text; empty if the value is not an ID. The API sends IDs both as numbers and as strings.
pub(super) fn id_text(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit()) => text.clone(),
        _ => String::new(),
    }
}

/// Converts seconds since the Unix epoch. Returns `None` outside 1970 to 2199.
pub(super) fn unix_time(seconds: f64) -> Option<SystemTime> {
    /// The first second of the year 2200. No real date is later.
    const YEAR_2200: f64 = 7_258_118_400.0;
    (0.0..YEAR_2200).contains(&seconds).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn the_ids_of_a_society_token_are_read() {
        let claims = Claims::parse(&jwt(r#"{"type":"api","m":80,"t":"101","s":"127"}"#)).unwrap();
        assert_eq!(claims.kind.as_deref(), Some("api"));
        assert_eq!(
            claims.identity,
            Identity { schema_id: "80".into(), third_party_id: "101".into(), society_id: "127".into() }
        );
        assert_eq!(claims.expires, None);
    }

    #[test]
    fn the_expiry_of_a_token_is_read() {
        let claims =
            Claims::parse(&jwt(r#"{"type":"firm","m":80,"p":"5","t":"101","exp":1618224886}"#)).unwrap();
        assert_eq!(claims.expires, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_618_224_886)));
    }

    #[test]
    fn a_token_that_is_not_a_jwt_has_no_claims() {
        for token in ["", "opaque", "a.b", "a.b.c", "a.b.c.d", "e30.!!!.x", &jwt("[]"), &jwt("nonsense")] {
            assert_eq!(Claims::parse(token), None, "{token}");
        }
    }

    #[test]
    fn claims_of_the_wrong_type_are_empty() {
        let odd = jwt(r#"{"type":7,"m":{"a":1},"t":"<script>","s":null,"exp":"soon"}"#);
        assert_eq!(Claims::parse(&odd).unwrap(), Claims::default());
    }

    #[test]
    fn an_absurd_expiry_is_ignored() {
        for exp in ["1e300", "-5", "99999999999999"] {
            assert_eq!(Claims::parse(&jwt(&format!(r#"{{"exp":{exp}}}"#))).unwrap().expires, None, "{exp}");
        }
    }
}
