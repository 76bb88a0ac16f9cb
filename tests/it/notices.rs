//! `THIRD-PARTY-NOTICES.md` names the crates that are in the binary.
//!
//! The test needs only Rust. `make check-notices` also compares the licence texts, and needs cargo-about.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// A crate's name and version.
type Crate = (String, String);

/// Runs cargo in the root package, without network and without a change of `Cargo.lock`.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

/// The crates of the binary: the normal dependencies, direct and indirect, without the packages of this repository.
///
/// `cargo tree` resolves features as a build of the binary does. `cargo metadata` would add the features, and with them
/// the crates, that only the tests use. The list is that of the platform that runs the test: the crates of other
/// platforms may not be on the disk.
fn crates_in_the_binary() -> BTreeSet<Crate> {
    let package = env!("CARGO_PKG_NAME");
    let tree =
        cargo(&["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    tree.lines().filter_map(crate_of_the_tree).collect()
}

/// Reads `serde v1.0.229` or `serde_derive v1.0.229 (proc-macro)`. The line of a package of this repository ends with its
/// path, and a repeated line ends with `(*)`: both are skipped.
fn crate_of_the_tree(line: &str) -> Option<Crate> {
    let line = line.strip_suffix(" (proc-macro)").unwrap_or(line);
    let (name, version) = line.split_once(" v")?;
    (!version.contains(' ')).then(|| (name.to_owned(), version.to_owned()))
}

/// The crates listed in the section "Crates": `- serde 1.0.229 (MIT OR Apache-2.0): <…>`.
fn crates_in_the_notices() -> BTreeSet<Crate> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("THIRD-PARTY-NOTICES.md");
    let notices = std::fs::read_to_string(path).expect("THIRD-PARTY-NOTICES.md is readable");
    notices
        .lines()
        .skip_while(|line| *line != "## Crates")
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| {
            let mut words = line.strip_prefix("- ")?.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect()
}

/// All crates that `Cargo.lock` names.
fn crates_in_the_lock_file() -> BTreeSet<Crate> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let lock = std::fs::read_to_string(path).expect("Cargo.lock is readable");
    let value = |line: &str, field: &str| {
        Some(line.strip_prefix(field)?.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned())
    };
    let mut name = None;
    let mut crates = BTreeSet::new();
    for line in lock.lines() {
        if let Some(found) = value(line, "name") {
            name = Some(found);
        } else if let Some(version) = value(line, "version")
            && let Some(name) = name.take()
        {
            crates.insert((name, version));
        }
    }
    crates
}

#[test]
fn the_notices_name_every_crate_in_the_binary() {
    let expected = crates_in_the_binary();
    assert!(expected.len() > 50, "cargo tree listed only {expected:?}");
    let notices = crates_in_the_notices();
    let missing: Vec<_> = expected.difference(&notices).collect();
    assert!(missing.is_empty(), "missing in THIRD-PARTY-NOTICES.md, run `make notices`: {missing:?}");
}

/// The file also lists crates of the other platform, so it is compared with `Cargo.lock` in this direction.
#[test]
fn the_notices_name_no_crate_that_is_gone() {
    let lock = crates_in_the_lock_file();
    let notices = crates_in_the_notices();
    let gone: Vec<_> = notices.difference(&lock).collect();
    assert!(gone.is_empty(), "no longer in Cargo.lock, run `make notices`: {gone:?}");
}
