//! A protection that changes while the exporter runs, and a configuration that is read again by itself.

use crate::support::pki::{Pki, write};
use crate::support::server::{Exporter, until};

async fn exporter(pki: &Pki, flags: &[&str]) -> Exporter {
    let main = pki.path("exporter.yml");
    if !main.exists() {
        write(&main, "health: {interval: 15s}\n");
    }
    let web = format!("--web.config.file={}", pki.path("web.yml").display());
    let mut all = vec![web.as_str(), "--config.auto-reload-interval=1s"];
    all.extend(flags);
    Exporter::start(pki.folder.path(), &all).await
}

#[tokio::test]
async fn http2_is_used_over_tls_unless_disabled() {
    let pki = Pki::new();
    let tls = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";
    pki.write("web.yml", tls);
    let exporter = exporter(&pki, &[]).await;
    let url = format!("{}/metrics", exporter.url.replace("http://", "https://"));
    let curl = |url: String, told: &'static str| {
        let mut curl = tokio::process::Command::new("curl");
        curl.args(["--silent", "--http2", "--noproxy", "*", "--write-out", told]);
        curl.arg("--cacert").arg(pki.path("ca.pem")).arg(url);
        async move {
            let output = curl.output().await.expect("curl, which `make deps` installs");
            String::from_utf8(output.stdout).unwrap()
        }
    };
    let version = || {
        let said = curl(url.clone(), "%{http_version}");
        async move { said.await.rsplit('\n').next().unwrap().to_owned() }
    };
    assert_eq!(version().await, "2");
    let targets = curl(url.replace("/metrics", "/sd"), " %{http_code}").await;
    assert_eq!(targets, "[] 200", "the host is found there too");
    pki.write("web.yml", &format!("{tls}http_server_config: {{http2: false}}\n"));
    until("HTTP/1.1", || async { (version().await == "1.1").then_some(()) }).await;
}
