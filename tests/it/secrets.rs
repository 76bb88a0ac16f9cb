//! Plants unique secrets, exercises every path at log level `trace`, and searches every output for these secrets.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use axum::http::{HeaderName, HeaderValue, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use partner_simulator::{CANARY, Fault, KeySpec, LoginSpec, Page, Scope, Simulator};

use crate::support::server::{BINARY, Exporter, client, until};
use rustix::process::Signal;

const TOKEN: &str = "PLANTED-TOKEN-7F31";
const ROTATED: &str = "planted-token-new-c05d";
const SECRET: &str = "PLANTED-SECRET-90AB";
const PASSWORD: &str = "PLANTED-PASSWORD-44DE";
const ANOTHER: &str = "planted-password-new-8b1e";
const WEB_PASSWORD: &str = "planted-web-password-e2";

/// Each output with its name.
#[derive(Default)]
struct Outputs(Vec<(String, String)>);

impl Outputs {
    fn add(&mut self, what: impl Into<String>, text: impl Into<String>) {
        self.0.push((what.into(), text.into()));
    }

    fn check(&self, planted: &[&str]) {
        assert!(self.0.len() > 15, "only {} outputs", self.0.len());
        for (what, text) in &self.0 {
            for secret in planted {
                for form in forms(secret) {
                    assert!(!text.contains(&form), "{secret} as {form} in {what}:\n{text}");
                }
            }
        }
    }
}

/// The secret in plain text, in hexadecimal, and in base64 at each of the three possible offsets in a longer text.
fn forms(secret: &str) -> Vec<String> {
    let hexadecimal = secret.bytes().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let within = |before: usize| {
        let encoded = STANDARD.encode([&vec![0; before], secret.as_bytes()].concat());
        // The first and last characters depend on the neighbouring bytes too, so they are cut.
        encoded.trim_end_matches('=')[(before * 8).div_ceil(6)..].to_owned()
    };
    let cut = |form: String| form[..form.len() - 2].to_owned();
    [secret.to_owned(), hexadecimal].into_iter().chain((0..3).map(within).map(cut)).collect()
}

#[test]
fn a_secret_is_found_in_base64_at_any_offset() {
    for before in ["", "a", "ab", "abc", "Bearer "] {
        let text = STANDARD.encode(format!("{before}{SECRET}{before}"));
        assert!(forms(SECRET).iter().any(|form| text.contains(form)), "{before}: {text}");
    }
}

/// A folder with the configuration.
struct Setup {
    folder: tempfile::TempDir,
}

