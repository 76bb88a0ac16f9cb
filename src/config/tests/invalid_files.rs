//! Each file in `tests/testdata/config` gets exactly the messages in the `.err` file next to it.
//!
//! `BLESS=1 cargo test` writes the `.err` files. Check them before you commit them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::{Secrets, load};
use checked_yaml::Problems;

/// Every secret in the invalid files contains this word.
const PLANTED: &str = "planted";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/config")
}

fn invalid_files() -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .collect();
    files.sort();
    files
}

fn problems(file: &Path) -> Problems {
    match load(file, Secrets::Check) {
        Err(problems) => problems,
        Ok(_) => panic!("{} is accepted", file.display()),
    }
}

#[test]
fn each_invalid_file_gets_its_exact_messages() {
    let files = invalid_files();
    assert!(files.len() >= 45, "only {} files", files.len());
    let mut differing = Vec::new();
    for file in files {
        let rendered = problems(&file).to_string().replace(folder().to_str().unwrap(), "FOLDER") + "\n";
        let err_file = file.with_extension("err");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&err_file, &rendered).unwrap();
        }
        let expected = fs::read_to_string(&err_file).unwrap_or_default();
        if rendered != expected {
            differing.push(format!("{}\nexpected:\n{expected}actual:\n{rendered}", file.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn no_message_contains_a_secret() {
    for file in invalid_files() {
        let problems = problems(&file);
        for text in [format!("{problems}"), format!("{problems:?}"), format!("{problems:#?}")] {
            assert!(!text.to_lowercase().contains(PLANTED), "{}: {text}", file.display());
        }
    }
}

#[test]
fn each_message_has_a_file_a_line_and_a_fix() {
    for file in invalid_files() {
        for problem in &problems(&file) {
            let text = &problem.text;
            assert!(text.contains("; "), "no fix in: {problem}");
            assert!(problem.file.starts_with(folder()), "{problem}");
            assert!(problem.line.is_some() || text.starts_with("does not exist"), "{problem}");
            assert!(!text.contains('\n'), "{problem}");
        }
    }
}

#[test]
fn messages_are_sorted_by_file_and_line() {
    for file in invalid_files() {
        let problems = problems(&file);
        let mut by_file: Vec<(&Path, Vec<_>)> = Vec::new();
        for problem in &problems {
            match by_file.last_mut() {
                Some((file, lines)) if **file == *problem.file => lines.push(problem.line),
                _ => by_file.push((&*problem.file, vec![problem.line])),
            }
        }
        assert!(by_file.iter().all(|(_, lines)| lines.is_sorted()), "{problems}");
        assert!(by_file.is_sorted_by_key(|(path, _)| (*path != file, *path)), "{problems}");
    }
}

#[test]
fn a_missing_configuration_file_is_an_error() {
    let file = folder().join("nowhere/at-all.yml");
    let expected = format!("{}: does not exist; create it, or correct the path", file.display());
    assert_eq!(problems(&file).to_string(), expected);
}

#[test]
fn a_directory_is_not_a_configuration_file() {
    let expected = format!("{}: is a directory; name a file in it", folder().display());
    assert_eq!(problems(&folder()).to_string(), expected);
}

const WITH_SECRETS: &str = r#"
api: {proxy_url: "http://user:planted-0@proxy.example:3128"}
canaries:
  users: {path: /api/v1/users_v2, society: false}
partners:
  - name: acme
    secret: planted-1
    keys:
      - name: dupont
        access: society
        token: "planted-2"
      - {name: martin, access: firm, token: 'planted-3', society_id: 5, canaries: [users]}
      - name: durand
        access: firm
        login: {mail: api@durand.example, password: planted-4, firm: 80}
        canaries: []
      - name: petit
        access: society
        token: >-
          planted-5
        canaries:
          - users
  - {name: zenith, secret: planted-6}
"#;

/// Removes each character of a file with secrets, and inserts another one at each position.
#[test]
fn no_typing_error_makes_a_message_contain_a_secret() {
    // Characters that end, join or split values in YAML.
    const INSERTED: &str = "\"':,\n ";
    let folder = super::configured(WITH_SECRETS);
    folder.loaded();
    let mut refused = 0;
    for (at, removed) in WITH_SECRETS.char_indices() {
        let (before, after) = (&WITH_SECRETS[..at], &WITH_SECRETS[at + removed.len_utf8()..]);
        let mut check = |mistyped: String| {
            folder.write("exporter.yml", &mistyped);
            match folder.load() {
                Ok(loaded) => {
                    let shown = format!("{loaded:?} {}", loaded.summary());
                    assert!(!shown.contains(PLANTED), "{mistyped}");
                }
                Err(problems) => {
                    refused += 1;
                    assert!(!format!("{problems} {problems:?}").contains(PLANTED), "{problems}\n{mistyped}");
                }
            }
        };
        check(format!("{before}{after}"));
        for inserted in INSERTED.chars() {
            check(format!("{before}{inserted}{after}"));
        }
    }
    assert!(refused > 1_000, "only {refused} typing errors were refused");
}
