//! The program as its users run it: a process, its files and its signals.

use std::process::Command;
use std::time::Duration;

use partner_simulator::{Fault, Scope};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::support::SECRET;
use crate::support::acme::{key_line, state_line, two_keys, write_config};
use crate::support::server::{BINARY, Exporter, Server, client, until};

#[tokio::test]
async fn a_shown_state_survives_a_kill() {
    let (simulator, folder) = two_keys().await;
    let key = simulator.key("dupont").unwrap();
    let mut exporter = Exporter::start(folder.path(), &[]).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    for _ in 0..5 {
        for (revoked, state) in [(true, "revoked"), (false, "active")] {
            if revoked {
                key.revoke();
            } else {
                key.restore();
            }
            exporter.wait_for_line(&state_line("dupont", state)).await;
            exporter.server.signal(Signal::KILL);
            exporter.server.wait_for_exit().await;
            // The API is unreachable, so the state can only come from the persisted state.
            simulator.inject(Scope::Everything, Fault::Close);
            exporter = Exporter::start(folder.path(), &[]).await;
            let metrics = exporter.metrics().await;
            assert!(metrics.contains(&state_line("dupont", state)), "{metrics}");
            simulator.heal_all();
        }
    }
    let files: Vec<_> = std::fs::read_dir(folder.path().join("data")).unwrap().flatten().collect();
    assert!(files.iter().all(|file| !file.file_name().to_string_lossy().contains("damaged")), "{files:?}");
}

#[tokio::test]
async fn a_damaged_state_file_is_renamed_and_reported_and_not_fatal() {
    let (_simulator, folder) = two_keys().await;
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("state.json"), "{\"version\":1,\"keys\":[{\"par").unwrap();
    let exporter = Exporter::start(folder.path(), &[]).await;
    exporter.server.wait_for_log(&["level=error", "state.json.damaged-", "the state file is damaged"]).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    let kept = std::fs::read_dir(&data).unwrap().flatten();
    let kept: Vec<_> = kept.filter(|f| f.file_name().to_string_lossy().contains("damaged")).collect();
    assert_eq!(std::fs::read_to_string(kept[0].path()).unwrap(), "{\"version\":1,\"keys\":[{\"par");
}

#[tokio::test]
async fn a_second_exporter_with_the_same_storage_directory_is_refused() {
    let (_simulator, folder) = two_keys().await;
    let first = Exporter::start(folder.path(), &[]).await;
    first.wait_for_line(&state_line("dupont", "active")).await;
    let second = Exporter::start(folder.path(), &[]);
    let mut second = second.await;
    assert_eq!(second.server.wait_for_exit().await.code(), Some(1));
    second.server.wait_for_log(&["another exporter uses", "--storage.path"]).await;
}

#[tokio::test]
async fn it_exits_soon_after_a_signal_even_with_a_hanging_probe() {
    let (simulator, folder) = two_keys().await;
    for signal in [Signal::TERM, Signal::INT] {
        simulator.heal_all();
        let mut exporter = Exporter::start(folder.path(), &[]).await;
        exporter.wait_for_line(&state_line("dupont", "active")).await;
        simulator.inject(Scope::Everything, Fault::Silence);
        until("a hanging probe", || async {
            (!exporter.metrics().await.contains("probes_in_flight 0\n")).then_some(())
        })
        .await;
        let signalled = Instant::now();
        exporter.server.signal(signal);
        let status = exporter.server.wait_for_exit().await;
        assert!(status.success(), "{status}");
        assert!(signalled.elapsed() < Duration::from_secs(5), "{:?}", signalled.elapsed());
    }
}

