//! `myunisoft-exporter probe`: the selection of keys by name.

use crate::config::Config;
use crate::probe_once::choose;

use crate::test_support::{partner, token_key};

#[test]
fn a_key_is_selected_by_its_name_or_by_partner_and_name() {
    let key = |name: &str| token_key(name, "a-token", Vec::new());
    let config = Config {
        partners: vec![
            partner("acme", vec![key("dupont"), key("martin")]),
            partner("zenith", vec![key("acme/dupont"), key("martin"), key("a/b")]),
        ],
        ..Config::default()
    };
    for (names, expected) in [
        (&["acme/dupont"][..], &["acme/dupont"][..]),
        (&["zenith/acme/dupont"], &["zenith/acme/dupont"]),
        (&["martin"], &["acme/martin", "zenith/martin"]),
        (&["a/b", "acme/martin"], &["acme/martin", "zenith/a/b"]),
        (&[], &["acme/dupont", "acme/martin", "zenith/acme/dupont", "zenith/martin", "zenith/a/b"]),
    ] {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let chosen = choose(config.clone(), &names).unwrap();
        let keys = chosen
            .partners
            .iter()
            .flat_map(|partner| partner.keys.iter().map(move |key| format!("{}/{}", partner.name, key.name)));
        assert_eq!(keys.collect::<Vec<_>>(), expected, "{names:?}");
    }
}
