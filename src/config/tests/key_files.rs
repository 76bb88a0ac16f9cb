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
fn the_labels_of_a_partner_are_in_one_entry_only() {
    let folder = configured(
        "key_files: ['a.yml']\npartners: [{name: acme, secret_file: secret, labels: {customer: x}, keys: []}]\n",
    )
    .with("a.yml", "partners:\n  - name: acme\n    labels: {contact: y}\n    keys: []\n");
    let error = folder.shortened(&folder.load().unwrap_err().to_string());
    let expected = "a.yml:3: partners[0].labels: the partner \"acme\" already has labels at exporter.yml:2; \
                    write all its labels in one place";
    assert_eq!(error, expected);
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

fn names(folder: &Folder) -> Vec<String> {
    folder.loaded().files.iter().map(|file| folder.shortened(&file.display().to_string())).collect()
}

#[test]
fn links_that_lead_back_are_entered_once() {
    let folder = configured("key_files: ['keys.d/**/*.yml']\n")
        .with("keys.d/deep/er/a.yml", "partners: []")
        .with("keys.d/b.yml", "partners: []");
    for (target, link) in
        [(".", "1"), (".", "2"), ("..", "deep/up"), ("deep", "a-link"), ("nowhere", "broken")]
    {
        std::os::unix::fs::symlink(target, folder.path("keys.d").join(link)).unwrap();
    }
    assert_eq!(names(&folder), ["exporter.yml", "keys.d/b.yml", "keys.d/deep/er/a.yml"]);
}

#[test]
fn a_link_to_a_directory_or_file_elsewhere_is_followed() {
    let folder = configured("key_files: ['keys.d/**', 'linked.d/*']\n")
        .with("elsewhere/a.yml", "partners: []")
        .with("elsewhere/.hidden/c.yml", "not: a key file")
        .with("keys.d/b.yml", "partners: []");
    std::os::unix::fs::symlink("../elsewhere", folder.path("keys.d/linked")).unwrap();
    std::os::unix::fs::symlink("elsewhere", folder.path("linked.d")).unwrap();
    assert_eq!(names(&folder), ["exporter.yml", "keys.d/b.yml", "keys.d/linked/a.yml"]);
}

#[test]
fn names_that_are_not_utf_8_are_names_like_others() {
    use std::os::unix::ffi::OsStrExt as _;
    let odd = std::ffi::OsStr::from_bytes(b"caf\xe9");
    let folder = Folder::new();
    let top = folder.path("").join(odd);
    std::fs::create_dir_all(top.join(odd)).unwrap();
    std::fs::write(top.join(odd).join(odd).with_extension("yml"), "partners: []").unwrap();
    std::fs::write(top.join("exporter.yml"), "key_files: ['*/caf*.yml', '**/*.yml']\n").unwrap();
    let load = || crate::config::load(&top.join("exporter.yml"), crate::config::Secrets::Check);
    assert_eq!(load().unwrap().files.len(), 2);
    std::fs::write(top.join(odd).join(odd).with_extension("yml"), "wrong: 1").unwrap();
    let problems = load().unwrap_err().to_string();
    assert!(problems.contains("caf\u{fffd}.yml:1: wrong"), "{problems}");
}

#[test]
fn each_form_of_a_pattern_matches_as_documented() {
    let all = ["a.yml", "b.yml", "c/a.yml", "c/d/a.yml"];
    let folder =
        all.iter().fold(Folder::new(), |folder, name| folder.with(&format!("k/{name}"), "partners: []"));
    let absolute = format!("{}/*.yml", folder.path("k").display());
    for (pattern, expected) in [
        ("k/*.yml", vec!["a.yml", "b.yml"]),
        ("./k/../k/a.yml", vec!["a.yml"]),
        ("k//[b-z].yml", vec!["b.yml"]),
        ("k/?.yml", vec!["a.yml", "b.yml"]),
        ("k/*/a.yml", vec!["c/a.yml"]),
        ("k/**/a.yml", vec!["a.yml", "c/a.yml", "c/d/a.yml"]),
        ("k/c/**", vec!["c/a.yml", "c/d/a.yml"]),
        ("k/**/**/d/*", vec!["c/d/a.yml"]),
        ("k/missing/*.yml", vec![]),
        ("k/a.yml/*", vec![]),
        ("k/c/", vec![]),
        (&absolute, vec!["a.yml", "b.yml"]),
    ] {
        folder.write("exporter.yml", &format!("key_files: ['{pattern}']\n"));
        let found: Vec<_> =
            folder.loaded().files.into_iter().skip(1).map(|file| file.canonicalize().unwrap()).collect();
        let root = folder.path("k").canonicalize().unwrap();
        let expected: Vec<_> = expected.into_iter().map(|name| root.join(name)).collect();
        assert_eq!(found, expected, "{pattern}");
    }
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
    let probes = || keys.iter().flat_map(|key| key.probes.iter());
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