#[tokio::test]
async fn a_reload_is_all_or_nothing() {
    let (simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &["--web.enable-lifecycle"]).await;
    exporter.wait_for_line(&state_line("martin", "active")).await;
    let post = || async {
        let response = client().post(format!("{}/-/reload", exporter.url)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let valid = std::fs::read(folder.path().join("exporter.yml")).unwrap();
    std::fs::write(folder.path().join("exporter.yml"), "helth: {interval: 1s}\n").unwrap();
    let (status, text) = post().await;
    assert_eq!(status, 500);
    assert!(text.contains("exporter.yml:1: helth") && text.contains("health"), "{text}");
    exporter.wait_for_line("myunisoft_exporter_config_last_reload_successful 0").await;
    exporter.wait_for_line(&state_line("martin", "active")).await;
    exporter.server.signal(Signal::HUP);
    exporter.server.wait_for_log(&["level=error", "not reloaded"]).await;
    std::fs::write(folder.path().join("exporter.yml"), "").unwrap();
    let (status, text) = post().await;
    assert!(
        status == 500 && text.contains("is empty"),
        "an incomplete save must not stop the monitoring: {text}"
    );
    std::fs::write(folder.path().join("exporter.yml"), valid).unwrap();
    exporter.server.signal(Signal::HUP);
    exporter.wait_for_line("myunisoft_exporter_config_last_reload_successful 1").await;
    write_config(folder.path(), &simulator, &[key_line(&simulator, "dupont")]);
    assert_eq!(post().await.0, 200);
    let metrics = exporter.metrics().await;
    assert!(metrics.contains("dupont") && !metrics.contains("martin"), "{metrics}");
}

#[tokio::test]
async fn without_the_lifecycle_flag_a_reload_request_is_refused() {
    let (_simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    let response = client().post(format!("{}/-/reload", exporter.url)).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 403);
    assert!(response.text().await.unwrap().contains("--web.enable-lifecycle"));
}

#[tokio::test]
async fn an_invalid_configuration_exits_with_2_before_listening() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exporter.yml");
    std::fs::write(&file, "health: {interval: 0s}\nkee_info: {}\n").unwrap();
    for arguments in [
        vec![format!("--config.file={}", file.display())],
        vec!["check-config".into(), file.display().to_string()],
    ] {
        let output = Command::new(BINARY).args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.contains("exporter.yml:1: health.interval") && text.contains("exporter.yml:2: kee_info"),
            "{text}"
        );
        assert!(!text.contains("listening"), "{text}");
    }
    let output = Command::new(BINARY).arg("--no.such-flag").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let missing = Command::new(BINARY).arg("--config.file=no-such-file.yml").output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
}

#[tokio::test]
async fn every_flag_has_an_environment_variable_and_an_empty_value_is_ignored() {
    let (_simulator, folder) = two_keys().await;
    let server = Server::spawn(Command::new(BINARY).envs([
        ("MYUNISOFT_EXPORTER_CONFIG_FILE", folder.path().join("exporter.yml").to_str().unwrap()),
        ("MYUNISOFT_EXPORTER_STORAGE_PATH", folder.path().join("storage").to_str().unwrap()),
        ("MYUNISOFT_EXPORTER_WEB_LISTEN_ADDRESS", "127.0.0.1:0, 127.0.0.1:0"),
        ("MYUNISOFT_EXPORTER_WEB_ENABLE_LIFECYCLE", "true"),
        ("MYUNISOFT_EXPORTER_WEB_ROUTE_PREFIX", "/prefix"),
        ("MYUNISOFT_EXPORTER_LOG_FORMAT", "json"),
        ("MYUNISOFT_EXPORTER_LOG_LEVEL", ""),
        ("MYUNISOFT_EXPORTER_WEB_EXTERNAL_URL", ""),
    ]));
    let addresses = || async {
        let addresses: Vec<_> = server
            .output()
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|line| line["address"].as_str().map(str::to_owned))
            .collect();
        (addresses.len() == 2).then_some(addresses)
    };
    for address in until("two addresses, in JSON", addresses).await {
        let reload = client().post(format!("http://{address}/prefix/-/reload")).send().await.unwrap();
        assert_eq!(reload.status(), 200, "{address}");
    }
    until("the state file", || async { folder.path().join("storage/state.json").exists().then_some(()) })
        .await;
}

#[tokio::test]
async fn a_port_in_use_exits_with_1_and_names_the_flag() {
    let (_simulator, folder) = two_keys().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = Command::new(BINARY)
        .arg(format!("--config.file={}", folder.path().join("exporter.yml").display()))
        .arg(format!("--storage.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={}", taken.local_addr().unwrap()))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("--web.listen-address") && text.contains("; stop the program"), "{text}");
}

#[tokio::test]
async fn check_config_summarizes_a_valid_configuration() {
    let (_simulator, folder) = two_keys().await;
    let output =
        Command::new(BINARY).arg("check-config").arg(folder.path().join("exporter.yml")).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("acme") && !text.contains(SECRET), "{text}");
}

