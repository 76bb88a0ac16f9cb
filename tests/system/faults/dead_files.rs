//! Files on a network share that no longer responds: every access to them blocks its thread. A preloaded library stands
//! for the share.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use partner_simulator::{Simulator, SimulatorBuilder};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::support::SECRET;
use crate::support::acme::{state_line, write_config};
use crate::support::server::{BINARY, Exporter, Server, client, run_tool, until};

/// Blocks each look at a file with "share" in its path while the file that DEAD names exists.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int statx(int folder, const char *path, int flags, unsigned mask, struct statx *found) {
    static int (*real)(int, const char *, int, unsigned, struct statx *);
    if (!real) real = dlsym(RTLD_NEXT, "statx");
    const char *dead = getenv("DEAD");
    if (path && dead && strstr(path, "share"))
        while (access(dead, F_OK) == 0) usleep(20000);
    return real(folder, path, flags, mask, found);
}
"#;

/// A folder with the directory `share`, which can be dead.
struct Share {
    folder: tempfile::TempDir,
}

impl Share {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("share")).unwrap();
        std::fs::write(folder.path().join("library.c"), LIBRARY).unwrap();
        let mut compile = Command::new("cc");
        compile
            .args(["-shared", "-fPIC", "-o"])
            .args([folder.path().join("library.so"), folder.path().join("library.c")]);
        let output = run_tool(compile.arg("-ldl"));
        assert!(output.status.success(), "{output:?}");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn set_dead(&self, dead: bool) {
        if dead {
            std::fs::write(self.path("dead"), "").unwrap();
        } else {
            std::fs::remove_file(self.path("dead")).unwrap();
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.env("LD_PRELOAD", self.path("library.so")).env("DEAD", self.path("dead"));
        command
    }

    async fn start(&self, flags: &[&str]) -> Exporter {
        Exporter::start_with_command(self.command(), self.folder.path(), flags).await
    }

    fn write_token(&self, file: &str, token: &str) {
        std::fs::write(self.path(file), token).unwrap();
    }
}

/// Keys with their tokens in files: those of `on_share` on the share, those of `local` beside it.
async fn keys_in_files(share: &Share, on_share: &[&str], local: &[&str]) -> Simulator {
    let names = || on_share.iter().chain(local);
    let with_key = |builder: SimulatorBuilder, (id, name): (u64, &&str)| builder.society_key(name, 80, id);
    let builder = Simulator::builder().partner("acme", SECRET);
    let simulator = (1..).zip(names()).fold(builder, with_key).start().await.unwrap();
    let line = |(folder, name): (&str, &&str)| {
        let file = format!("{folder}{name}");
        share.write_token(&file, &simulator.key(name).unwrap().token().unwrap());
        format!("      - {{name: {name}, access: society, token_file: {file}}}")
    };
    let lines =
        on_share.iter().map(|name| line(("share/", name))).chain(local.iter().map(|name| line(("", name))));
    write_config(share.folder.path(), &simulator, &lines.collect::<Vec<_>>());
    simulator
}

/// Waits until so many more calls were made with a key.
async fn wait_for_calls(simulator: &Simulator, key: &str, more: u64) {
    let calls = || simulator.key(key).unwrap().counts().calls;
    let before = calls();
    until("calls", || async { (calls() >= before + more).then_some(()) }).await;
}

async fn assert_stops_in_time(mut server: Server) {
    let signalled = Instant::now();
    server.signal(Signal::TERM);
    assert!(server.wait_for_exit().await.success(), "{}", server.output());
    assert!(signalled.elapsed() < Duration::from_secs(6), "{:?}", signalled.elapsed());
}

