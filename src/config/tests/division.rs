//! How the keys of a configuration are divided among exporters.

use std::collections::BTreeSet;
use std::time::Duration;

use super::configured;
use crate::config::Config;
use crate::shard::Shard;

/// A fleet of two partners, one of which has a single key, and of ten firms of one account.
fn fleet() -> Config {
    let firm = |firm| {
        format!(
            "      - {{name: firm-{firm}, access: firm, login: {{mail: 'A@b', password: p, firm: {firm}}}, canaries: []}}\n"
        )
    };
    let key = |key| format!("      - {{name: key-{key}, access: society, token: t-{key}}}\n");
    let (firms, keys) = ((1..=10).map(firm).collect::<Vec<_>>(), (0..300).map(key).collect::<Vec<_>>());
    let (firms, keys) = (firms.concat(), keys.concat());
    let text = format!(
        "partners:\n  - name: acme\n    secret: s\n    keys:\n{firms}{keys}  - name: small\n    secret: t\n    keys:\n      \
         - {{name: only, access: society, token: u}}\n  - {{name: none, secret: v, keys: []}}\n"
    );
    let folder = configured(&text);
    super::close(&folder.path("exporter.yml"));
    folder.loaded().config
}

fn part(ordinal: u32, total: u32) -> Config {
    let mut config = fleet();
    config.divide(Shard { ordinal, total });
    config
}

fn names(config: &Config) -> BTreeSet<(String, String)> {
    let keys = config.partners.iter().flat_map(|partner| partner.keys.iter().map(move |key| (partner, key)));
    keys.map(|(partner, key)| (partner.name.to_string(), key.name.to_string())).collect()
}

#[test]
fn the_shards_together_have_each_key_once() {
    let parts: Vec<_> = (0..3).map(|ordinal| part(ordinal, 3)).collect();
    assert_eq!(parts.iter().map(|part| names(part).len()).sum::<usize>(), 311);
    assert_eq!(parts.iter().flat_map(names).collect::<BTreeSet<_>>(), names(&fleet()));
    assert!(parts.iter().all(|part| names(part).len() > 60), "each has its part");
    assert!(parts.iter().all(|part| part.settings.division.fleet_keys == 311));
}

#[test]
fn one_exporter_sends_all_log_ins_of_an_account() {
    let firms = |ordinal| names(&part(ordinal, 3)).iter().filter(|(_, key)| key.starts_with("firm")).count();
    let counts: BTreeSet<_> = (0..3).map(firms).collect();
    assert_eq!(counts, BTreeSet::from([0, 10]));
}

#[test]
fn a_partner_is_where_its_keys_are_and_one_without_keys_is_everywhere() {
    let partners =
        |ordinal| part(ordinal, 3).partners.iter().map(|it| it.name.to_string()).collect::<Vec<_>>();
    let all: Vec<_> = (0..3).map(partners).collect();
    let with = |name: &str| all.iter().filter(|names| names.iter().any(|it| it == name)).count();
    assert_eq!((with("acme"), with("small"), with("none")), (3, 1, 3));
}

#[test]
fn a_shard_knows_which_other_shard_has_a_key() {
    let parts: Vec<_> = (0..3).map(|ordinal| part(ordinal, 3)).collect();
    for (here, config) in parts.iter().enumerate() {
        for (there, other) in parts.iter().enumerate() {
            for (partner, key) in names(other) {
                let expected = (here != there).then(|| u32::try_from(there).unwrap());
                assert_eq!(config.settings.division.elsewhere(&partner, &key), expected, "{key}");
            }
        }
        assert_eq!(config.settings.division.elsewhere("acme", "nobody"), None);
    }
}

#[test]
fn a_single_shard_has_the_whole_fleet() {
    let config = part(0, 1);
    assert_eq!(names(&config), names(&fleet()));
    assert!(!config.settings.division.is_divided());
}

#[test]
fn replicas_share_the_probes_of_keys_and_not_that_of_the_api() {
    let mut config = fleet();
    config.take_turns(2);
    let intervals: BTreeSet<_> = config
        .partners
        .iter()
        .flat_map(|it| &it.keys)
        .flat_map(|it| it.probes.iter())
        .map(|it| it.timing.interval)
        .collect();
    assert_eq!(intervals, BTreeSet::from([Duration::from_mins(2)]));
    assert_eq!(config.settings.health.timing.interval, Duration::from_secs(15));
}
