//! The states of keys and secrets on the panels: their colours, and their numeric codes.

use std::collections::{BTreeMap, BTreeSet};

use myunisoft_exporter::reference;
use serde_json::Value;

use super::{KEY, OVERVIEW, dashboards, list, nested, panels, read, text};

fn states() -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    (reference::key_states().collect(), reference::secret_states().collect())
}

/// The colours of states on a panel, from its value mappings and from its overrides of series.
fn colours(panel: &Value) -> Vec<BTreeMap<&str, &str>> {
    let mapped = nested(panel).into_iter().filter(|part| part["type"] == "value").map(|mapping| {
        let results = mapping["options"].as_object().unwrap().values();
        results.map(|result| (text(&result["text"]), text(&result["color"]))).collect()
    });
    let named = list(&panel["fieldConfig"]["overrides"]).iter().filter_map(|change| {
        let colour = nested(change).into_iter().find_map(|part| part["fixedColor"].as_str())?;
        Some((text(&change["matcher"]["options"]), colour))
    });
    let (keys, _) = states();
    mapped
        .chain([named.collect()])
        .filter(|colours: &BTreeMap<_, _>| colours.keys().any(|name| keys.contains(name)))
        .collect()
}

#[test]
fn each_state_has_one_colour_on_all_panels_and_no_state_is_missing() {
    let (keys, secrets) = states();
    let both = keys.union(&secrets).copied().collect();
    let boards = dashboards();
    let palettes: Vec<_> = boards.iter().flat_map(panels).flat_map(colours).collect();
    assert!(palettes.len() >= 8, "{palettes:?}");
    let all: BTreeMap<_, _> = palettes.iter().flatten().collect();
    for palette in &palettes {
        let named: BTreeSet<_> = palette.keys().copied().collect();
        assert!(
            [&keys, &secrets, &both].contains(&&named),
            "a panel with other states than those of keys or secrets: {named:?}"
        );
        assert!(
            palette.iter().all(|(state, colour)| all[state] == colour),
            "{palette:?} differs from {all:?}"
        );
    }
    let distinct: BTreeSet<_> =
        all.iter().filter(|(state, _)| keys.contains(**state)).map(|(_, c)| c).collect();
    assert_eq!(distinct.len(), keys.len(), "two states of a key have the same colour: {all:?}");
}

/// Checks a panel whose query encodes states as numbers: `3 * myunisoft_key_state{…, state="not_found"}`.
fn assert_codes(dashboard: &str, title: &str, states: &[&str]) {
    let dashboard = read(dashboard);
    let panel = panels(&dashboard).into_iter().find(|panel| panel["title"] == title).unwrap();
    let expr = text(&panel["targets"][0]["expr"]);
    let texts = &panel["fieldConfig"]["defaults"]["mappings"][0]["options"];
    for (code, state) in states.iter().enumerate() {
        assert_eq!(texts[code.to_string()]["text"], *state, "{title}");
        let term = expr.split(" or\n").find(|term| term.contains(&format!("state=\"{state}\"")));
        match code {
            // The first state has no term: its code 0 remains if all others are 0.
            0 => assert_eq!(term, None),
            1 => assert!(term.is_some_and(|term| !term.contains(" * ")), "{title}: {state}"),
            _ => assert!(term.is_some_and(|term| term.contains(&format!("{code} * "))), "{title}: {state}"),
        }
    }
}

#[test]
fn a_state_encoded_as_a_number_is_shown_with_its_name() {
    let keys: Vec<_> = reference::key_states().collect();
    let secrets: Vec<_> = reference::secret_states().collect();
    assert_codes(KEY, "State", &keys);
    assert_codes(KEY, "Key state over time", &keys);
    assert_codes(OVERVIEW, "Secrets", &secrets);
}
