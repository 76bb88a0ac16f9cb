//! `healthcheck`: the health check of a container asks the exporter over real sockets.

use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::support::acme::two_keys;
use crate::support::pki::{Pki, hash};
use crate::support::scripted_server::{Action, ScriptedServer};
use crate::support::server::{BINARY, Exporter, until};
use crate::support::web::start_with_web_config;

const SERVER_TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

/// Runs `healthcheck` for the exporter at this URL.
async fn check(url: &str, flags: &[&str]) -> (bool, String) {
    let address = url.split("://").nth(1).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["healthcheck", &format!("--web.listen-address={address}")]).args(flags);
    run(command).await
}

/// Checks an exporter that is alive, and expects this part of the line. On a busy machine, an exporter may answer too late
/// at first.
async fn expect_alive(url: &str, flags: &[&str], part: &str) {
    expect(true, url, flags, part).await;
}

async fn expect_not_alive(url: &str, flags: &[&str], part: &str) {
    expect(false, url, flags, part).await;
}

async fn expect(expected: bool, url: &str, flags: &[&str], part: &str) {
    until(part, || async {
        let (alive, text) = check(url, flags).await;
        let is_expected = alive == expected && text.contains(part);
        assert!(is_expected || text.contains("did not answer"), "{text}");
        is_expected.then_some(())
    })
    .await;
}

/// Whether the exporter is alive, and the line that says so. Nothing else is printed.
async fn run(mut command: Command) -> (bool, String) {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let Output { status, stdout, stderr } = output;
    let (text, errors) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_eq!(errors, "");
    match status.code() {
        Some(0) => assert!(text.starts_with("alive: "), "{text}"),
        Some(1) => assert!(text.starts_with("not alive: "), "{text}"),
        code => panic!("{code:?}: {text}"),
    }
    (status.success(), text)
}

#[tokio::test]
async fn a_running_exporter_is_alive_and_a_stopped_one_is_not() {
    let (_simulator, folder) = two_keys().await;
    let mut exporter = Exporter::start(folder.path(), &[]).await;
    let url = exporter.url.clone();
    expect_alive(&url, &[], "/-/healthy returned 200").await;
    exporter.server.signal(rustix::process::Signal::TERM);
    exporter.server.wait_for_exit().await;
    expect_not_alive(&url, &[], "refused").await;
}

#[tokio::test]
async fn the_flags_of_the_exporter_are_read_from_the_environment_too() {
    let (_simulator, folder) = two_keys().await;
    let exporter =
        Exporter::start(folder.path(), &["--web.external-url=https://mon.example/myunisoft/"]).await;
    expect_alive(&exporter.url, &["--web.route-prefix=/myunisoft"], "/myunisoft/-/healthy").await;
    until("an exporter that is alive", || async {
        let mut command = Command::new(BINARY);
        command
            .arg("healthcheck")
            .env("MYUNISOFT_EXPORTER_WEB_LISTEN_ADDRESS", exporter.url.trim_start_matches("http://"))
            .env("MYUNISOFT_EXPORTER_WEB_EXTERNAL_URL", "https://mon.example/myunisoft/");
        run(command).await.0.then_some(())
    })
    .await;
    expect_not_alive(&exporter.url, &[], "404; give --web.route-prefix").await;
}

#[tokio::test]
async fn an_exporter_that_listens_on_all_addresses_is_asked_on_loopback() {
    let (_simulator, folder) = two_keys().await;
    // It listens on an address of loopback too, so its log has two lines.
    let exporter = Exporter::start(folder.path(), &["--web.listen-address=:0"]).await;
    let all_addresses = |line: &&str| line.contains("msg=listening") && !line.contains("127.0.0.1");
    let line = until("the second address", || async {
        exporter.server.output().lines().find(all_addresses).map(str::to_owned)
    })
    .await;
    let port = line.rsplit(':').next().unwrap().trim_matches('"');
    for host in ["", "0.0.0.0", "[::]", "localhost"] {
        expect_alive(&format!("http://{host}:{port}"), &[], "200").await;
    }
}

