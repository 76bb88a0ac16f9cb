//! Reads small files through the public interface, and compares values and error texts.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use checked_yaml::{Cursor, Diagnostics, Problem, Problems, Reported, Source};
use tempfile::TempDir;

/// What reading a file produced, without the name of its folder.
struct Outcome {
    errors: Vec<String>,
    warnings: Vec<String>,
}

fn write(folder: &TempDir, name: &str, content: &[u8], mode: u32) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    set_mode(&path, mode);
    path
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Reads the text as the file `a.yml`, which only its owner can read.
fn read(text: &str, decode: impl FnOnce(&Cursor<'_>)) -> Outcome {
    read_bytes(text.as_bytes(), 0o600, decode)
}

fn read_bytes(content: &[u8], mode: u32, decode: impl FnOnce(&Cursor<'_>)) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "a.yml", content, mode);
    let diagnostics = Diagnostics::default();
    let source = Source::new(&path, 0, &diagnostics);
    if let Ok(tree) = source.read() {
        decode(&Cursor::root(&source, &tree));
    }
    source.finish();
    let prefix = format!("{}/", folder.path().display());
    let texts = |problems: &[Problem]| {
        problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect::<Vec<_>>()
    };
    match diagnostics.into_result(()) {
        Ok(((), warnings)) => Outcome { errors: Vec::new(), warnings: texts(&warnings) },
        Err(problems) => {
            let problems: Vec<_> = problems.iter().cloned().collect();
            Outcome { errors: texts(&problems), warnings: Vec::new() }
        }
    }
}

/// The only error of a file whose root is read by `decode`.
fn error<T>(text: &str, decode: impl FnOnce(&Cursor<'_>) -> Result<T, Reported>) -> String {
    let outcome = read(text, |root| assert!(decode(root).is_err(), "{text}"));
    assert_eq!(outcome.errors.len(), 1, "{:?}", outcome.errors);
    outcome.errors.concat()
}

/// Reads the field `v`; `None` if the value is refused.
fn value<T>(text: &str, decode: impl Fn(&Cursor<'_>) -> Result<T, Reported>) -> Option<T> {
    let value = Cell::new(None);
    read(&format!("v: {text}\n"), |root| {
        value.set(root.fields(&["v"]).and_then(|fields| fields.required("v", "add it", &decode)).ok());
    });
    value.into_inner()
}

/// The error about the field `v`, without its position.
fn refusal<T>(text: &str, decode: impl Fn(&Cursor<'_>) -> Result<T, Reported>) -> String {
    let error = error(&format!("v: {text}\n"), |root| {
        root.fields(&["v"]).and_then(|fields| fields.required("v", "add it", &decode))
    });
    error.strip_prefix("a.yml:1: v: ").unwrap_or_else(|| panic!("{error}")).to_owned()
}

fn path(at: &Cursor<'_>) -> Result<PathBuf, Reported> {
    at.path()
}

fn boolean(at: &Cursor<'_>) -> Result<bool, Reported> {
    at.boolean()
}

fn duration(at: &Cursor<'_>) -> Result<Duration, Reported> {
    at.duration()
}

fn no_fields(root: &Cursor<'_>) -> Result<(), Reported> {
    root.fields(&["port", "token"]).map(|_| ())
}

#[test]
fn an_error_names_the_file_the_line_and_the_path_of_the_field() {
    let outcome = read("servers:\n  - port: 1\n  - port: x\n    \"a b\": {port: y}\n", |root| {
        let fields = root.fields(&["servers"]).unwrap();
        let servers = fields.get("servers").unwrap();
        for server in servers.items().unwrap() {
            for (name, at) in server.entries().unwrap() {
                let _ = match name.name.as_str() {
                    "port" => at.number::<u16>("a port"),
                    _ => at.fields(&["port"]).unwrap().required("port", "add it", |at| at.number("a port")),
                };
            }
        }
    });
    assert_eq!(
        outcome.errors,
        [
            "a.yml:3: servers[1].port: is not a valid number; write a port",
            "a.yml:4: servers[1][\"a b\"].port: is not a valid number; write a port",
        ]
    );
}

#[test]
fn a_problem_gives_access_to_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "a.yml", b"a:\n  b: 1\n", 0o600);
    let diagnostics = Diagnostics::default();
    let source = Source::new(&path, 0, &diagnostics);
    let tree = source.read().unwrap();
    let root = Cursor::root(&source, &tree);
    let a = root.fields(&["a"]).unwrap().get("a").unwrap();
    let problem = a.fields(&["b"]).unwrap().get("b").unwrap().problem("is odd");
    let parts = (&*problem.file, problem.line, &*problem.field, &*problem.text);
    assert_eq!(parts, (path.as_path(), Some(2), "a.b", "is odd"));
}

#[test]
fn a_misspelt_field_is_reported_once_with_the_probable_name() {
    let error = error("prot: 80\n", |root| {
        let fields = root.fields(&["port", "token"])?;
        assert!(fields.is_misspelt("port") && !fields.is_misspelt("token"));
        fields.required("port", "add the port", |at| at.number::<u16>("a port"))
    });
    assert_eq!(error, "a.yml:1: prot: is not a field; did you mean `port`?");
}

#[test]
fn a_missing_field_is_reported_with_the_fix() {
    let error = error("token: x\n", |root| {
        root.fields(&["port", "token"])?.required("port", "add the port", |at| at.number::<u16>("a port"))
    });
    assert_eq!(error, "a.yml:1: port: is missing; add the port");
}

#[test]
fn a_repeated_field_is_reported_and_the_first_one_is_read() {
    let outcome = read("port: 1\nport: 2\n", |root| {
        let fields = root.fields(&["port"]).unwrap();
        assert_eq!(fields.optional("port", |at| at.number::<u16>("a port")).ok(), Some(Some(1)));
    });
    assert_eq!(outcome.errors, ["a.yml:2: port: is written twice, first at line 1; keep one"]);
}

#[test]
fn the_name_of_an_unknown_field_is_shown_only_if_it_cannot_be_a_secret() {
    for (text, wanted) in [
        ("colour: red\n", "a.yml:1: colour: is not a field; remove it (the fields here are: port, token)"),
        ("<<: x\n", "a.yml:1: <<: merge keys are not supported; write the fields out"),
    ] {
        let outcome = read(text, |root| no_fields(root).unwrap());
        assert_eq!(outcome.errors, [wanted]);
    }
    for secret in ["token: a\nhunter2: b\n", "{token: a, hunter: }\n", "s3cr3t-S3CR3T: x\n"] {
        let outcome = read(secret, |root| no_fields(root).unwrap());
        let error = outcome.errors.concat();
        assert!(error.contains("whose name is not shown because it may be a secret"), "{error}");
        assert!(!error.contains("hunter") && !error.contains("S3CR3T"), "{error}");
    }
}

#[test]
fn present_fields_are_listed_in_the_order_of_the_file() {
    read("b: 1\nc: 2\na: 3\n", |root| {
        let fields = root.fields(&["a", "b", "c"]).unwrap();
        let names: Vec<_> = fields.present(&["a", "b"]).map(|(name, _)| name).collect();
        assert_eq!(names, ["b", "a"]);
    });
}

#[test]
fn a_mapping_without_a_value_is_empty_and_a_list_without_a_value_and_other_kinds_are_refused() {
    let count = |at: &Cursor<'_>| Ok(at.items()?.len());
    assert_eq!(value("[1, 2]", count), Some(2));
    assert_eq!(value("[]", count), Some(0));
    assert_eq!(value("", |at| Ok(at.entries()?.count())), Some(0));
    assert_eq!(refusal("", count), "has no value; write `[]` for an empty list, or remove the line");
    assert_eq!(refusal("x", count), "must be a list, but is a single value; write `- …` lines, or `[…]`");
    assert_eq!(
        refusal("[1]", |at| at.entries().map(Iterator::count)),
        "must be a mapping, but is a list; write `name: value` lines"
    );
    assert_eq!(
        refusal("x", |at| at.fields(&[]).map(|_| ())),
        "must be a mapping, but is a single value; write `name: value` lines"
    );
}

#[test]
fn a_text_is_kept_as_written_and_must_not_be_empty() {
    let text = |at: &Cursor<'_>| at.text().map(str::to_owned);
    assert_eq!(value("0123", text).as_deref(), Some("0123"));
    assert_eq!(value("'null'", text).as_deref(), Some("null"));
    assert_eq!(refusal("", text), "has no value; give it one, or remove the line");
    assert_eq!(refusal("''", text), "is empty; give it a value, or remove the line");
    assert_eq!(refusal("{a: 1}", text), "must be text, but is a mapping; write a single value");
}

#[test]
fn a_relative_path_starts_from_the_folder_of_the_file() {
    assert_eq!(value("/etc/x", path), Some(PathBuf::from("/etc/x")));
    let relative = value("keys/x", path).unwrap();
    assert!(relative.is_absolute() && relative.ends_with("keys/x"), "{relative:?}");
    assert_eq!(
        refusal("\"a\\nb\"", path),
        "is a path with a control character; rename the file, or correct the path"
    );
}

#[test]
fn booleans_are_unquoted_words() {
    assert_eq!((value("true", boolean), value("false", boolean)), (Some(true), Some(false)));
    for text in ["yes", "True", "'true'", "1"] {
        assert_eq!(refusal(text, boolean), "is neither; write `true` or `false`, unquoted", "{text}");
    }
}

#[test]
fn numbers_are_decimal_without_sign_or_leading_zero_and_fit_their_type() {
    let number = |at: &Cursor<'_>| at.number::<u8>("a whole number");
    assert_eq!((value("0", number), value("255", number)), (Some(0), Some(255)));
    for text in ["256", "-1", "+1", "012", "0x10", "1e2", "1.0", "one"] {
        assert_eq!(refusal(text, number), "is not a valid number; write a whole number", "{text}");
    }
}

#[test]
fn fractions_are_between_zero_and_one() {
    let fraction = |at: &Cursor<'_>| at.fraction("a number such as 0.99");
    assert_eq!(value("0.99", fraction), Some(0.99));
    for text in ["0", "1", "1.5", "-0.5", "5e-1", "nan", "."] {
        assert_eq!(refusal(text, fraction), "is not such a fraction; write a number such as 0.99", "{text}");
    }
}

#[test]
fn a_word_must_be_one_of_the_choices() {
    let word = |at: &Cursor<'_>| at.one_of(&[("get", 1), ("head", 2), ("post", 3)]);
    assert_eq!(value("head", word), Some(2));
    assert_eq!(refusal("put", word), "is not allowed; write `get`, `head` or `post`");
    assert_eq!(refusal("x", |at| at.one_of(&[("only", 1)])), "is not allowed; write `only`");
}

#[test]
fn durations_have_a_unit() {
    assert_eq!(value("1m 30s", duration), Some(Duration::from_secs(90)));
    for (text, wanted) in [
        ("30", "is a duration without a unit; add one, as in `30s` or `5m`"),
        ("soon", "is not a duration; write it as in `30s`, `5m` or `1m 30s`"),
        ("99999999999999999999s", "is too long; write a shorter duration"),
        ("[1]", "must be a duration such as `30s`, but is a list; write a single value"),
    ] {
        assert_eq!(refusal(text, duration), wanted);
    }
}

#[test]
fn the_shape_of_a_value_can_be_asked() {
    let shape = |at: &Cursor<'_>| {
        Ok([at.is_null(), at.is_empty(), at.is_blank(), at.is_scalar(), at.is_unquoted()].map(u8::from))
    };
    for (text, wanted) in [
        ("", [1, 1, 1, 1, 1]),
        ("''", [0, 0, 1, 1, 0]),
        ("{}", [0, 1, 0, 0, 0]),
        ("x", [0, 0, 0, 1, 1]),
        ("[x]", [0, 0, 0, 0, 0]),
    ] {
        assert_eq!(value(text, shape), Some(wanted), "{text:?}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_reported_as_a_whole_or_by_its_line() {
    for (content, wanted) in [
        (&b""[..], "a.yml:1: is empty; write at least one field, or remove the file"),
        (b"# nothing\n", "a.yml:1: is empty; write at least one field, or remove the file"),
        (b"a: 1\nb: \xff\n", "a.yml:2: is not UTF-8 text; save the file as UTF-8"),
        (b"a:\n\tb: 1\n", "a.yml:2: a tab is used for indentation; indent with spaces"),
        (b"a: \"x\n", "a.yml:1: a quotation mark is not closed; close it"),
    ] {
        let outcome = read_bytes(content, 0o600, |_| {});
        assert_eq!(outcome.errors, [wanted]);
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, wanted) in [("none.yml", "does not exist"), ("", "is a directory")] {
        let diagnostics = Diagnostics::default();
        let path = folder.path().join(name);
        assert!(Source::new(&path, 0, &diagnostics).read().is_err());
        let problem = diagnostics.into_result(()).unwrap_err().to_string();
        assert!(problem.starts_with(&format!("{}: {wanted}", path.display())), "{problem}");
    }
}

#[test]
fn errors_are_sorted_by_file_and_line_and_hide_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("z.yml"), folder.path().join("a.yml"));
    for path in [&first, &second] {
        fs::write(path, "a: 1\nb: 2\n").unwrap();
    }
    let diagnostics = Diagnostics::default();
    for (order, path) in [(1, &second), (0, &first)] {
        let source = Source::new(path, order, &diagnostics);
        let tree = source.read().unwrap();
        let root = Cursor::root(&source, &tree);
        let fields = root.fields(&["a", "b"]).unwrap();
        fields.get("a").unwrap().warning("is odd");
        for name in ["b", "a"] {
            fields.get(name).unwrap().error("is wrong");
        }
    }
    let problems = diagnostics.into_result(()).unwrap_err();
    let found: Vec<_> = problems.iter().map(|problem| (&*problem.file, problem.line)).collect();
    let (first, second) = (first.as_path(), second.as_path());
    assert_eq!(found, [(first, Some(1)), (first, Some(2)), (second, Some(1)), (second, Some(2))]);
    assert!(problems.iter().all(|problem| problem.text == "is wrong"));
}

#[test]
fn the_problems_of_two_results_are_joined() {
    let problem = |name: &str| Problems::with_file(Path::new(name), "is wrong".to_owned());
    assert_eq!(Problems::both::<_, _>(Ok(1), Ok(2)), Ok((1, 2)));
    assert_eq!(Problems::both::<(), _>(Err(problem("a")), Ok(2)), Err(problem("a")));
    let both = Problems::both::<(), ()>(Err(problem("a")), Err(problem("b"))).unwrap_err();
    assert_eq!(both.to_string(), "a: is wrong\nb: is wrong");
}

#[test]
fn secrets_that_every_user_can_read_are_one_warning_per_file_and_kind() {
    let note = |root: &Cursor<'_>| {
        for at in root.fields(&["tokens"]).unwrap().get("tokens").unwrap().items().unwrap() {
            at.note_inline_secret();
            at.note_world_readable_file();
        }
    };
    let text = "tokens:\n  - a\n  - b\n  - c\n";
    let files = "a.yml:2: tokens[0]: is readable by every user of the machine (and 2 more in this file); \
                 run chmod o-r on it";
    let inline = "a.yml:2: tokens[0]: is in a file that every user of the machine can read (and 2 more in this \
                  file); run chmod o-r on it, or move the secret to a file of its own";
    assert_eq!(read_bytes(text.as_bytes(), 0o644, note).warnings, [files, inline]);
    assert_eq!(read_bytes(text.as_bytes(), 0o600, note).warnings, [files]);
    assert_eq!(
        read_bytes(b"tokens: [a]\n", 0o600, note).warnings,
        ["a.yml:1: tokens[0]: is readable by every user of the machine; run chmod o-r on it"]
    );
}
