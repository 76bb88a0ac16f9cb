//! `myunisoft-exporter probe`: runs each probe once and explains the results.

use std::os::unix::fs::PermissionsExt as _;

use partner_simulator::{Fault, KeySpec, LoginSpec, Scope, Simulator};
use serde_json::Value;

use crate::support::SECRET;
use crate::support::acme::{allow_slow_probes, state_line, write_config};
use crate::support::probe_command::{many_keys, probe, three_keys};
use crate::support::server::Exporter;

#[tokio::test]
async fn the_table_shows_each_probe_and_explains_each_failure() {
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
    // The time and the drawn phases depend on the load of the machine: unit tests check how they are written.
    line(&["API", "up", "health", "200 ok", "req-"]);
    line(&["acme/dupont", "active", "key_info", "200 ok", "req-"]);
    line(&["exercices", "200 ok"]);
    line(&["acme/petit", "not_found", "401 token", "req-"]);
    line(&["acme/petit: key: The API does not know the token"]);
    line(&["What to do: Check that the token was copied completely"]);
    line(&["key_info: token ERR-API-TOKEN-NOT-FOUND"]);
    line(&["connect ", "processing ", "transfer "]);
    line(&["request-id: req-"]);
    assert!(table.starts_with("1 of 3 keys fails; API up, "), "{table}");
    assert!(!table.contains('\x1b'), "colours without a terminal");
    assert!(!table.contains(SECRET));
}

