//! What key/info answers.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::json_object;
use super::token::{Identity, id_text};
use crate::partner_api::KeyInfoMode;

/// As many digits as a number has, in quotation marks.
const LONGEST_ID: usize = 22;

/// What is kept of a key/info answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// How many routes the key may call.
    pub routes: usize,
    /// What only the extended form tells.
    pub extended: Option<Extended>,
}

/// The extended form's own part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extended {
    /// Whether the key is activated.
    pub is_activated: bool,
    /// Whose the key is.
    pub identity: Identity,
    /// The key's version and the newest one, where told.
    pub version: Option<Version>,
}

/// `version` of the extended form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// The key's.
    pub current: u64,
    /// The newest there is.
    pub latest: u64,
}

impl KeyInfo {
    /// Reads the body that this mode answers; `None` where it is something else.
    #[must_use]
    pub fn parse(mode: KeyInfoMode, body: &[u8]) -> Option<Self> {
        match mode {
            KeyInfoMode::Routes => {
                let routes: Vec<Route> = serde_json::from_slice(body).ok()?;
                Some(Self { routes: routes.len(), extended: None })
            }
            KeyInfoMode::Extended => {
                let wire: WireExtended<'_> = json_object(body)?;
                let version = wire.version.and_then(|raw| serde_json::from_str(raw.get()).ok());
                let identity = wire.target.and_then(identity).unwrap_or_default();
                let extended = Extended { is_activated: wire.is_activated, identity, version };
                Some(Self { routes: wire.routes.map_or(0, count), extended: Some(extended) })
            }
        }
    }
}

#[derive(Deserialize)]
struct Route {
    #[serde(rename = "path")]
    _path: String,
}

/// Only `isActivated` is demanded: without it the answer says nothing that we asked for. The rest is
/// taken where it has the documented form, and stays unparsed until then: as a tree, a body that was
/// made for it would take a hundred times its size.
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

/// The ids, each of which may be missing.
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

/// What is longer than any id is not looked into.
fn id(raw: Option<&RawValue>) -> String {
    let fits = raw.map(RawValue::get).filter(|text| text.len() <= LONGEST_ID);
    fits.and_then(|text| serde_json::from_str(text).ok()).as_ref().map(id_text).unwrap_or_default()
}

/// How many elements a list has; what is none has none.
fn count(raw: &RawValue) -> usize {
    serde_json::from_str::<Vec<IgnoredAny>>(raw.get()).map_or(0, |elements| elements.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extended_form_tells_activation_ids_version_and_routes() {
        let body = br#"{"target":{"type":"api","schemaId":80,"thirdPartyId":101,"societyId":127},
            "version":{"current":1,"latest":2,"beta":false},"canBeActivated":true,"isActivated":true,
            "routes":[{"path":"/api/v1/society","method":"get"}]}"#;
        let info = KeyInfo::parse(KeyInfoMode::Extended, body).unwrap();
        assert_eq!(info.routes, 1);
        let extended = info.extended.unwrap();
        assert!(extended.is_activated);
        assert_eq!(extended.version, Some(Version { current: 1, latest: 2 }));
        assert_eq!(extended.identity.society_id, "127");
    }

    #[test]
    fn a_firm_has_no_society() {
        let body = br#"{"target":{"type":"firm","schemaId":80,"thirdPartyId":101},"isActivated":false}"#;
        let extended = KeyInfo::parse(KeyInfoMode::Extended, body).unwrap().extended.unwrap();
        assert!(!extended.is_activated);
        assert_eq!(extended.identity.society_id, "");
    }

    #[test]
    fn activation_is_learnt_whatever_the_rest_is() {
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
    fn the_plain_form_is_a_list_of_routes() {
        let body =
            br#"[{"path":"/api/v1/society","method":"get"},{"path":"/api/v1/key/info","method":"get"}]"#;
        assert_eq!(KeyInfo::parse(KeyInfoMode::Routes, body).unwrap().routes, 2);
    }

    #[test]
    fn one_mode_s_body_is_not_the_other_s() {
        assert_eq!(KeyInfo::parse(KeyInfoMode::Extended, b"[]"), None);
        assert_eq!(KeyInfo::parse(KeyInfoMode::Routes, br#"{"isActivated":true}"#), None);
        assert_eq!(KeyInfo::parse(KeyInfoMode::Extended, br#"{"isActivated":"yes"}"#), None);
        assert_eq!(KeyInfo::parse(KeyInfoMode::Routes, b"<html>"), None);
    }
}
