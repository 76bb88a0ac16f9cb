//! `myunisoft-exporter probe`: every probe once, explained.

use std::path::Path;
use std::process::Command;

use myunisoft_exporter::config::{Config, Partner};
use myunisoft_exporter::probe_once::choose;
use myunisoft_exporter::secret::SecretSource;
use partner_simulator::{Limits, Simulator};
use serde_json::Value;
use tempfile::TempDir;

use crate::status::misfit;
use crate::support::acme::{key_line, write_config};
use crate::support::server::BINARY;
use crate::support::{SECRET, token_key};

/// What the command said on standard output and standard error, and its exit code.
async fn probe(folder: &Path, flags: &[&str]) -> (String, String, Option<i32>) {
    let mut command = tokio::process::Command::new(BINARY);
    command
        .arg("probe")
        .arg(format!("--config.file={}", folder.join("exporter.yml").display()))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .args(flags);
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// Keys of acme: dupont and martin work, petit's token is not known.
async fn three_keys() -> (Simulator, TempDir) {
    let simulator = Simulator::builder()
        .limits(Limits { total: 1_000_000, ..Default::default() })
        .partner("acme", SECRET)
        .society_key("dupont", 80, 127)
        .society_key("martin", 80, 128)
        .society_key("petit", 80, 129)
        .start()
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keys = ["dupont", "martin", "petit"].map(|name| key_line(&simulator, name));
    simulator.key("petit").unwrap().revoke();
    write_config(folder.path(), &simulator, &keys);
    // A busy machine is no failure.
    let file = folder.path().join("exporter.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("interval: 300ms, timeout: 300ms", "interval: 30s, timeout: 20s"))
        .unwrap();
    (simulator, folder)
}

#[tokio::test]
async fn a_table_tells_each_probe_and_what_is_the_matter_and_what_to_do() {
    let (_simulator, folder) = three_keys().await;
    let (table, log, code) = probe(folder.path(), &[]).await;
    assert_eq!((code, &*log), (Some(1), ""));
    let line = |parts: &[&str]| {
        assert!(
            table.lines().any(|line| parts.iter().all(|part| line.contains(part))),
            "{parts:?} in\n{table}"
        );
    };
    line(&["KEY", "STATE", "PROBE", "RESULT", "TIME", "PHASES", "REQUEST-ID"]);
    line(&["API", "up", "health", "200 ok", "ms", "#", "req-"]);
    line(&["acme/dupont", "active", "key_info", "200 ok", "req-"]);
    line(&["exercices", "200 ok"]);
    line(&["acme/petit", "not_found", "401 token", "req-"]);
    line(&["acme/petit: key: The API does not know the token"]);
    line(&["What to do: Check that the token was copied completely"]);
    line(&["key_info: token ERR-API-TOKEN-NOT-FOUND"]);
    line(&["connect ", "processing ", "transfer "]);
    line(&["request-id: req-"]);
    line(&["API up; 3 keys, 1 with a problem."]);
    assert!(!table.contains('\x1b'), "no colour where it is no terminal");
    assert!(!table.contains(SECRET));
}

#[tokio::test]
async fn the_exit_code_is_0_only_if_all_that_was_asked_for_succeeded() {
    let (simulator, folder) = three_keys().await;
    assert_eq!(probe(folder.path(), &["--key=dupont", "--key", "acme/martin"]).await.2, Some(0));
    let (table, ..) = probe(folder.path(), &["--key=martin"]).await;
    assert!(
        table.contains("acme/martin")
            && !table.contains("dupont")
            && table.contains("API up; 1 key, none with a problem")
    );
    assert_eq!(probe(folder.path(), &["--key=petit"]).await.2, Some(1));
    simulator.key("dupont").unwrap().revoke();
    assert_eq!(probe(folder.path(), &["--key=dupont"]).await.2, Some(1));
    for flags in [&["--key=nobody"][..], &["--key=other/dupont"], &["--output=xml"], &["--config.file=/none"]]
    {
        let (table, log, code) = probe(folder.path(), flags).await;
        assert!(code == Some(2) && table.is_empty(), "{flags:?}: {code:?} {table}");
        assert!(!log.is_empty(), "{flags:?}");
    }
    let (.., log, _) = probe(folder.path(), &["--key=nobody"]).await;
    assert!(log.contains("no key is named `nobody`"), "{log}");
    let (.., log, _) = probe(folder.path(), &["--key=dupond"]).await;
    assert!(log.contains("did you mean `dupont`?"), "{log}");
}

#[tokio::test]
async fn its_json_is_that_of_the_status_page() {
    let (_simulator, folder) = three_keys().await;
    let (json, log, code) = probe(folder.path(), &["--output=json"]).await;
    assert_eq!((code, &*log), (Some(1), ""));
    assert_eq!(misfit(&json, None), None, "{json}");
    let status: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(status["keys"][0]["key"], "petit");
    assert_eq!(status["keys"][0]["verdict"]["blame"], "key");
    assert_eq!(status["api"]["state"], "up");
    assert_eq!(status["keys"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn it_knows_what_an_exporter_remembers_and_writes_nothing() {
    let (simulator, folder) = three_keys().await;
    let exporter = crate::support::server::Exporter::start(folder.path(), &[]).await;
    exporter.shows(&crate::support::acme::state_line("dupont", "active")).await;
    let memory = folder.path().join("data/state.json");
    drop(exporter);
    let before = std::fs::read(&memory).unwrap();
    simulator.key("dupont").unwrap().revoke();
    let (table, ..) = probe(folder.path(), &["--key=dupont"]).await;
    assert!(table.contains("revoked"), "{table}");
    assert_eq!(std::fs::read(&memory).unwrap(), before);
    // A memory that can't be read is told, and all else goes on.
    std::fs::write(&memory, "nonsense").unwrap();
    let (table, log, code) = probe(folder.path(), &["--key=dupont"]).await;
    assert!(table.contains("not_found") && code == Some(1), "{table}");
    assert!(log.contains("can't be read") && log.contains("not_found"), "{log}");
    assert_eq!(std::fs::read_to_string(&memory).unwrap(), "nonsense");
    // Where there is none, none is made.
    std::fs::remove_dir_all(folder.path().join("data")).unwrap();
    assert_eq!(probe(folder.path(), &["--key=martin"]).await.2, Some(0));
    assert!(!folder.path().join("data").exists());
}

/// The same in a terminal of its own.
fn in_a_terminal(folder: &Path, environment: &str, flags: &str) -> String {
    let (config, data) = (folder.join("exporter.yml"), folder.join("data"));
    let command = format!(
        "{environment} {BINARY} probe --config.file={} --storage.path={} {flags}",
        config.display(),
        data.display()
    );
    let output = Command::new("script").args(["-qec", &command, "/dev/null"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_shown_in_a_terminal_unless_they_are_not_wanted() {
    let (_simulator, folder) = three_keys().await;
    let coloured = in_a_terminal(folder.path(), "TERM=xterm", "");
    assert!(coloured.contains("\x1b[38;5;2m200 ok") && coloured.contains("\x1b[31m"), "{coloured}");
    for plain in ["TERM=xterm NO_COLOR=1", "TERM=dumb"] {
        let plain = in_a_terminal(folder.path(), plain, "");
        assert!(plain.contains("200 ok") && !plain.contains("\x1b[3"), "{plain}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_have_a_progress_bar_in_a_terminal_and_none_in_a_file() {
    let mut builder = Simulator::builder()
        .limits(Limits { total: 1_000_000, ..Default::default() })
        .partner("acme", SECRET);
    let names: Vec<_> = (0..60).map(|number| format!("key{number}")).collect();
    for name in &names {
        builder = builder.society_key(name, 80, 127);
    }
    let simulator = builder.start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<_> = names.iter().map(|name| key_line(&simulator, name)).collect();
    write_config(folder.path(), &simulator, &keys);
    let shown = in_a_terminal(folder.path(), "TERM=xterm", "");
    assert!(shown.contains("of 60 keys ["), "{shown}");
    let (table, log, _) = probe(folder.path(), &[]).await;
    assert!(!table.contains("of 60 keys") && log.is_empty(), "{log}");
    assert_eq!(table.matches("acme/key").count(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_nobody_reads_is_no_defect_and_a_full_disk_is_told() {
    let (_simulator, folder) = three_keys().await;
    let config = folder.path().join("exporter.yml");
    let config = config.to_str().unwrap();
    let flag = format!("--config.file={config}");
    for (arguments, code) in [
        (&["check-config", config][..], 0),
        (&["probe", "--key=dupont", &flag], 0),
        (&["probe", "--output=json", "--key=petit", &flag], 1),
    ] {
        let run = |out: &str| {
            let script = format!("cd {}; {BINARY} \"$@\" {out}", folder.path().display());
            Command::new("bash").args(["-c", &script, "bash"]).args(arguments).output().unwrap()
        };
        // By then nobody holds the other end.
        let output = run("> >(exec <&-)");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && told.is_empty(), "{arguments:?}: {told}");
        let output = run("> /dev/full");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && told.contains("No space left"), "{arguments:?}: {told}");
        assert!(!told.contains("panicked"), "{told}");
    }
}

#[test]
fn a_key_that_is_named_with_its_partner_is_that_one_alone() {
    let key = |name: &str| token_key(name, "a-token", Vec::new());
    let partner =
        |name: &str, keys| Partner { name: name.into(), secret: SecretSource::Inline(SECRET.into()), keys };
    let config = Config {
        partners: vec![
            partner("acme", vec![key("dupont"), key("martin")]),
            partner("zenith", vec![key("acme/dupont"), key("martin"), key("a/b")]),
        ],
        ..Config::default()
    };
    for (names, wanted) in [
        (&["acme/dupont"][..], &["acme/dupont"][..]),
        (&["zenith/acme/dupont"], &["zenith/acme/dupont"]),
        (&["martin"], &["acme/martin", "zenith/martin"]),
        (&["a/b", "acme/martin"], &["acme/martin", "zenith/a/b"]),
        (&[], &["acme/dupont", "acme/martin", "zenith/acme/dupont", "zenith/martin", "zenith/a/b"]),
    ] {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let chosen = choose(config.clone(), &names).unwrap();
        let keys = chosen
            .partners
            .iter()
            .flat_map(|partner| partner.keys.iter().map(move |key| format!("{}/{}", partner.name, key.name)));
        assert_eq!(keys.collect::<Vec<_>>(), wanted, "{names:?}");
    }
}
