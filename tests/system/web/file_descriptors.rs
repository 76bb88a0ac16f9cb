//! Clients that want to keep Prometheus out, and the scrape that must come through all the same.

use std::process::Command;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::pki::{Pki, write};
use crate::support::server::{BINARY, Exporter, Server, until};

async fn open(exporter: &Exporter, first: &[u8]) -> TcpStream {
    let host = exporter.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(first).await.unwrap();
    stream
}

fn figure(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("{series}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn it_reports_a_low_file_descriptor_limit_and_recovers_from_many_clients() {
    let pki = Pki::new();
    write(&pki.path("exporter.yml"), "health: {interval: 15s}\n");
    // So few that the system refuses before the exporter's own bound does.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\"", BINARY, "--web.listen-address=127.0.0.1:0"]);
    command.arg(format!("--config.file={}", pki.path("exporter.yml").display()));
    command.arg(format!("--storage.path={}", pki.path("data").display()));
    let exporter = Exporter::listening(Server::spawn(&mut command)).await;
    exporter.server.line(&["level=warn", "connections are limited to half"]).await;
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(open(&exporter, b"").await);
    }
    assert_eq!(exporter.get("/metrics").await.unwrap().0, 200, "it comes in all the same");
    drop(crowd);
    until("recovery", || async {
        (figure(&exporter.metrics().await, "myunisoft_exporter_connections ") <= 1.0).then_some(())
    })
    .await;
}
