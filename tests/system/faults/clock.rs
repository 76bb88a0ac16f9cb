//! The clock is set forwards and back while the exporter runs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use partner_simulator::{KeySpec, Limits, LoginSpec, Simulator};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::SECRET;
use crate::support::acme::{key_line, state_line, write_config};
use crate::support::server::{BINARY, Exporter, run_tool, until};

const DAY: f64 = 86_400.0;
const SINCE: &str = "myunisoft_key_state_since_timestamp_seconds{partner=\"acme\",key=\"dupont\"}";
const LAST: &str =
    "myunisoft_probe_last_timestamp_seconds{probe=\"exercices\",partner=\"acme\",key=\"dupont\"}";
const RAN: &str = "myunisoft_probes_total{probe=\"exercices\",partner=\"acme\",key=\"dupont\"}";
const SKIPPED: &str = "myunisoft_probes_skipped_total{probe=\"exercices\",partner=\"acme\",key=\"dupont\",reason=\"still_running\"}";
const EXPIRY: &str = "myunisoft_key_token_expiry_timestamp_seconds{partner=\"acme\",key=\"durand\"}";

/// An exporter whose wall clock is set through a file, with libfaketime. Its monotonic clock stays right, as on a machine
/// whose clock is set.
struct Clock {
    exporter: Exporter,
    file: PathBuf,
}

impl Clock {
    async fn start(folder: &Path) -> Self {
        let file = folder.join("clock");
        std::fs::write(&file, "+0").unwrap();
        // The `faketime` command would start the exporter as its child, which would not end with it.
        let mut command = Command::new(BINARY);
        command.env("LD_PRELOAD", libfaketime());
        command.envs([("FAKETIME_NO_CACHE", "1"), ("DONT_FAKE_MONOTONIC", "1")]);
        command.env("FAKETIME_TIMESTAMP_FILE", &file);
        Self { exporter: Exporter::start_with_command(command, folder, &[]).await, file }
    }

    /// Sets the clock to this number of days from now, and waits until a probe has used it.
    async fn set(&self, days: i32) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{days:+}d")).unwrap();
        std::fs::rename(new, &self.file).unwrap();
        until("a probe with the new time", || async {
            is_about(self.exporter.sample_value(LAST).await, f64::from(days)).then_some(())
        })
        .await;
    }
}

/// The path of the library for programs with several threads.
fn libfaketime() -> String {
    let output = run_tool(Command::new("dpkg").args(["-L", "libfaketime"]));
    let files = String::from_utf8(output.stdout).unwrap();
    let library = files.lines().find(|file| file.ends_with("MT.so.1"));
    library.expect("libfaketime is not installed: run `make test`, which installs it").to_owned()
}

/// Whether this is the time in this number of days. The tolerance is longer than a test takes.
fn is_about(timestamp: f64, days: f64) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    (timestamp - now - days * DAY).abs() < 300.0
}

async fn fleet() -> (Simulator, TempDir) {
    let login = LoginSpec::new("api@durand.example", "right").firm(83, "DURAND");
    let simulator = Simulator::builder()
        .limits(Limits { total: 1_000_000, ..Default::default() })
        .partner("acme", SECRET)
        .society_key("dupont", 80, 127)
        .key(KeySpec::login("durand", login))
        .start()
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let login = "      - {name: durand, access: firm, canaries: [], login: {mail: api@durand.example, password: right}}";
    write_config(folder.path(), &simulator, &[key_line(&simulator, "dupont"), login.to_owned()]);
    (simulator, folder)
}

#[tokio::test]
async fn a_clock_set_forwards_or_back_changes_neither_states_nor_schedule_nor_log_ins() {
    let (simulator, folder) = fleet().await;
    let clock = Clock::start(folder.path()).await;
    let exporter = &clock.exporter;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    exporter.wait_for_line(&state_line("durand", "active")).await;
    let since = exporter.sample_value(SINCE).await;
    for days in [30, -400, 0, 1, 0] {
        clock.set(days).await;
        let skipped = exporter.sample_value(SKIPPED).await;
        let (probes, since_then) = (exporter.sample_value(RAN).await, tokio::time::Instant::now());
        until("five more probes", || async {
            (exporter.sample_value(RAN).await >= probes + 5.0).then_some(())
        })
        .await;
        // There is neither a burst of probes to catch up, nor a pause until the old time is reached again.
        assert!(since_then.elapsed() > Duration::from_millis(900), "{:?}", since_then.elapsed());
        assert!((exporter.sample_value(SINCE).await - since).abs() < 0.001, "the state did not change");
        exporter.wait_for_line(&state_line("dupont", "active")).await;
        assert_eq!(exporter.get("/-/healthy").await.unwrap().0, 200);
        assert!(exporter.sample_value(SKIPPED).await < skipped + 5.0, "a changed clock makes no probe late");
    }
    let metrics = exporter.metrics().await;
    let lateness = |series: &str| {
        let series = format!("myunisoft_exporter_probe_lateness_seconds_{series} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&*series)).unwrap();
        line.parse::<u64>().unwrap()
    };
    // If the wall clock were used for durations, probes would be late by days.
    let (in_time, all) = (lateness("bucket{le=\"15\"}"), lateness("count"));
    assert!(in_time == all && all > 50, "{in_time} of {all} ran in time");
    let log_ins = simulator.account("api@durand.example").unwrap().attempts();
    assert_eq!(log_ins.total, 1, "the age of a token does not depend on the wall clock");
}

#[tokio::test]
async fn a_state_change_under_a_wrong_clock_has_that_time_and_is_persisted() {
    let (simulator, folder) = fleet().await;
    let mut clock = Clock::start(folder.path()).await;
    clock.exporter.wait_for_line(&state_line("dupont", "active")).await;
    clock.set(30).await;
    simulator.key("dupont").unwrap().revoke();
    clock.exporter.wait_for_line(&state_line("dupont", "revoked")).await;
    assert!(is_about(clock.exporter.sample_value(SINCE).await, 30.0));
    clock.exporter.server.signal(Signal::KILL);
    clock.exporter.server.wait_for_exit().await;
    // The clock is right again. The exporter knows only the wrong time of the revocation.
    let exporter = Exporter::start(folder.path(), &[]).await;
    exporter.wait_for_line(&state_line("dupont", "revoked")).await;
    simulator.key("dupont").unwrap().restore();
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    assert!(is_about(exporter.sample_value(SINCE).await, 0.0));
    until("a token of four hours", || async {
        is_about(exporter.sample_value(EXPIRY).await, 4.0 / 24.0).then_some(())
    })
    .await;
}