/// The configuration of one key whose token is in a file, and of one whose token is in a variable.
const TWO_SOURCES: &str = "
partners:
  - name: acme
    secret: a-secret
    keys:
      - {name: dupont, access: society, token_file: missing}
      - {name: martin, access: society, token_env: MYUNISOFT_NOT_SET_ANYWHERE}
";

#[tokio::test]
async fn check_config_reads_the_default_file_and_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], input: &str| {
        let file = folder.path().join("input");
        std::fs::write(&file, input).unwrap();
        let mut command = Command::new(BINARY);
        command.arg("check-config").args(arguments).current_dir(folder.path());
        let output = command.stdin(std::fs::File::open(file).unwrap()).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code(), text)
    };
    let (code, text) = run(&[], "");
    assert!(code == Some(2) && text.contains("myunisoft-exporter.yml: does not exist; "), "{text}");
    std::fs::write(folder.path().join("myunisoft-exporter.yml"), "health: {interval: 30s}\n").unwrap();
    std::fs::write(folder.path().join("other.yml"), "health: {interval: 40s}\n").unwrap();
    assert!(run(&[], "").1.contains("Health: every 30s"));
    assert!(run(&["--config.file=other.yml"], "").1.contains("Health: every 40s"));
    assert!(run(&["myunisoft-exporter.yml", "--config.file=other.yml"], "").1.contains("Health: every 30s"));
    assert!(run(&["-"], "health: {interval: 50s}").1.contains("Health: every 50s"));
    let (code, text) = run(&["-"], "health: {interval: 0s}");
    assert!(code == Some(2) && text.contains("standard input:1: health.interval"), "{text}");
    let (code, text) = run(&["-"], TWO_SOURCES);
    assert_eq!(code, Some(2));
    assert!(text.contains("token_file") && text.contains("token_env"), "all are listed: {text}");
    let (code, text) = run(&["-", "--syntax-only"], TWO_SOURCES);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(run(&["--syntax-only", "-"], &TWO_SOURCES.replace("access", "acess")).0, Some(2));
}

#[test]
fn the_probe_of_a_key_without_a_configuration_file_says_that_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        Command::new(BINARY).args(["probe", "--key=dupont"]).current_dir(folder.path()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text.contains("no configuration file myunisoft-exporter.yml") && !text.contains("named"),
        "{text}"
    );
}

#[tokio::test]
async fn an_unreadable_token_stops_neither_the_start_nor_a_reload() {
    let (simulator, folder) = two_keys().await;
    let token = |name: &str| simulator.key(name).unwrap().token().unwrap();
    let from_file = "      - {name: martin, access: society, token_file: token}".to_owned();
    write_config(folder.path(), &simulator, &[key_line(&simulator, "dupont"), from_file.clone()]);
    std::fs::write(folder.path().join("token"), "").unwrap();
    let exporter = Exporter::start(folder.path(), &["--web.enable-lifecycle"]).await;
    exporter.server.wait_for_log(&["level=warn", "credential unreadable", "key=martin", "is empty"]).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    exporter
        .wait_for_line("myunisoft_exporter_credential_unreadable{partner=\"acme\",key=\"martin\"} 1")
        .await;
    let failures =
        "myunisoft_probe_error_info{probe=\"key_info\",partner=\"acme\",key=\"martin\",reason=\"credential\"";
    exporter.wait_for_line(&format!("{failures},code=\"other\",request_id=\"\"}} 1")).await;
    std::fs::write(folder.path().join("token"), token("martin")).unwrap();
    exporter.server.wait_for_log(&["level=info", "credential readable again", "key=martin"]).await;
    exporter.wait_for_line(&state_line("martin", "active")).await;
    // The last value serves, and a reload adds a key although this file is missing.
    std::fs::remove_file(folder.path().join("token")).unwrap();
    exporter.server.wait_for_log(&["level=warn", "the last value is used", "key=martin"]).await;
    let added = key_line(&simulator, "dupont").replace("dupont", "added");
    write_config(folder.path(), &simulator, &[key_line(&simulator, "dupont"), from_file, added]);
    let reload = client().post(format!("{}/-/reload", exporter.url)).send().await.unwrap();
    assert_eq!(reload.status().as_u16(), 200);
    exporter.wait_for_line(&state_line("added", "active")).await;
    let metrics = exporter.metrics().await;
    assert!(metrics.contains(&state_line("martin", "active")), "{metrics}");
}

