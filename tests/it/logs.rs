//! What the log says: about an outage, about each probe, and at the start.

use std::process::Command;

use partner_simulator::{Fault, Scope, Simulator};

use crate::support::SECRET;
use crate::support::acme::{key_line, state_line, two_keys, write_config};
use crate::support::server::{BINARY, Exporter, Server, until};

/// The lines of the log that contain `part`.
fn lines(exporter: &Exporter, part: &str) -> Vec<String> {
    exporter.server.output().lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
}

/// Waits until so many probes of keys fail.
async fn wait_for_failing(exporter: &Exporter, expected: usize) {
    until(&format!("{expected} failing probes"), || async {
        let failing = exporter.metrics().await.matches("\nmyunisoft_probe_error_info{").count();
        (failing == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_outage_of_many_keys_writes_a_few_lines_with_counts() {
    const KEYS: usize = 60;
    let names: Vec<_> = (0..KEYS).map(|number| format!("key{number}")).collect();
    let builder = Simulator::builder().partner("acme", SECRET);
    let builder = names.iter().fold(builder, |builder, name| builder.society_key(name, 80, 127));
    let simulator = builder.start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_config(
        folder.path(),
        &simulator,
        &names.iter().map(|name| key_line(&simulator, name)).collect::<Vec<_>>(),
    );
    let file = folder.path().join("exporter.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("interval: 300ms, timeout: 300ms", "interval: 3s, timeout: 3s"))
        .unwrap();
    let exporter = Exporter::start(folder.path(), &[]).await;
    for name in &names {
        exporter.wait_for_line(&state_line(name, "active")).await;
    }
    wait_for_failing(&exporter, 0).await;
    let quiet = exporter.server.output().lines().count();
    simulator.inject(Scope::Everything, Fault::Close);
    wait_for_failing(&exporter, 2 * KEYS + 1).await;
    for probes in ["probes=10 ", "probes=100 "] {
        exporter.server.wait_for_log(&["level=warn", "probes failing", "reason=io", probes]).await;
    }
    simulator.heal_all();
    wait_for_failing(&exporter, 0).await;
    let end = exporter.server.wait_for_log(&["level=info", "probes no longer failing", "reason=io"]).await;
    assert!(end.contains("lasted=") && end.contains("peak="), "{end}");
    let all = exporter.server.output().lines().count() - quiet;
    // Health begins and ends; the keys begin, grow twice, subside and end.
    assert!(all <= 12, "{all} lines:\n{}", exporter.server.output());
}

#[tokio::test]
async fn a_refusal_of_a_key_has_lines_of_its_own() {
    let (simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    for name in ["dupont", "martin"] {
        exporter.wait_for_line(&state_line(name, "active")).await;
        simulator.key(name).unwrap().revoke();
        exporter
            .server
            .wait_for_log(&["level=warn", "probe failing", &format!("key={name}"), "reason=token"])
            .await;
        let change = ["key state changed", &format!("key={name}"), "to=revoked"];
        exporter.server.wait_for_log(&change).await;
    }
    simulator.key("dupont").unwrap().restore();
    exporter.server.wait_for_log(&["probe succeeding again", "key=dupont", "reason=token"]).await;
}

#[tokio::test]
async fn the_debug_level_tells_each_probe_with_its_phases_and_without_any_secret() {
    let (simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &["--log.level=debug"]).await;
    for (probe, key) in [("health", None), ("key_info", Some("dupont")), ("exercices", Some("martin"))] {
        let key = key.map(|key| format!("partner=acme key={key} ")).unwrap_or_default();
        let start = format!("{key}probe={probe} success=true status=200 request_id=req-");
        let line = exporter.server.wait_for_log(&["level=debug", "probe finished", &start]).await;
        for phase in ["connect=0.", "processing=0.", "transfer=0."] {
            assert!(line.contains(phase), "{phase}: {line}");
        }
    }
    simulator.key("dupont").unwrap().revoke();
    let failed =
        ["key=dupont", "success=false", "reason=token", "code=ERR-API-TOKEN-NOT-FOUND", "request_id=req-"];
    exporter.server.wait_for_log(&failed).await;
    simulator.inject(Scope::Everything, Fault::Silence);
    exporter.server.wait_for_log(&["probe finished", "key=martin", "reason=timeout"]).await;
    let output = exporter.server.output();
    let token = simulator.key("dupont").unwrap().token().unwrap();
    assert!(!output.contains(&token) && !output.contains(SECRET), "{output}");
    assert!(!lines(&exporter, "probe finished").is_empty());
}

#[tokio::test]
async fn the_start_says_what_runs() {
    let (_simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    let line = exporter.server.wait_for_log(&["level=info", "myunisoft-exporter starts"]).await;
    for part in [
        format!("version={}", env!("CARGO_PKG_VERSION")),
        format!("configuration={}", folder.path().join("exporter.yml").display()),
        format!("storage={}", folder.path().join("data").display()),
        "partners=1 keys=2".to_owned(),
    ] {
        assert!(line.contains(&part), "{part}: {line}");
    }
    let empty = tempfile::tempdir().unwrap();
    let mut command = Command::new(BINARY);
    let server = Server::spawn(command.arg("--web.listen-address=127.0.0.1:0").current_dir(empty.path()));
    let line = server.wait_for_log(&["myunisoft-exporter starts"]).await;
    assert!(line.contains("configuration=none storage=data/ partners=0 keys=0"), "{line}");
}

#[tokio::test]
async fn a_rejected_secret_is_logged_with_the_response_that_refused_it() {
    let (simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    for name in ["dupont", "martin"] {
        exporter.wait_for_line(&state_line(name, "active")).await;
    }
    // The answers to the revoked key do not concern the secret, although one of them may be the last one before the
    // secret is rejected.
    simulator.key("dupont").unwrap().revoke();
    simulator.key("martin").unwrap().inject(Fault::refuse("ERR-INVALID-SECRET"));
    let change = ["secret state changed", "to=rejected", "code=ERR-INVALID-SECRET", "request_id=req-"];
    exporter.server.wait_for_log(&change).await;
}
