//! docs/dependencies.md gives one reason for each dependency, and lists no other crate.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// The crates that the workspace's packages depend on, the packages themselves and test-only crates excluded.
fn dependencies() -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let dependencies = packages.iter().flat_map(|package| package["dependencies"].as_array().unwrap());
    let names = dependencies
        .filter(|dependency| dependency["kind"] != "dev" && dependency["path"].is_null())
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned());
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn every_dependency_has_a_documented_reason() {
    let page = include_str!("../../docs/dependencies.md");
    let documented: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('`').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(documented, dependencies());
}
