//! The JSON schema of the status.

use strum::VariantArray as _;

use crate::diagnosis::Blame;
use crate::key_state::{KeyState, SecretState};
use crate::partner_api::failure::Reason;
use crate::state::{HealthState, Skip};
use serde_json::Value;

#[test]
fn the_schema_has_the_words_of_the_code() {
    let schema: Value = serde_json::from_str(include_str!("../../docs/status.schema.json")).unwrap();
    let to_owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
    for (pointer, expected) in [
        ("/definitions/key_state/enum", KeyState::VARIANTS.iter().map(KeyState::into_str).collect()),
        ("/definitions/secret_state/enum", SecretState::VARIANTS.iter().map(SecretState::into_str).collect()),
        ("/definitions/skip/enum", Skip::VARIANTS.iter().map(Skip::into_str).collect()),
        ("/definitions/reason/enum", Reason::VARIANTS.iter().map(Reason::into_str).collect()),
        (
            "/definitions/api/properties/state/enum",
            HealthState::VARIANTS.iter().map(HealthState::into_str).collect(),
        ),
        (
            "/definitions/verdict/properties/blame/enum",
            Blame::VARIANTS.iter().map(Blame::into_str).collect::<Vec<_>>(),
        ),
    ] {
        assert_eq!(words(&schema, pointer), to_owned(expected), "{pointer}");
    }
}

fn words(schema: &Value, pointer: &str) -> Vec<String> {
    let list = schema.pointer(pointer).unwrap().as_array().unwrap();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