#[tokio::test]
async fn the_first_health_probe_is_sent_at_the_start_whatever_its_interval_is() {
    let (simulator, folder) = two_keys().await;
    let text = format!("api: {{base_url: \"{}\"}}\nhealth: {{interval: 1h}}\n", simulator.base_url());
    std::fs::write(folder.path().join("exporter.yml"), text).unwrap();
    let exporter = Exporter::start(folder.path(), &[]).await;
    exporter.wait_for_line("myunisoft_probe_up{probe=\"health\"} 1").await;
}

#[tokio::test]
async fn a_token_that_two_keys_share_is_a_warning_at_the_start_at_a_reload_and_in_check_config() {
    let (simulator, folder) = two_keys().await;
    let token = simulator.key("dupont").unwrap().token().unwrap();
    let file = folder.path().join("exporter.yml");
    let with_files = |names: [&str; 2]| {
        let key = |name| format!("      - {{name: {name}, access: society, token_file: {name}}}");
        write_config(folder.path(), &simulator, &names.map(key));
    };
    for name in ["one", "two", "three"] {
        std::fs::write(folder.path().join(name), &token).unwrap();
    }
    with_files(["one", "two"]);
    let expected = ["the same token is configured for the keys", "one", "of", "acme", "two"];
    let exporter = Exporter::start(folder.path(), &["--config.auto-reload-interval=0s"]).await;
    exporter.server.wait_for_log(&[&["level=warn"], &expected[..]].concat()).await;
    with_files(["one", "three"]);
    exporter.server.signal(Signal::HUP);
    exporter.server.wait_for_log(&["level=warn", expected[0], "one", "three"]).await;
    let output = Command::new(BINARY).arg("check-config").arg(&file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains(expected[0]), "{text}");
    assert!(!text.contains(&token) && !exporter.server.output().contains(&token));
}

#[tokio::test]
async fn every_route_is_served_below_the_route_prefix() {
    let (simulator, folder) = two_keys().await;
    let exporter =
        Exporter::start(folder.path(), &["--web.external-url=https://mon.example/myunisoft"]).await;
    let ready = || async { (exporter.get("/myunisoft/-/ready").await?.0 == 200).then_some(()) };
    until("readiness", ready).await;
    assert_eq!(exporter.get("/myunisoft/-/healthy").await.unwrap().0, 200);
    assert!(exporter.get("/myunisoft/").await.unwrap().1.contains("href=\"./metrics\""));
    let (status, text) = exporter.get("/myunisoft/sd").await.unwrap();
    let groups: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, groups.as_array().unwrap().len()), (200, 2));
    assert_eq!(groups[0]["targets"][0], "mon.example");
    assert_eq!(groups[0]["labels"]["__param_key"], "dupont");
    assert_eq!(groups[0]["labels"]["__metrics_path__"], "/myunisoft/probe");
    let probe_success = |value: u8| {
        let line = format!("\nprobe_success {value}\n");
        let exporter = &exporter;
        async move {
            let (status, text) = exporter.get("/myunisoft/probe?partner=acme&key=dupont").await?;
            (status == 200 && text.contains(&line)).then_some(())
        }
    };
    until("a success", || probe_success(1)).await;
    simulator.key("dupont").unwrap().revoke();
    until("a failure", || probe_success(0)).await;
    assert_eq!(exporter.get("/myunisoft/probe?partner=acme&key=nobody").await.unwrap().0, 404);
    assert_eq!(exporter.get("/myunisoft/probe?partner=acme").await.unwrap().0, 400);
    assert_eq!(exporter.get("/metrics").await.unwrap().0, 404, "no route is outside the prefix");
    assert_eq!(exporter.get("/myunisoft?state=lost").await.unwrap().0, 400, "the redirect keeps the query");
    assert_eq!(exporter.get("/myunisoft/nowhere").await.unwrap(), (404, "404 page not found\n".to_owned()));
    for path in ["/", "/myunisoft"] {
        assert!(exporter.get(path).await.unwrap().1.contains("<h1"), "{path} leads to the page");
    }
}