#[tokio::test]
async fn a_certificate_that_names_another_host_is_no_obstacle() {
    let pki = Pki::new();
    let server = pki.sign(&["exporter.example"], rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    pki.write("server.pem", &server.certificate);
    pki.write("server.key", &server.key);
    pki.write("web.yml", SERVER_TLS);
    let exporter = start_with_web_config(&pki, &[]).await;
    let web = format!("--web.config.file={}", pki.path("web.yml").display());
    for flags in [&[web.as_str()][..], &[]] {
        expect_alive(&exporter.url, flags, "https://").await;
    }
    // The exporter keeps its last valid protection while the file has an error.
    pki.write("web.yml", "tls_server_config: [\n");
    expect_alive(&exporter.url, &[&web], "https://").await;
}

#[tokio::test]
async fn an_exporter_that_asks_for_a_password_is_alive() {
    let pki = Pki::new();
    let users = format!("basic_auth_users: {{alice: {}}}\n", hash("one"));
    for tls in ["", SERVER_TLS] {
        pki.write("web.yml", &format!("{tls}{users}"));
        let exporter = start_with_web_config(&pki, &[]).await;
        for flags in [&["--web.config.file=web.yml"][..], &[]] {
            expect_alive(&exporter.url, flags, "returned 401").await;
        }
    }
}

#[tokio::test]
async fn an_exporter_that_demands_a_client_certificate_is_alive() {
    let pki = Pki::new();
    pki.write("clients.pem", &pki.authority.pem());
    for (version, auth) in [
        ("TLS12", "RequireAndVerifyClientCert"),
        ("TLS13", "RequireAndVerifyClientCert"),
        ("TLS12", "RequireAnyClientCert"),
        ("TLS13", "RequireAnyClientCert"),
    ] {
        let authority = if auth.contains("Verify") { "  client_ca_file: clients.pem\n" } else { "" };
        let versions = format!("  min_version: {version}\n  max_version: {version}\n");
        pki.write("web.yml", &format!("{SERVER_TLS}{versions}  client_auth_type: {auth}\n{authority}"));
        let exporter = start_with_web_config(&pki, &[]).await;
        expect_alive(&exporter.url, &["--web.config.file=web.yml"], "client certificate").await;
    }
}

#[tokio::test]
async fn an_exporter_whose_rate_limit_is_reached_is_alive() {
    let pki = Pki::new();
    pki.write("web.yml", "rate_limit: {interval: 1h, burst: 1}\n");
    let exporter = start_with_web_config(&pki, &[]).await;
    expect_alive(&exporter.url, &[], "returned").await;
    expect_alive(&exporter.url, &[], "returned 429").await;
}

#[tokio::test]
async fn an_exporter_that_says_that_it_is_not_healthy_is_not_alive() {
    let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 39\r\n\r\nnot healthy: a loop did not run for 3m\n";
    let server = ScriptedServer::http(vec![Action::Send(Bytes::from_static(answer.as_bytes()))]).await;
    expect_not_alive(&server.url(""), &[], "503: not healthy: a loop did not run for 3m").await;
}

#[tokio::test]
async fn an_exporter_that_does_not_answer_is_not_alive_after_a_few_seconds() {
    // The system accepts connections for it, as for a process that is stopped.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let started = Instant::now();
    expect_not_alive(&url, &[], "did not answer within 5 seconds").await;
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[tokio::test]
async fn another_program_on_the_port_is_not_an_exporter_that_is_alive() {
    for answer in
        ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n", "SSH-2.0-x\r\n"]
    {
        let server = ScriptedServer::http(vec![Action::Send(Bytes::from_static(answer.as_bytes()))]).await;
        let (alive, text) = check(&server.url(""), &[]).await;
        assert!(!alive, "{answer}: {text}");
    }
}

#[tokio::test]
async fn a_port_that_the_system_chooses_cannot_be_asked() {
    expect_not_alive("http://127.0.0.1:0", &[], "--web.listen-address").await;
}

#[tokio::test]
async fn the_demo_is_alive() {
    let demo = Exporter::start_demo(&[]).await;
    expect_alive(&demo.url, &[], "200").await;
}

#[tokio::test]
async fn a_web_configuration_without_tls_is_no_obstacle() {
    let pki = Pki::new();
    pki.write("web.yml", "rate_limit: {interval: 1ms, burst: 100}\n");
    let exporter = start_with_web_config(&pki, &[]).await;
    expect_alive(&exporter.url, &["--web.config.file=web.yml"], "http://").await;
}
