//! The workflows of the hosted CI, and the scripts of a release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> (bool, String, String) {
    let Output { status, stdout, stderr } = command.current_dir(root()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.success(), text(stdout), text(stderr))
}

fn workflow_files() -> Vec<PathBuf> {
    let files = fs::read_dir(root().join(".github/workflows")).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 2, "{files:?}");
    files
}

fn validate(files: &[PathBuf]) -> (bool, String, String) {
    run(Command::new("target/venv/bin/python").arg("tests/packages/workflows.py").args(files))
}

/// The values of all fields with this name.
fn values<'a>(document: &'a Value, name: &str, found: &mut Vec<&'a str>) {
    match document {
        Value::Object(fields) => {
            for (field, value) in fields {
                if let (true, Some(text)) = (field == name, value.as_str()) {
                    found.push(text);
                }
                values(value, name, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| values(item, name, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_workflows_are_valid_and_run_the_make_targets_of_developers() {
    let (valid, documents, errors) = validate(&workflow_files());
    assert!(valid, "{errors}");
    let documents: Value = serde_json::from_str(&documents).unwrap();
    let mut scripts = Vec::new();
    values(&documents, "run", &mut scripts);
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut targets = Vec::new();
    for line in scripts.iter().flat_map(|script| script.lines()) {
        let mut words = line.split_whitespace();
        if words.next() == Some("make") {
            targets.extend(words.find(|word| !word.starts_with('-')));
        }
    }
    for expected in
        ["lint", "test", "deny", "check-notices", "dist", "checksums", "release-check", "release-notes"]
    {
        assert!(targets.contains(&expected), "no workflow runs `make {expected}`");
    }
    for target in targets {
        assert!(makefile.lines().any(|line| line.starts_with(&format!("{target}:"))), "make {target}");
    }
}

#[test]
fn a_mistake_in_a_workflow_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.yml");
    fs::write(&file, "on: push\njobs: {test: {runs-on: ubuntu-24.04, stepps: []}}\n").unwrap();
    let (valid, _, errors) = validate(&[file]);
    assert!(!valid && errors.contains("stepps"), "{errors}");
}

/// The findings of zizmor, from medium severity on.
fn audit(file: &Path) -> (bool, String, String) {
    let mut zizmor = Command::new("target/venv/bin/zizmor");
    let config = root().join(".github/zizmor.yml");
    run(zizmor
        .args(["--offline", "--no-progress", "--min-severity=medium", "--config"])
        .arg(config)
        .arg(file))
}

#[test]
fn the_workflows_have_no_known_security_hole() {
    for file in workflow_files() {
        let (clean, findings, errors) = audit(&file);
        assert!(clean, "{findings}{errors}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.yml");
    let text = "on: push\npermissions: {}\njobs:\n  test:\n    runs-on: ubuntu-24.04\n    steps:\n      \
                - run: echo ${{ github.event.head_commit.message }}\n";
    fs::write(&file, text).unwrap();
    let (clean, findings, _) = audit(&file);
    assert!(!clean && findings.contains("template-injection"), "{findings}");
}

#[test]
fn the_checksums_are_of_every_file_of_a_release() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a.tar.gz", "b 1.deb"];
    for name in names {
        fs::write(folder.path().join(name), name).unwrap();
    }
    let dist = format!("DIST={}", folder.path().display());
    // The second time, there is a list already.
    for _ in 0..2 {
        let (written, _, errors) = run(Command::new("make").args(["checksums", &dist]));
        assert!(written, "{errors}");
    }
    let list = fs::read_to_string(folder.path().join("sha256sums.txt")).unwrap();
    let listed: Vec<_> = list.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    assert_eq!(listed, names);
    let checked =
        Command::new("sha256sum").arg("--check").arg("sha256sums.txt").current_dir(folder.path()).output();
    assert!(checked.unwrap().status.success());
}

#[test]
fn every_action_is_named_with_a_version() {
    let (_, documents, _) = validate(&workflow_files());
    let documents: Value = serde_json::from_str(&documents).unwrap();
    let mut actions = Vec::new();
    values(&documents, "uses", &mut actions);
    for action in actions {
        assert!(action.starts_with("./") || action.contains("@v"), "{action}");
    }
}

#[test]
fn the_version_is_the_same_in_every_file() {
    let check = |tag: &str| run(Command::new("deploy/release/check.sh").arg(tag));
    let (same, _, errors) = check(concat!("v", env!("CARGO_PKG_VERSION")));
    assert!(same, "{errors}");
    let (same, _, errors) = check("v99.0.0");
    assert!(!same);
    for file in ["Cargo.toml", "Dockerfile", "compose.yml", "deploy/helm/Chart.yaml", "CHANGELOG.md"] {
        assert!(errors.contains(&format!("{file}: ")), "{file}: {errors}");
    }
}

#[test]
fn the_notes_of_a_release_are_its_section_of_the_changelog() {
    let notes = |tag: &str| run(Command::new("deploy/release/notes.sh").arg(tag));
    let (found, text, _) = notes(concat!("v", env!("CARGO_PKG_VERSION")));
    assert!(found && text.contains("### Added") && !text.contains("\n## "), "{text}");
    assert!(!notes("v99.0.0").0, "a release without a section");
}