#[tokio::test]
async fn the_exit_code_is_0_only_if_all_selected_probes_succeed() {
    let (simulator, folder) = three_keys().await;
    assert_eq!(probe(folder.path(), &["--key=dupont", "--key", "acme/martin"]).await.2, Some(0));
    let (table, ..) = probe(folder.path(), &["--key=martin"]).await;
    assert!(
        table.contains("acme/martin")
            && !table.contains("dupont")
            && table.starts_with("0 of 1 key fail; API up, ")
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
async fn only_failing_keys_are_shown_on_request() {
    let (simulator, folder) = three_keys().await;
    let (table, _, code) = probe(folder.path(), &["--failing"]).await;
    assert_eq!(code, Some(1));
    assert!(table.starts_with("1 of 3 keys fails; API up, "), "{table}");
    assert!(
        table.contains("acme/petit") && !table.contains("dupont") && !table.contains("martin"),
        "{table}"
    );
    for part in ["not_found", "401 token", "ERR-API-TOKEN-NOT-FOUND", "req-", "What to do: "] {
        assert!(table.contains(part), "{part} in {table}");
    }
    // In full: each probe, and the ID of each request.
    let (table, ..) = probe(folder.path(), &["--failing", "--all"]).await;
    assert!(
        table.contains("PHASES") && table.contains("request-id: req-") && !table.contains("dupont"),
        "{table}"
    );
    let (table, _, code) = probe(folder.path(), &["--failing", "--key=petit", "--key=dupont"]).await;
    assert!(table.starts_with("1 of 2 keys fails") && table.contains("PHASES"), "{table}");
    assert!(code == Some(1) && !table.contains("acme/dupont"), "{table}");
    let (json, ..) = probe(folder.path(), &["--failing", "--output=json"]).await;
    let status: Value = serde_json::from_str(&json).unwrap();
    let keys = status["keys"].as_array().unwrap();
    assert!(keys.len() == 1 && keys[0]["key"] == "petit", "{json}");
    assert_eq!(status["partners"][0]["keys"], 3);

    simulator.key("petit").unwrap().restore();
    let (table, _, code) = probe(folder.path(), &["--failing"]).await;
    assert!(table.starts_with("0 of 3 keys fail; API up, ") && !table.contains("acme/"), "{table}");
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn a_large_fleet_fits_on_a_screen_unless_all_keys_are_asked_for() {
    let (simulator, folder) = many_keys(300).await;
    for name in ["key7", "key8", "key9"] {
        simulator.key(name).unwrap().revoke();
    }
    for flags in [&[][..], &["--failing"]] {
        let (table, log, code) = probe(folder.path(), flags).await;
        assert_eq!((code, &*log), (Some(1), ""));
        assert!(table.starts_with("3 of 300 keys fail; API up, "), "{table}");
        assert!(table.lines().count() < 24, "{table}");
        for name in ["acme/key7 ", "acme/key8 ", "acme/key9 "] {
            assert!(table.contains(name), "{table}");
        }
        assert!(!table.contains("acme/key10 "), "{table}");
        assert_eq!(table.matches("What to do").count(), 1, "the cause is told once: {table}");
    }
    let (table, ..) = probe(folder.path(), &["--all"]).await;
    assert_eq!(
        table.lines().filter(|line| line.starts_with("acme/key") && line.contains("key_info")).count(),
        300
    );
    let (json, ..) = probe(folder.path(), &["--output=json"]).await;
    assert_eq!(json.matches("\"access\"").count(), 300);

    simulator.inject(Scope::Everything, Fault::maintenance());
    let (table, _, code) = probe(folder.path(), &["--failing"]).await;
    assert!(table.starts_with("300 of 300 keys fail; API maintenance."), "{table}");
    assert!(code == Some(1) && table.lines().count() < 24, "{table}");
    assert!(table.contains(" more keys"), "{table}");
    let (table, ..) = probe(folder.path(), &["--failing", "--all"]).await;
    assert!(table.contains("acme/key0 ") && table.contains("acme/key299 "), "{table}");
}

#[tokio::test]
async fn it_reads_the_persisted_state_and_writes_nothing() {
    let (simulator, folder) = three_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    let state_file = folder.path().join("data/state.json");
    drop(exporter);
    let before = std::fs::read(&state_file).unwrap();
    simulator.key("dupont").unwrap().revoke();
    let (table, ..) = probe(folder.path(), &["--key=dupont"]).await;
    assert!(table.contains("revoked"), "{table}");
    assert_eq!(std::fs::read(&state_file).unwrap(), before);
    // An unreadable state file is reported, and the probes still run.
    std::fs::write(&state_file, "nonsense").unwrap();
    let (table, log, code) = probe(folder.path(), &["--key=dupont"]).await;
    assert!(table.contains("not_found") && code == Some(1), "{table}");
    assert!(log.contains("can't be read") && log.contains("not_found"), "{log}");
    assert_eq!(std::fs::read_to_string(&state_file).unwrap(), "nonsense");
    // A storage directory that does not exist is not created.
    std::fs::remove_dir_all(folder.path().join("data")).unwrap();
    assert_eq!(probe(folder.path(), &["--key=martin"]).await.2, Some(0));
    assert!(!folder.path().join("data").exists());
}

#[tokio::test]
async fn a_refused_password_is_tried_once_by_the_command_and_the_exporter_together() {
    let login = LoginSpec::new("api@durand.example", "right").firm(83, "DURAND").lock_after(2);
    let simulator = Simulator::builder()
        .partner("acme", SECRET)
        .key(KeySpec::login("durand", login))
        .start()
        .await
        .unwrap();
    let attempts = || simulator.account("api@durand.example").unwrap().attempts().total;
    let folder = tempfile::tempdir().unwrap();
    let key = |password: &str| {
        let login = format!("{{mail: api@durand.example, password: {password}, firm: 83}}");
        write_config(
            folder.path(),
            &simulator,
            &[format!("      - {{name: durand, access: firm, canaries: [], login: {login}}}")],
        );
        allow_slow_probes(folder.path());
    };
    key("wrong-password");
    let (table, ..) = probe(folder.path(), &[]).await;
    assert!(table.contains("the log-in was refused"), "{table}");
    let (table, ..) = probe(folder.path(), &[]).await;
    assert!(table.contains("the next try is in"), "{table}");
    let journal = folder.path().join("data/probe-logins.json");
    assert_eq!(std::fs::metadata(&journal).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!std::fs::read_to_string(&journal).unwrap().contains("wrong-password"));
    let exporter = Exporter::start(folder.path(), &[]).await;
    exporter.server.wait_for_log(&["key=durand", "reason=login", "the next try is in"]).await;
    assert_eq!(attempts(), 1);
    assert!(!folder.path().join("data/probe-logins.json.new").exists());
    drop(exporter);
    // Another password is another log-in.
    key("right");
    let (table, log, code) = probe(folder.path(), &[]).await;
    assert_eq!(code, Some(0), "{table}{log}");
    assert_eq!(attempts(), 2);
}
