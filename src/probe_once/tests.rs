//! `myunisoft-exporter probe`: every probe once, explained.

use crate::config::Config;
use crate::probe_once::choose;

use crate::test_support::{partner, token_key};

#[test]
fn a_key_that_is_named_with_its_partner_is_that_one_alone() {
    let key = |name: &str| token_key(name, "a-token", Vec::new());
    let config = Config {
        partners: vec![
            partner("acme", vec![key("dupont"), key("martin")]),
            partner("zenith", vec![key("acme/dupont"), key("martin"), key("a/b")]),
        ],
        ..Config::default()
    };
    for (names, wanted) in [
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
        assert_eq!(keys.collect::<Vec<_>>(), wanted, "{names:?}");
    }
}
