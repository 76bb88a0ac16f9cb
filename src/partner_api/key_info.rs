//! The response body of key/info.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::token::{Identity, id_text};
use super::{json, json_object};
use crate::partner_api::KeyInfoMode;

/// The length of the longest ID as JSON: 20 digits in quotation marks.
const MAX_ID_LEN: usize = 22;

/// The parts of a key/info response that the exporter uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyInfo {
    /// How many routes the key may call; `None` if the response does not list them in the documented form.
    pub route_count: Option<usize>,
    /// The parts that only the extended form has.
    pub extended: Option<Extended>,
}

/// The parts that only the extended form has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extended {
    pub is_activated: bool,
    pub identity: Identity,
    /// The versions, if the response has them in the documented form.
    pub version: Option<Version>,
}

/// `version` of the extended form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Version {
    /// The version of the key.
    pub current: u64,
    /// The newest version.
    pub latest: u64,
}

impl KeyInfo {
    /// Parses a key/info body in the form that `mode` selects. Returns `None` if the body has another form.
    pub(crate) fn parse(mode: KeyInfoMode, body: &[u8]) -> Option<Self> {
        match mode {
            KeyInfoMode::Routes => {
                let routes: Vec<Route> = json(body)?;
                Some(Self { route_count: Some(routes.len()), extended: None })
            }
            KeyInfoMode::Extended => {
                let wire: WireExtended<'_> = json_object(body)?;
                let version = wire.version.and_then(|raw| serde_json::from_str(raw.get()).ok());
                let identity = wire.target.and_then(identity).unwrap_or_default();
                let extended = Extended { is_activated: wire.is_activated, identity, version };
                Some(Self { route_count: wire.routes.and_then(count), extended: Some(extended) })
            }
        }
    }
}

#[derive(Deserialize)]
struct Route {
    #[serde(rename = "path")]
    _path: String,
}

/// Only `isActivated` is mandatory: the request is sent to get it. The other fields are used if they have
/// the documented form. They are kept as raw JSON and parsed one by one. Parsing the whole body into a tree
/// could use a hundred times its size in memory.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireExtended<'a> {
    is_activated: bool,
    #[serde(borrow)]
    target: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    routes: Option<&'a RawValue>,
}

/// Each ID may be missing.
#[derive(Deserialize)]
struct Target<'a> {
    #[serde(borrow, rename = "schemaId")]
    schema: Option<&'a RawValue>,
    #[serde(borrow, rename = "thirdPartyId")]
    third_party: Option<&'a RawValue>,
    #[serde(borrow, rename = "societyId")]
    society: Option<&'a RawValue>,
}

fn identity(target: &RawValue) -> Option<Identity> {
    let Target { schema, third_party, society } = json_object(target.get().as_bytes())?;
    Some(Identity { schema_id: id(schema), third_party_id: id(third_party), society_id: id(society) })
}

/// The ID as text; empty if missing or invalid.
fn id(raw: Option<&RawValue>) -> String {
    // A text that is longer than any ID is not parsed.
    let Some(text) = raw.map(RawValue::get).filter(|text| text.len() <= MAX_ID_LEN) else {
        return String::new();
    };
    let Ok(value) = serde_json::from_str(text) else { return String::new() };
    id_text(&value)
}

/// The number of elements of a JSON array; `None` for any other value.
fn count(raw: &RawValue) -> Option<usize> {
    let elements: Vec<IgnoredAny> = serde_json::from_str(raw.get()).ok()?;
    Some(elements.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activation_ids_version_and_routes_of_the_extended_form_are_read() {
        let body = br#"{"target":{"type":"api","schemaId":80,"thirdPartyId":101,"societyId":127},
            "version":{"current":1,"latest":2,"beta":false},"canBeActivated":true,"isActivated":true,
            "routes":[{"path":"/api/v1/society","method":"get"}]}"#;
        let info = KeyInfo::parse(KeyInfoMode::Extended, body).unwrap();
        assert_eq!(info.route_count, Some(1));
        let extended = info.extended.unwrap();
        assert!(extended.is_activated);
        assert_eq!(extended.version, Some(Version { current: 1, latest: 2 }));
        assert_eq!(extended.identity.society_id, "127");
    }

    #[test]
    fn a_key_with_firm_access_has_no_society() {
        let body = br#"{"target":{"type":"firm","schemaId":80,"thirdPartyId":101},"isActivated":false}"#;
        let extended = KeyInfo::parse(KeyInfoMode::Extended, body).unwrap().extended.unwrap();
        assert!(!extended.is_activated);
        assert_eq!(extended.identity.society_id, "");
    }

    #[test]
    fn activation_is_read_even_if_other_fields_are_invalid() {
        for rest in [
            r#""version":{"current":"1","latest":"2"}"#,
            r#""version":{"current":1}"#,
            r#""target":null,"routes":null"#,
            r#""target":[],"routes":["/a",1]"#,
        ] {
            let body = format!(r#"{{"isActivated":true,{rest}}}"#);
            let info = KeyInfo::parse(KeyInfoMode::Extended, body.as_bytes()).unwrap();
            assert!(info.extended.unwrap().is_activated, "{rest}");
        }
    }

    #[test]
    fn the_number_of_routes_is_unknown_if_they_are_missing_or_invalid() {
        let cases = [
            ("", None),
            (r#","routes":null"#, None),
            (r#","routes":{"path":"/a"}"#, None),
            (r#","routes":"2""#, None),
            (r#","routes":[]"#, Some(0)),
        ];
        for (rest, route_count) in cases {
            let body = format!(r#"{{"isActivated":true{rest}}}"#);
            let info = KeyInfo::parse(KeyInfoMode::Extended, body.as_bytes()).unwrap();
            assert_eq!(info.route_count, route_count, "{rest}");
        }
    }

    #[test]
    fn the_routes_of_the_plain_form_are_counted() {
        let body =
            br#"[{"path":"/api/v1/society","method":"get"},{"path":"/api/v1/key/info","method":"get"}]"#;
        assert_eq!(KeyInfo::parse(KeyInfoMode::Routes, body).unwrap().route_count, Some(2));
    }

    #[test]
    fn a_body_of_another_form_is_refused() {
        assert_eq!(KeyInfo::parse(KeyInfoMode::Extended, b"[]"), None);
        assert_eq!(KeyInfo::parse(KeyInfoMode::Routes, br#"{"isActivated":true}"#), None);
        assert_eq!(KeyInfo::parse(KeyInfoMode::Extended, br#"{"isActivated":"yes"}"#), None);
        assert_eq!(KeyInfo::parse(KeyInfoMode::Routes, b"<html>"), None);
    }
}
