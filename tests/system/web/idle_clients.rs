//! Clients that want to keep Prometheus out, and the scrape that must come through all the same.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::pki::{Pki, write};
use crate::support::server::{Exporter, PATIENCE, until};

async fn exporter(pki: &Pki, flags: &[&str]) -> Exporter {
    write(&pki.path("exporter.yml"), "health: {interval: 15s}\n");
    Exporter::start(pki.folder.path(), flags).await
}

async fn open(exporter: &Exporter, first: &[u8]) -> TcpStream {
    let host = exporter.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(first).await.unwrap();
    stream
}

/// What the exporter writes until it closes the connection.
async fn said(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("it is closed");
    String::from_utf8_lossy(&text).into_owned()
}

fn figure(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("{series}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Clients that stay, whether or not they are let go.
const CROWD: usize = 10_000;
/// Who guess passwords at the same time.
const GUESSERS: u32 = 64;
const DROPPED: &str = "myunisoft_exporter_connections_dropped_total";

#[tokio::test]
async fn ten_thousand_idle_clients_block_no_scrape_and_are_disconnected() {
    rlimit::increase_nofile_limit(CROWD as u64 * 2).unwrap();
    let pki = Pki::new();
    let exporter = exporter(&pki, &["--web.max-connections=64"]).await;
    let mut crowd = Vec::new();
    // Some never ask, some never finish asking, some ask and stay.
    for (index, first) in [&b""[..], b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"]
        .iter()
        .cycle()
        .take(CROWD)
        .enumerate()
    {
        crowd.push(open(&exporter, first).await);
        if index % 1_000 == 0 {
            assert_eq!(exporter.get("/metrics").await.unwrap().0, 200, "with {index} others");
        }
    }
    let metrics = exporter.metrics().await;
    assert!(figure(&metrics, "myunisoft_exporter_connections ") <= 64.0, "{metrics}");
    assert!(figure(&metrics, &format!("{DROPPED}{{reason=\"crowded\"}}")) >= 9_800.0, "{metrics}");
    drop(crowd);
    until("all to be gone", || async {
        (figure(&exporter.metrics().await, "myunisoft_exporter_connections ") <= 1.0).then_some(())
    })
    .await;
}
