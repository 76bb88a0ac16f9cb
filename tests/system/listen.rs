//! The addresses that the exporter listens on.

use std::process::Command;

use crate::support::server::{BINARY, Server, run_tool};

#[tokio::test]
async fn an_address_without_host_accepts_ipv4_where_the_system_gives_ipv6_only() {
    let folder = tempfile::tempdir().unwrap();
    // In a new network namespace, so that the setting concerns no other process.
    let script = "ip link set lo up; echo 1 > /proc/sys/net/ipv6/bindv6only; exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--net", "--map-root-user", "sh", "-ec", script, BINARY, "--web.listen-address=:10698"]);
    let server = Server::spawn(command.current_dir(folder.path()));
    server.wait_for_log(&["msg=listening"]).await;
    for host in ["127.0.0.1", "[::1]"] {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--user", "--preserve-credentials", "--target", &server.pid().to_string()]);
        let url = format!("http://{host}:10698/-/healthy");
        let output = run_tool(command.args(["curl", "--noproxy", "*", "-gsS", &url]));
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "myunisoft-exporter is healthy.\n",
            "{host}: {output:?}"
        );
    }
}