#[tokio::test]
async fn a_dead_secret_file_costs_its_own_key_at_most() {
    let share = Share::new();
    let simulator = keys_in_files(&share, &["dupont"], &["martin"]).await;
    let exporter = share.start(&[]).await;
    for key in ["dupont", "martin"] {
        exporter.wait_for_line(&state_line(key, "active")).await;
    }
    share.set_dead(true);
    let line =
        exporter.server.wait_for_log(&["level=warn", "the last value is used", "does not respond"]).await;
    assert!(line.contains("key=dupont"), "{line}");
    wait_for_calls(&simulator, "martin", 5).await;
    wait_for_calls(&simulator, "dupont", 5).await;
    assert_eq!(exporter.get("/-/healthy").await.unwrap().0, 200);
    // The key is still monitored, with the last value.
    simulator.key("dupont").unwrap().revoke();
    exporter.wait_for_line(&state_line("dupont", "revoked")).await;
    share.set_dead(false);
    exporter.server.wait_for_log(&["credential readable again", "key=dupont"]).await;
    share.set_dead(true);
    sleep(Duration::from_secs(1)).await;
    assert_stops_in_time(exporter.server).await;
}

#[tokio::test]
async fn fifty_dead_secret_files_delay_neither_a_start_nor_a_reload_nor_a_check() {
    let share = Share::new();
    let dead: Vec<_> = (0..50).map(|number| format!("dead-{number}")).collect();
    let dead: Vec<_> = dead.iter().map(String::as_str).collect();
    let simulator = keys_in_files(&share, &dead, &["martin"]).await;
    share.set_dead(true);
    let started = Instant::now();
    let exporter = share.start(&["--web.enable-lifecycle"]).await;
    exporter.wait_for_line(&state_line("martin", "active")).await;
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    exporter.server.wait_for_log(&["nothing can be sent", "key=dead-49", "does not respond"]).await;
    let reload = client().post(format!("{}/-/reload", exporter.url)).send().await.unwrap();
    assert_eq!(reload.status().as_u16(), 200);
    wait_for_calls(&simulator, "martin", 5).await;
    let started = Instant::now();
    let mut check = share.command();
    let output = run_tool(check.arg("check-config").arg(share.path("exporter.yml")));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("share/dead-0 does not respond") && !text.contains("martin"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    share.set_dead(false);
    exporter.wait_for_line(&state_line("dead-49", "active")).await;
    assert_stops_in_time(exporter.server).await;
}

#[tokio::test]
async fn a_dead_configuration_file_fails_a_reload_and_no_probe() {
    let share = Share::new();
    let simulator = keys_in_files(&share, &[], &["martin"]).await;
    let file = share.path("exporter.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(share.path("share/more.yml"), "partners: []").unwrap();
    std::fs::write(&file, format!("{text}key_files: ['share/*.yml']\n")).unwrap();
    let exporter = share.start(&["--web.enable-lifecycle", "--config.auto-reload-interval=1s"]).await;
    exporter.wait_for_line(&state_line("martin", "active")).await;
    share.set_dead(true);
    exporter.server.wait_for_log(&["level=error", "not reloaded", "do not respond"]).await;
    exporter.wait_for_line("myunisoft_exporter_config_last_reload_successful 0").await;
    let (_, status) = exporter.get_json("/api/v1/status").await;
    let error = status["exporter"]["reload_failure"]["error"].as_str().unwrap();
    assert!(error.contains("do not respond"), "{error}");
    wait_for_calls(&simulator, "martin", 5).await;
    let asked = Instant::now();
    let reload = client().post(format!("{}/-/reload", exporter.url)).send().await.unwrap();
    assert_eq!(reload.status().as_u16(), 500);
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    let check = run_check(&share, &file);
    assert!(check.contains("does not respond"), "{check}");
    share.set_dead(false);
    let reload = client().post(format!("{}/-/reload", exporter.url)).send().await.unwrap();
    assert_eq!(reload.status().as_u16(), 200);
    exporter.wait_for_line("myunisoft_exporter_config_last_reload_successful 1").await;
    assert_eq!(
        exporter.get_json("/api/v1/status").await.1["exporter"]["reload_failure"],
        serde_json::Value::Null
    );
    share.set_dead(true);
    sleep(Duration::from_secs(2)).await;
    assert_stops_in_time(exporter.server).await;
}

fn run_check(share: &Share, file: &Path) -> String {
    let output = run_tool(share.command().arg("check-config").arg(file));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}
