//! `myunisoft-exporter demo`: the exporter with a simulated fleet and a simulated API.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{DemoOptions, Flags, ListenAddress};
use crate::config::Loaded;
use crate::demo::{self, Scenario};
use partner_simulator::Simulator;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tracing::warn;

use super::exporter::{DEFAULT_PORT, serve};
use super::load::{combine, load_web_config};
use super::process::{Failure, bad_configuration, exit_code, listen, print, run_async};
use super::rehearsal;

/// Runs the exporter against a simulated API, or only this API if the exporter is the user's.
pub(crate) fn demo(options: &DemoOptions, flags: &Flags) -> ExitCode {
    if let Some(folder) = &options.write_config {
        return rehearsal::rehearsal(folder, options);
    }
    if let Some(file) = &flags.config_file {
        warn!(file = %file.display(), "the demo has its own configuration; this file is not read");
    }
    let web_config_file = flags.web_config_file.clone();
    let web_config = match load_web_config(web_config_file.as_deref()) {
        Ok(web_config) => web_config,
        Err(problems) => return bad_configuration(&problems),
    };
    exit_code(run_async(async || {
        let default = ListenAddress { host: Some("127.0.0.1".to_owned()), port: DEFAULT_PORT };
        let listeners = listen(flags, default).await?;
        // Nobody reads the demo's request log, and a log of thousands of requests would look like a leak.
        let simulator = Simulator::builder().tls().request_log_capacity(100).start().await?;
        let config = demo::fleet(&simulator);
        // Every run starts without persisted state, and leaves none.
        let storage = temporary_storage(&flags.storage_path)?;
        print_introduction(&simulator, &listeners, &flags.prefix(), web_config.0.uses_tls())?;
        let fleet = move || Loaded { config: config.clone(), ..Loaded::default() };
        let initial = combine(fleet(), web_config);
        let load = move || Ok(combine(fleet(), load_web_config(web_config_file.as_deref())?));
        let scenario = Scenario::new(options.scenario_speed);
        let shown = Some(scenario.clone());
        tokio::select! {
            never = scenario.run(simulator.clone()) => match never {},
            outcome = serve(flags, initial, load, "the demo", storage.path(), listeners, shown) => outcome,
        }
    }))
}

/// A container may have no other directory that is writable than that of the exporter.
fn temporary_storage(storage_path: &Path) -> Result<TempDir, Failure> {
    let create = tempfile::tempdir().or_else(|_| tempfile::tempdir_in(storage_path));
    create.map_err(|cause| {
        let fix = "make the directory that TMPDIR names writable";
        format!("the demo needs a temporary directory: {cause}; {fix}").into()
    })
}

/// Prints the addresses to open, and what will happen.
fn print_introduction(
    simulator: &Simulator,
    listeners: &[TcpListener],
    prefix: &str,
    tls: bool,
) -> io::Result<()> {
    let scheme = if tls { "https" } else { "http" };
    let mut text = "The exporter:\n".to_owned();
    for listener in listeners {
        let address = listener.local_addr()?;
        // A browser cannot open the address that stands for all addresses.
        let address = if address.ip().is_unspecified() {
            format!("localhost:{}", address.port())
        } else {
            address.to_string()
        };
        // Writing to a string can't fail.
        let _ = writeln!(text, "  {scheme}://{address}{prefix}/           the status page");
        let _ = writeln!(text, "  {scheme}://{address}{prefix}/metrics    the metrics for Prometheus");
    }
    let health = simulator.url("/api/partners/health");
    print(format_args!(
        "{text}The simulated Partner API (it has its own certificate authority, so use curl --insecure):\n  {health}\n\
         The demo probes each key every 5 seconds (the default is 60 seconds). The page and the log announce what happens:\n\
         {}After five minutes this begins again. Stop the demo with Ctrl-C.\n\n",
        demo::timetable(),
    ))
}
