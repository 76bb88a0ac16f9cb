//! Ten thousand clients that keep their connection open must not block a scrape.

use crate::support::pki::Pki;
use crate::support::server::{sample_value, until};
use crate::support::web::{connect, dropped, start};

/// Clients that keep their side of the connection open, even after the exporter has closed its side.
const CLIENTS: usize = 10_000;

#[tokio::test]
async fn ten_thousand_idle_clients_block_no_scrape_and_are_disconnected() {
    rlimit::increase_nofile_limit(CLIENTS as u64 * 2).unwrap();
    let pki = Pki::new();
    let exporter = start(&pki, &["--web.max-connections=64"]).await;
    let mut clients = Vec::new();
    // One third sends nothing, one third sends half a request, and one third sends a request and stays connected.
    for (index, first) in [&b""[..], b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"]
        .iter()
        .cycle()
        .take(CLIENTS)
        .enumerate()
    {
        clients.push(connect(&exporter, first).await);
        if index % 1_000 == 0 {
            assert_eq!(exporter.get("/metrics").await.unwrap().0, 200, "with {index} clients");
        }
    }
    let metrics = exporter.metrics().await;
    assert!(sample_value(&metrics, "myunisoft_exporter_connections").unwrap() <= 64.0, "{metrics}");
    assert!(sample_value(&metrics, &dropped("crowded")).unwrap() >= 9_800.0, "{metrics}");
    drop(clients);
    until("all connections to be closed", || async {
        let connections = sample_value(&exporter.metrics().await, "myunisoft_exporter_connections");
        (connections.unwrap() <= 1.0).then_some(())
    })
    .await;
}
