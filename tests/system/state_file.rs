//! Reads the state file.

use std::collections::BTreeMap;

use serde_json::Value;

/// The record of the token of each key, from the text of the file.
pub(crate) fn tokens_of_keys(text: &str) -> BTreeMap<String, Value> {
    let file: Value = serde_json::from_str(text).expect("the state file is complete");
    let tokens = file["tokens"].as_array().unwrap();
    let of_key = |key: &Value| {
        let token = tokens.iter().find(|token| token["fingerprint"] == key["fingerprint"]).unwrap();
        (key["key"].as_str().unwrap().to_owned(), token.clone())
    };
    file["keys"].as_array().unwrap().iter().map(of_key).collect()
}
