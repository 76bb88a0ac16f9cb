//! More clients than the exporter has file descriptors.

use std::process::Command;

use crate::support::pki::{Pki, write};
use crate::support::server::{BINARY, Exporter, sample_value, until};
use crate::support::web::connect;

#[tokio::test]
async fn it_reports_a_low_file_descriptor_limit_and_recovers_from_many_clients() {
    let pki = Pki::new();
    write(&pki.path("exporter.yml"), "health: {interval: 15s}\n");
    // This limit is lower than the exporter's own limit on connections, so the system refuses connections first.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\"", BINARY]);
    let exporter = Exporter::start_with_command(command, pki.folder.path(), &[]).await;
    exporter.server.wait_for_log(&["level=warn", "connections are limited to half"]).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(connect(&exporter, b"").await);
    }
    assert_eq!(exporter.get("/metrics").await.unwrap().0, 200, "a scrape among a hundred clients");
    drop(clients);
    until("recovery", || async {
        let connections = sample_value(&exporter.metrics().await, "myunisoft_exporter_connections");
        (connections.unwrap() <= 1.0).then_some(())
    })
    .await;
}
