//! Key files: several files are merged into one configuration.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::config::{Config, Target};

use super::{Folder, close, configured};

fn partner(name: &str, secret: &str, keys: &[&str]) -> String {
    let mut text = format!("- name: {name}\n{secret}  keys:\n");
    for key in keys {
        writeln!(text, "  - {{name: {key}, access: society, token_file: ../secret}}").unwrap();
    }
    text
}

const OWN_SECRET: &str = "  secret_file: ../secret\n";

fn keys(config: &Config) -> Vec<(String, Vec<String>)> {
    let names = |partner: &crate::config::Partner| {
        (partner.name.to_string(), partner.keys.iter().map(|key| key.name.to_string()).collect())
    };
    config.partners.iter().map(names).collect()
}

fn expected(partners: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let owned = |keys: &[&str]| keys.iter().map(ToString::to_string).collect();
    partners.iter().map(|(name, keys)| ((*name).to_owned(), owned(keys))).collect()
}

#[test]
fn key_files_are_read_in_order_and_add_to_partners_by_name() {
    let folder =
        configured("key_files: ['keys.d/*.yml']\npartners: [{name: acme, secret_file: secret, keys: []}]\n")
            .with("keys.d/b.yml", &format!("partners:\n{}", partner("acme", "", &["three"])))
            .with(
                "keys.d/a.yml",
                &format!(
                    "partners:\n{}{}",
                    partner("zenith", OWN_SECRET, &["one"]),
                    partner("acme", "", &["two"])
                ),
            );
    let loaded = folder.loaded();
    assert_eq!(keys(&loaded.config), expected(&[("acme", &["two", "three"]), ("zenith", &["one"])]));
    assert_eq!(
        loaded.files,
        [folder.path("exporter.yml"), folder.path("keys.d/a.yml"), folder.path("keys.d/b.yml")]
    );
}

#[test]
fn a_key_file_can_add_keys_to_a_partner_of_a_later_file() {
    let folder = configured("key_files: ['keys.d/*.yml']\n")
        .with("keys.d/a.yml", &format!("partners:\n{}", partner("acme", "", &["one"])))
        .with("keys.d/b.yml", &format!("partners:\n{}", partner("acme", OWN_SECRET, &["two"])));
    assert_eq!(keys(&folder.loaded().config), expected(&[("acme", &["one", "two"])]));
}

#[test]
fn each_file_is_read_once_even_if_several_patterns_match_it() {
    let folder = configured("key_files: ['*.yml', 'a*.yml', './a.yml']\n")
        .with("a.yml", "partners: [{name: acme, secret_file: secret, keys: []}]");
    assert_eq!(folder.loaded().files.len(), 2);
}

#[test]
fn hidden_files_and_directories_are_not_key_files() {
    let folder = configured("key_files: ['keys.d/*']\n")
        .with("keys.d/.a.yml.swp", "not: a key file")
        .with("keys.d/..data/a.yml", "not: a key file")
        .with("keys.d/folder/a.yml", "not: a key file")
        .with("keys.d/a.yml", "partners: []");
    assert_eq!(folder.loaded().files.len(), 2);
}

#[test]
fn wildcards_in_the_name_of_the_directory_itself_are_literal() {
    let folder = Folder::new()
        .with("[ab]*/exporter.yml", "key_files: ['keys.d/*.yml']\n")
        .with("[ab]*/keys.d/a.yml", "partners: []");
    let loaded =
        crate::config::load(&folder.path("[ab]*/exporter.yml"), crate::config::Secrets::Check).unwrap();
    assert_eq!(loaded.files.len(), 2);
}

fn ten_key_files(keys_per_file: usize) -> Folder {
    let folder =
        configured("key_files: ['keys.d/*.yml']\npartners: [{name: acme, secret_file: secret, keys: []}]\n");
    for file in 0..10 {
        let names: Vec<_> = (0..keys_per_file).map(|key| format!("key-{file}-{key}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        folder.write(&format!("keys.d/{file}.yml"), &format!("partners:\n{}", partner("acme", "", &names)));
        close(&folder.path(&format!("keys.d/{file}.yml")));
    }
    folder
}

#[test]
fn ten_thousand_keys_share_the_memory_of_equal_names_and_paths() {
    let folder = ten_key_files(1_000);
    let started = tokio::time::Instant::now();
    let loaded = folder.loaded();
    println!("loaded in {:?}", started.elapsed());
    let keys = &loaded.config.partners[0].keys;
    assert_eq!(keys.len(), 10_000);
    let probes = || keys.iter().flat_map(|key| &key.probes);
    let names: HashSet<_> = probes().map(|probe| Arc::as_ptr(&probe.name)).collect();
    let paths: HashSet<_> = probes()
        .filter_map(|probe| match &probe.target {
            Target::Canary(canary) => Some((Arc::as_ptr(&canary.path), Arc::as_ptr(&canary.name))),
            Target::KeyInfo(_) => None,
        })
        .collect();
    assert_eq!((names.len(), paths.len()), (2, 1));
}

#[test]
fn the_summary_of_a_thousand_keys_is_short() {
    let summary = ten_key_files(100).loaded().summary();
    assert!(summary.lines().count() < 50, "{summary}");
    assert!(summary.contains("and 990 more keys") && summary.contains("and 1 more files"), "{summary}");
}