impl Setup {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
        std::fs::set_permissions(self.path(name), Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes a configuration with each kind of secret in each kind of field.
    fn configure(&self, simulator: &Simulator, more: &str) {
        let (base, auth) = (simulator.base_url(), simulator.auth_url());
        self.write("token", TOKEN);
        self.write("secret", SECRET);
        self.write("ca.pem", &simulator.ca_pem().unwrap());
        let fast = "{interval: 300ms, timeout: 300ms}";
        self.write(
            "exporter.yml",
            &format!(
                "api: {{base_url: \"{base}\", auth_url: \"{auth}\", ca_file: ca.pem}}\nhealth: {fast}\nkey_info: {fast}\n\
                 canaries:\n  exercices: {{path: \"/api/v1/mad/exercices?version=1.0.0\", interval: 300ms, timeout: 300ms}}\n\
                 partners:\n  - name: acme\n    secret_file: secret\n    keys:\n      \
                 - {{name: dupont, access: society, token_file: token}}\n      \
                 - {{name: leroy, access: society, token: {TOKEN}-inline}}\n      \
                 - {{name: durand, access: firm, canaries: [], login: {{mail: api@durand.example, password: {PASSWORD}}}}}\n      \
                 - {{name: petit, access: firm, canaries: [], login: {{mail: api@petit.example, password: {PASSWORD}}}}}\n{more}"
            ),
        );
    }
}

async fn simulator() -> Simulator {
    let login = LoginSpec::new("api@durand.example", PASSWORD).firm(83, "DURAND");
    let wrong = LoginSpec::new("api@petit.example", "another").firm(84, "PETIT");
    Simulator::builder()
        .tls()
        .limits(partner_simulator::Limits { total: 1_000_000, ..Default::default() })
        .partner("acme", SECRET)
        .key(KeySpec::society("dupont", 80, 127).token(TOKEN))
        .key(KeySpec::society("leroy", 80, 128).token(&format!("{TOKEN}-inline")))
        .key(KeySpec::login("durand", login))
        .key(KeySpec::login("petit", wrong))
        .start()
        .await
        .unwrap()
}

/// A response that repeats the secret in its body and headers. It stands for an API or another server that sends back what
/// it received.
fn echo(status: StatusCode, secret: &'static str) -> Fault {
    let body = format!(
        "{{\"error\":{{\"code\":\"{secret}\",\"message\":\"{secret}\",\"details\":{{\"requestId\":\"{secret}\",\"url\":\"{secret}\"}}}}}}"
    );
    let header = |name: &'static str| (HeaderName::from_static(name), HeaderValue::from_static(secret));
    let page = Page::new(status, HeaderValue::from_static("application/json"), body);
    let headers = ["request-id", "location", "server", "x-rate-limit-remaining", "date", "www-authenticate"];
    Fault::Edge(headers.map(header).into_iter().fold(page, |page, (name, value)| page.header(name, value)))
}

fn check_config(outputs: &mut Outputs, config: &Path, web: &Path) {
    let mut command = Command::new(BINARY);
    command.arg("check-config").arg(config).arg("--log.level=trace");
    let output = command.arg(format!("--web.config.file={}", web.display())).output().unwrap();
    outputs.add("check-config", String::from_utf8_lossy(&output.stdout));
    outputs.add("check-config's errors", String::from_utf8_lossy(&output.stderr));
}

/// Writes secrets into wrong fields of both files, and records the output of `check-config` and of a reload.
async fn secrets_in_wrong_fields(
    exporter: &Exporter,
    simulator: &Simulator,
    setup: &Setup,
    outputs: &mut Outputs,
) {
    for wrong in [
        format!("{TOKEN}: 1\n"),
        format!("key_files: [\"{SECRET}\", \"[{SECRET}\"]\n"),
        format!("rate_limit: {{keep_free: {TOKEN}}}\n"),
        format!("metrics: {PASSWORD}\n"),
        format!("  - {{name: x, secret_file: {SECRET}+{SECRET}=}}\n"),
        format!("  - {{name: x, secret: \"{SECRET} \", secret_env: {SECRET}}}\n"),
        format!("'{PASSWORD}\n"),
    ] {
        setup.configure(simulator, &wrong);
        setup.write(
            "web.yml",
            &format!("basic_auth_users: {{ops: {WEB_PASSWORD}}}\ntls_server_config: {{key: {SECRET}}}\n"),
        );
        check_config(outputs, &setup.path("exporter.yml"), &setup.path("web.yml"));
        let reload =
            client().post(format!("{}/-/reload", exporter.url)).basic_auth("ops", Some(WEB_PASSWORD));
        let response = reload.send().await.unwrap();
        assert_eq!(response.status(), 500, "{wrong}");
        outputs.add("a reload", response.text().await.unwrap());
    }
}

#[tokio::test]
async fn no_output_contains_a_secret_or_accounting_data() {
    let simulator = simulator().await;
    let setup = Setup { folder: tempfile::tempdir().unwrap() };
    setup.configure(&simulator, "");
    let hash = bcrypt::hash(WEB_PASSWORD, 4).unwrap();
    setup.write("web.yml", &format!("basic_auth_users: {{ops: {hash}}}\n"));
    let web = setup.path("web.yml");
    let flags = [
        "--log.level=trace",
        "--web.enable-lifecycle",
        "--config.auto-reload-interval=1s",
        &format!("--web.config.file={}", web.display()),
    ];
    let mut exporter = Exporter::start(setup.folder.path(), &flags).await;
    let mut outputs = Outputs::default();
    let get = |path: String| {
        let request = client().get(format!("{}{path}", exporter.url)).basic_auth("ops", Some(WEB_PASSWORD));
        async move { request.send().await.unwrap().text().await.unwrap() }
    };
    let wait_for = async |part: &str| {
        until(part, async || get("/metrics".into()).await.contains(part).then_some(())).await;
    };
    let state = |key: &str, state: &str| format!("key=\"{key}\",state=\"{state}\"}} 1");
    for key in ["dupont", "leroy", "durand"] {
        wait_for(&state(key, "active")).await;
    }
    exporter.server.wait_for_log(&["key=petit", "reason=login"]).await;
    for path in [
        "/",
        "/metrics",
        "/sd",
        "/key?partner=acme&key=dupont",
        "/key?partner=acme&key=petit",
        "/api/v1/status",
        "/api/v1/status/key?partner=acme&key=durand",
        "/static/status.js",
        "/probe?partner=acme&key=dupont",
        "/probe?partner=acme&key=petit",
        "/probe?partner=acme&key=durand",
        "/-/healthy",
        "/-/ready",
        "/probe",
        "/no/such/route",
    ] {
        outputs.add(path, get(path.into()).await);
    }
    // Refused clients: a wrong password, and an unknown user with the right password.
    for (name, password) in [("ops", "wrong"), ("nobody", WEB_PASSWORD)] {
        let request = client().get(&exporter.url).basic_auth(name, Some(password));
        outputs.add("a refusal", request.send().await.unwrap().text().await.unwrap());
    }
    // Responses that repeat the secrets of the request.
    for (status, reason) in [
        (StatusCode::FORBIDDEN, ""),
        (StatusCode::FOUND, "redirect"),
        (StatusCode::OK, "unexpected_body"),
        (StatusCode::INTERNAL_SERVER_ERROR, ""),
    ] {
        for (key, secret) in [("dupont", TOKEN), ("dupont", SECRET), ("petit", PASSWORD)] {
            simulator.key(key).unwrap().inject(echo(status, secret));
            outputs.add(format!("{status} to {key}"), get(format!("/probe?partner=acme&key={key}")).await);
            for path in ["/metrics", "/", "/api/v1/status"] {
                outputs.add(format!("{path} under {status}"), get(path.into()).await);
            }
            outputs.add(format!("the page of {key}"), get(format!("/key?partner=acme&key={key}")).await);
            simulator.heal_all();
        }
        if !reason.is_empty() {
            wait_for(&format!("reason=\"{reason}\"")).await;
        }
    }
    for fault in [Fault::garbage(), Fault::invalid_json(), Fault::captive_portal(), Fault::Close] {
        simulator.inject(Scope::Everything, fault);
        outputs.add("a fault", get("/probe?partner=acme&key=leroy".into()).await);
        simulator.heal_all();
    }
    // Secrets that change, and secrets that cannot be read.
    setup.write("token", ROTATED);
    wait_for(&state("dupont", "invalid")).await;
    setup.write("token", &format!("{ROTATED}\nof two lines\n"));
    outputs.add("an unreadable token", get("/probe?partner=acme&key=dupont".into()).await);
    setup.write("token", TOKEN);
    wait_for(&state("dupont", "active")).await;
    simulator.key("leroy").unwrap().revoke();
    wait_for(&state("leroy", "revoked")).await;
    secrets_in_wrong_fields(&exporter, &simulator, &setup, &mut outputs).await;
    setup.configure(&simulator, "");
    let text = std::fs::read_to_string(setup.path("exporter.yml")).unwrap();
    setup.write("exporter.yml", &text.replace(PASSWORD, ANOTHER));
    setup.write("web.yml", &format!("basic_auth_users: {{ops: {hash}}}\n"));
    check_config(&mut outputs, &setup.path("exporter.yml"), &web);
    wait_for("config_last_reload_successful 1").await;
    // This comes last, because no probe runs after it.
    simulator.key("dupont").unwrap().inject(echo(StatusCode::TOO_MANY_REQUESTS, TOKEN));
    wait_for("reason=\"rate_limited\"").await;
    outputs.add("an empty request budget", get("/metrics".into()).await);
    exporter.server.signal(Signal::TERM);
    assert!(exporter.server.wait_for_exit().await.success());
    outputs.add("the log", exporter.server.output());
    for file in std::fs::read_dir(setup.path("data")).unwrap().flatten() {
        outputs.add("the storage", String::from_utf8_lossy(&std::fs::read(file.path()).unwrap()));
    }
    let login_token = simulator.key("durand").unwrap().token().unwrap();
    let hash = hash.as_str();
    outputs.check(&[TOKEN, ROTATED, SECRET, PASSWORD, ANOTHER, WEB_PASSWORD, &login_token, hash, CANARY]);
}

#[tokio::test]
async fn core_dumps_are_disabled_and_world_readable_secret_files_are_reported() {
    let simulator = simulator().await;
    let setup = Setup { folder: tempfile::tempdir().unwrap() };
    setup.configure(&simulator, "");
    for name in ["token", "secret"] {
        std::fs::set_permissions(setup.path(name), Permissions::from_mode(0o644)).unwrap();
    }
    let exporter = Exporter::start(setup.folder.path(), &[]).await;
    exporter
        .server
        .wait_for_log(&["level=warn", "secret_file", "is readable by every user of the machine"])
        .await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", exporter.server.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}

/// Root can read every file, so root runs the exporter as another user.
#[test]
fn a_secret_file_without_read_permission_is_reported_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    std::fs::write(path("secret"), "abc").unwrap();
    std::fs::set_permissions(path("secret"), Permissions::from_mode(0o000)).unwrap();
    std::fs::write(path("c.yml"), "partners: [{name: acme, secret_file: secret, keys: []}]").unwrap();
    // A copy, because the other user may not be allowed to enter the build folder.
    std::fs::copy(BINARY, path("program")).unwrap();
    let mut command = Command::new(path("program"));
    command.args(["check-config", "c.yml"]).current_dir(folder.path());
    if std::fs::File::open(path("secret")).is_ok() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("is not readable by the user that runs the exporter"), "{text}");
}
