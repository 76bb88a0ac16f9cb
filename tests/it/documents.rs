//! Each test that docs/reliability.md names exists in the module that the document names, and the examples of docs/status.md
//! have the texts of today.

use std::path::{Path, PathBuf};

/// The paths in backticks that lead to a test or, with `::` at their end, to a module of tests.
///
/// A section can name a module that contains its tests; the paths in this section may be relative to it.
fn named_tests() -> Vec<(String, String)> {
    let page = include_str!("../../docs/reliability.md");
    let sections = page.split("\n## ").skip(1);
    let named = sections.flat_map(|section| {
        let module = section.split_once("The tests are in `").map_or("", |(_, rest)| code(rest));
        let paths = section.split('`').skip(1).step_by(2).filter(|path| path.contains("::"));
        paths.map(|path| (module.to_owned(), path.to_owned()))
    });
    named.collect()
}

/// The text up to the next backtick.
fn code(text: &str) -> &str {
    text.split('`').next().unwrap_or_default()
}

/// The files that can contain a module: its own, or that of its parent if it is a module `tests` inside a file.
fn files(module: &[&str]) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (folder, module) = match module {
        ["it", module @ ..] => (root.join("tests/it"), module),
        ["system", module @ ..] => (root.join("tests/system"), module),
        ["web_toolkit", module @ ..] => (root.join("crates/web-toolkit/src"), module),
        module => (root.join("src"), module),
    };
    let file = |module: &[&str]| folder.join(module.iter().collect::<PathBuf>()).with_extension("rs");
    match module {
        [parent @ .., "tests"] => vec![file(module), file(parent)],
        _ => vec![file(module)],
    }
}

fn exists(path: &str) -> bool {
    let segments: Vec<_> = path.split("::").collect();
    let Some((name, module)) = segments.split_last() else { return false };
    let mut texts = files(module).into_iter().filter_map(|file| std::fs::read_to_string(file).ok());
    texts.any(|text| name.is_empty() || text.contains(&format!("fn {name}()")))
}

#[test]
fn every_test_named_in_the_reliability_document_exists() {
    let named = named_tests();
    assert!(named.len() > 100, "only {} names were found", named.len());
    let missing: Vec<_> = named
        .iter()
        .filter(|(module, path)| !exists(path) && !exists(&format!("{module}{path}")))
        .map(|(_, path)| path)
        .collect();
    assert!(missing.is_empty(), "docs/reliability.md names tests that do not exist: {missing:#?}");
}

#[test]
fn the_examples_of_the_status_document_have_the_texts_of_today() {
    let page = include_str!("../../docs/status.md");
    let messages = crate::french::messages("en");
    let text = |id: &str| messages[id].replace("{ $screen }", "Paramètres > Connecteurs dossier");
    let action = text("revoked-action").replace("{ $new_token }", &text("new-token"));
    let examples: Vec<_> = page.lines().filter_map(|line| line.trim().strip_prefix("What to do: ")).collect();
    assert_eq!(examples, [action.as_str(); 2]);
    let revoked = page.lines().filter(|line| line.starts_with("acme") && line.contains("The key was"));
    assert!(revoked.clone().count() == 3 && revoked.clone().all(|line| line.ends_with(&text("revoked"))));
}
