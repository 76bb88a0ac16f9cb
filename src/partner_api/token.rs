//! What a token says of itself. Unverified: good to label a key, never to trust it.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use serde_with::SerializeDisplay;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// What a token opens.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Access {
    /// One society.
    Society,
    /// A whole schema.
    Firm,
}

/// The ids behind a key, as text fit for labels; empty where unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The schema (tenant).
    pub schema_id: String,
    /// The partner.
    pub third_party_id: String,
    /// The society; a firm key has none.
    pub society_id: String,
}

/// The payload of a token that is a JWT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// `api` for society access, `firm` for firm access.
    pub kind: Option<String>,
    /// Whose it is.
    pub identity: Identity,
    /// When it ends; permanent tokens carry no end.
    pub expires: Option<SystemTime>,
}

impl Claims {
    /// Reads a JWT's payload; `None` where the token is not a JWT, which is no error: nothing
    /// documents that every token is one.
    #[must_use]
    pub fn parse(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (Some(_), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let wire: Wire = super::json_object(&bytes)?;
        Some(Self {
            kind: wire.r#type.as_str().map(str::to_owned),
            identity: Identity {
                schema_id: id_text(&wire.m),
                third_party_id: id_text(&wire.t),
                society_id: id_text(&wire.s),
            },
            expires: wire.exp.as_f64().and_then(time_of),
        })
    }
}

/// Every field may be missing or of another type: labels are not worth refusing a token for.
#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    r#type: Value,
    #[serde(default)]
    m: Value,
    #[serde(default)]
    t: Value,
    #[serde(default)]
    s: Value,
    #[serde(default)]
    exp: Value,
}

/// An id seen both as a number and as a string.
pub(super) fn id_text(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit()) => text.clone(),
        _ => String::new(),
    }
}

/// Seconds since the epoch, where they are a date at all.
pub(super) fn time_of(seconds: f64) -> Option<SystemTime> {
    /// The first second of the year 2200: what lies beyond is no date that anyone meant.
    const FAR: f64 = 7_258_118_400.0;
    (0.0..FAR).contains(&seconds).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_society_token_tells_its_ids() {
        let claims = Claims::parse(&jwt(r#"{"type":"api","m":80,"t":"101","s":"127"}"#)).unwrap();
        assert_eq!(claims.kind.as_deref(), Some("api"));
        assert_eq!(
            claims.identity,
            Identity { schema_id: "80".into(), third_party_id: "101".into(), society_id: "127".into() }
        );
        assert_eq!(claims.expires, None);
    }

    #[test]
    fn a_token_that_ends_tells_when() {
        let claims =
            Claims::parse(&jwt(r#"{"type":"firm","m":80,"p":"5","t":"101","exp":1618224886}"#)).unwrap();
        assert_eq!(claims.expires, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_618_224_886)));
    }

    #[test]
    fn what_is_not_a_jwt_tells_nothing_and_harms_nothing() {
        for token in ["", "opaque", "a.b", "a.b.c", "a.b.c.d", "e30.!!!.x", &jwt("[]"), &jwt("nonsense")] {
            assert_eq!(Claims::parse(token), None, "{token}");
        }
    }

    #[test]
    fn claims_of_the_wrong_type_are_left_empty() {
        let odd = jwt(r#"{"type":7,"m":{"a":1},"t":"<script>","s":null,"exp":"soon"}"#);
        assert_eq!(Claims::parse(&odd).unwrap(), Claims::default());
    }

    #[test]
    fn an_absurd_end_is_no_end() {
        for exp in ["1e300", "-5", "99999999999999"] {
            assert_eq!(Claims::parse(&jwt(&format!(r#"{{"exp":{exp}}}"#))).unwrap().expires, None, "{exp}");
        }
    }
}
