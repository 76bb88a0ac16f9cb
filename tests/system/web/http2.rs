//! HTTP/2, with curl as client.

use std::process::Command;

use crate::support::pki::Pki;
use crate::support::server::{run_tool, until};
use crate::support::web::start_with_web_config;

#[tokio::test]
async fn http2_is_used_over_tls_unless_disabled() {
    let pki = Pki::new();
    let tls = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";
    pki.write("web.yml", tls);
    let exporter = start_with_web_config(&pki, &["--config.auto-reload-interval=1s"]).await;
    let url = format!("{}/metrics", exporter.url.replace("http://", "https://"));
    let curl = |url: &str, format: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--http2", "--noproxy", "*", "--write-out", format]);
        String::from_utf8(run_tool(curl.arg("--cacert").arg(pki.path("ca.pem")).arg(url)).stdout).unwrap()
    };
    let version = || curl(&url, "%{http_version}").rsplit('\n').next().unwrap().to_owned();
    assert_eq!(version(), "2");
    let targets = curl(&url.replace("/metrics", "/sd"), " %{http_code}");
    assert_eq!(targets, "[] 200", "HTTP/2 has no Host header, and /sd still responds");
    pki.write("web.yml", &format!("{tls}http_server_config: {{http2: false}}\n"));
    until("HTTP/1.1", || async { (version() == "1.1").then_some(()) }).await;
}
