//! `/probe` and `/sd`, as Prometheus, people and browsers use them.

use std::time::Duration;

use partner_simulator::{Fault, Scope, Simulator};
use reqwest::header::{HOST, ORIGIN, REFERER};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::support::acme::{allow_slow_probes, key_line, state_line, two_keys, write_config};
use crate::support::server::{Exporter, client, until};

const PROBE: &str = "/probe?partner=acme&key=dupont";

/// An exporter whose key dupont is active and was revoked since; its schedule has noticed.
async fn revoked_key(simulator: &Simulator, exporter: &Exporter) {
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    simulator.key("dupont").unwrap().revoke();
    exporter.wait_for_line(&state_line("dupont", "revoked")).await;
}

#[tokio::test]
async fn the_answer_says_state_reason_and_request_id() {
    let (simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    revoked_key(&simulator, &exporter).await;
    let answer = until("both probes to fail", || async {
        let (status, text) = exporter.get(PROBE).await?;
        let failing = text.matches("probe_failure_info{").count() == 2;
        (status == 200 && failing).then_some(text)
    })
    .await;
    for part in [
        "\nprobe_success 0\n",
        "\nprobe_key_state{state=\"revoked\"} 1\n",
        "\nprobe_key_state{state=\"active\"} 0\n",
        "probe_failure_info{probe=\"key_info\",reason=\"token\",code=\"ERR-API-TOKEN-NOT-FOUND\",request_id=\"req-",
        "# key_info: failure, reason token, code ERR-API-TOKEN-NOT-FOUND, HTTP ",
        ", request_id req-",
        "\nprobe_last_timestamp_seconds{probe=\"exercices\"} ",
    ] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
}

#[tokio::test]
async fn debug_tells_the_run_step_by_step_without_any_secret() {
    let (simulator, folder) = two_keys().await;
    let token = simulator.key("dupont").unwrap().token().unwrap();
    std::fs::write(folder.path().join("token"), &token).unwrap();
    let key = "      - {name: dupont, access: society, token_file: token}".to_owned();
    write_config(folder.path(), &simulator, &[key]);
    let exporter = Exporter::start(folder.path(), &[]).await;
    revoked_key(&simulator, &exporter).await;
    let text = until("a failing run", || async {
        let (status, text) = exporter.get(&format!("{PROBE}&debug=true")).await?;
        // A scheduled probe that runs at this moment uses the credential, so the text does not describe it.
        let is_complete = text.contains("exercices: failure") && !text.contains("Credential: in use");
        (status == 200 && is_complete).then_some(text)
    })
    .await;
    for part in [
        "Credential: token: file ",
        "key_info: failure, reason token, code ERR-API-TOKEN-NOT-FOUND, HTTP ",
        "request_id req-",
        "  connect: 0.",
        "  processing: 0.",
        "Key state: revoked\n",
        "Verdict: ",
        "To do: ",
        "\nprobe_success 0\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains(&token), "{text}");
}

#[tokio::test]
async fn clients_that_hang_up_at_once_cost_the_customer_nothing() {
    let (simulator, folder) = two_keys().await;
    allow_slow_probes(folder.path());
    let exporter = Exporter::start(folder.path(), &[]).await;
    until("a result", || async {
        let (status, text) = exporter.get(PROBE).await?;
        (status == 200 && !text.contains("has not run")).then_some(())
    })
    .await;
    let key = simulator.key("dupont").unwrap();
    let before = key.counts().calls;
    let address = exporter.url.trim_start_matches("http://");
    let request = format!("GET {PROBE} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    for _ in 0..2000 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    // An interval is 30 s: the schedule calls each probe at most once, and the clients once more.
    assert!(key.counts().calls - before <= 4, "{}", key.counts().calls - before);
    assert_eq!(exporter.get("/-/healthy").await.unwrap().0, 200);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_run_probes() {
    let (_simulator, folder) = two_keys().await;
    let flags = ["--web.external-url=https://mon.example/myunisoft/", "--web.route-prefix=/"];
    let exporter = Exporter::start(folder.path(), &flags).await;
    let own = exporter.url.clone();
    for (header, value, expected) in [
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("sec-fetch-site", "same-origin", 200),
        ("sec-fetch-site", "none", 200),
        (ORIGIN.as_str(), "https://evil.example", 403),
        (ORIGIN.as_str(), "null", 403),
        (REFERER.as_str(), "http://evil.example/page", 403),
        (ORIGIN.as_str(), &own, 200),
        (ORIGIN.as_str(), "https://mon.example", 200),
    ] {
        until(&format!("{expected} for {header}: {value}"), || async {
            let request = client().get(format!("{}{PROBE}", exporter.url)).header(header, value);
            (request.send().await.ok()?.status().as_u16() == expected).then_some(())
        })
        .await;
    }
}

/// Scheme, host and path of the first target.
async fn first_target(exporter: &Exporter, path: &str) -> (serde_json::Value, String, String) {
    let request = client().get(format!("{}{path}", exporter.url)).header(HOST, "asked.example:1234");
    let groups: serde_json::Value =
        serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    let (labels, target) = (&groups[0]["labels"], &groups[0]["targets"][0]);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (labels["__scheme__"].clone(), text(target), text(&labels["__metrics_path__"]))
}

#[tokio::test]
async fn a_target_is_where_prometheus_reaches_the_exporter() {
    let (simulator, folder) = two_keys().await;
    write_config(folder.path(), &simulator, &[key_line(&simulator, "dupont")]);
    for (url, prefix, (scheme, host, path)) in [
        ("https://mon.example/myunisoft/", "/", ("https", "mon.example", "/myunisoft/probe")),
        ("https://mon.example", "/x", ("https", "mon.example", "/probe")),
        ("http://mon.example:8080/a/b", "/a/b", ("http", "mon.example:8080", "/a/b/probe")),
        ("https://mon.example:443/", "/", ("https", "mon.example", "/probe")),
        ("https://[2001:db8::1]:8443/", "/", ("https", "[2001:db8::1]:8443", "/probe")),
        ("", "/x", ("", "asked.example:1234", "/x/probe")),
    ] {
        let flags = [format!("--web.external-url={url}"), format!("--web.route-prefix={prefix}")];
        let flags: Vec<_> = flags.iter().map(String::as_str).filter(|flag| !flag.ends_with('=')).collect();
        let exporter = Exporter::start(folder.path(), &flags).await;
        let path_of_sd = format!("{}/sd", prefix.trim_end_matches('/'));
        let seen = first_target(&exporter, &path_of_sd).await;
        let scheme = if scheme.is_empty() { serde_json::Value::Null } else { scheme.into() };
        assert_eq!(seen, (scheme, host.to_owned(), path.to_owned()), "{url} {prefix}");
    }
}

#[tokio::test]
async fn the_exporter_is_ready_at_once_even_if_the_api_never_responds() {
    let (simulator, folder) = two_keys().await;
    allow_slow_probes(folder.path());
    simulator.inject(Scope::Everything, Fault::Silence);
    let exporter = Exporter::start(folder.path(), &[]).await;
    assert_eq!(exporter.get("/-/ready").await.unwrap(), (200, "myunisoft-exporter is ready.\n".to_owned()));
}
