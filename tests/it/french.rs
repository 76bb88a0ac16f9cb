//! What people read in English has its twin in French: messages, alerts and runbooks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The messages of a language by their IDs. A line that is indented continues the message before it.
pub(crate) fn messages(language: &str) -> BTreeMap<String, String> {
    let file = text(&format!("i18n/{language}/myunisoft-exporter.ftl"));
    let mut messages: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with(' ') {
            messages.get_mut(&last).unwrap().push_str(line);
            continue;
        }
        let (id, message) = line.split_once(" = ").unwrap();
        id.clone_into(&mut last);
        assert_eq!(messages.insert(id.to_owned(), message.to_owned()), None, "{id} occurs twice");
    }
    messages
}

/// The words after each `$`.
fn variables(message: &str) -> BTreeSet<&str> {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    message.split('$').skip(1).map(|rest| rest.split(|c| !is_of_word(c)).next().unwrap()).collect()
}

fn source_files(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = |path: PathBuf| if path.is_dir() { source_files(path) } else { vec![path] };
    entries
        .flat_map(files)
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

#[test]
fn every_message_has_its_twin_with_the_same_arguments() {
    let (english, french) = (messages("en"), messages("fr"));
    assert_eq!(english.keys().collect::<Vec<_>>(), french.keys().collect::<Vec<_>>());
    for (id, message) in &english {
        assert_eq!(variables(message), variables(&french[id]), "{id}");
    }
}

#[test]
fn no_message_is_unused() {
    let code: String =
        source_files(root().join("src")).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let unused: Vec<_> =
        messages("en").into_keys().filter(|id| !code.contains(&format!("\"{id}\""))).collect();
    assert_eq!(unused, Vec::<String>::new());
}

/// A text in which an ordinary space stands where French has one that does not break.
fn has_breaking_space(text: &str) -> bool {
    [" ;", " ?", " !", " »", "« ", " :"].iter().any(|mark| {
        text.match_indices(mark).any(|(at, mark)| {
            let next = text.get(at + mark.len()..).unwrap().chars().next();
            mark == "« " || next.is_none_or(|c| c.is_whitespace() || ".,)".contains(c))
        })
    })
}

#[test]
fn the_spaces_at_french_marks_do_not_break() {
    assert!(has_breaking_space("Attention : ici") && !has_breaking_space("Attention\u{a0}: ici"));
    for (id, message) in messages("fr") {
        assert!(!has_breaking_space(&message), "{id}: {message}");
    }
}

fn alerts(path: &str) -> Vec<Value> {
    let rules: Value = serde_saphyr::from_str(&text(path)).unwrap();
    let groups = rules["groups"].as_array().unwrap().iter();
    groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// The templates of an annotation, and the texts between them.
fn templates_and_texts(annotation: &str) -> (Vec<String>, Vec<String>) {
    let (mut templates, mut texts) = (Vec::new(), Vec::new());
    for (place, part) in annotation.split("{{").enumerate() {
        let (template, text) = if place == 0 { ("", part) } else { part.split_once("}}").unwrap() };
        templates.push(template.to_owned());
        texts.push(text.trim().to_owned());
    }
    (templates, texts)
}

/// A template without what only writes a figure in another way, and without the words of a period.
fn without_format(template: &str) -> String {
    let mut parts: Vec<_> = template.split(" | ").filter(|part| !part.starts_with("reReplaceAll")).collect();
    if template.starts_with(" $window") {
        parts.retain(|part| !part.starts_with(" $window"));
    }
    parts.join(" | ").trim_end().to_owned()
}

#[test]
fn every_alert_has_its_french_twin_with_the_same_templates() {
    let (english, french) = (alerts("alerts/alerts.rules.yml"), alerts("alerts/fr/alerts.rules.yml"));
    assert_eq!(english.len(), french.len());
    for (english, french) in english.iter().zip(&french) {
        for field in ["record", "alert", "expr", "for", "keep_firing_for", "labels"] {
            assert_eq!(english[field], french[field], "{}", english["alert"]);
        }
        let annotations = |rule: &Value| rule["annotations"].as_object().cloned().unwrap_or_default();
        let (ours, theirs) = (annotations(english), annotations(french));
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
        for (name, ours) in &ours {
            let (templates, texts) = templates_and_texts(ours.as_str().unwrap());
            let (in_french, french_texts) = templates_and_texts(theirs[name].as_str().unwrap());
            let plain = |templates: Vec<String>| -> Vec<String> {
                templates.iter().map(|template| without_format(template)).collect()
            };
            assert_eq!(plain(templates), plain(in_french), "{}: {name}", english["alert"]);
            let is_text = |text: &&String| text.chars().filter(|c| c.is_alphabetic()).count() > 3;
            for text in texts.iter().filter(is_text).filter(|_| !name.ends_with("_url")) {
                assert!(!french_texts.contains(text), "{}: {text}", english["alert"]);
            }
            let is_url = name.ends_with("_url");
            assert!(is_url || french_texts.iter().all(|text| !has_breaking_space(text)), "{theirs:?}");
        }
    }
}

#[test]
fn every_runbook_has_its_french_twin() {
    let sections = |page: &str| -> Vec<String> {
        let text = text(page);
        let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
        headings.filter(|heading| heading.starts_with("MyUnisoft")).map(str::to_owned).collect()
    };
    assert_eq!(sections("docs/runbooks.md"), sections("docs/runbooks.fr.md"));
}
