//! `myunisoft-exporter demo --write-config`: the simulated API on fixed ports, for an exporter of the user's own.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::DemoOptions;
use crate::demo::{self, CONFIGURATION_FILE, Scenario};
use partner_simulator::{Simulator, StartError};
use tokio::net::TcpListener;
use tracing::{info, warn};

use super::process::{Failure, exit_code, fix_for_address, print, run_async, stop_signal};

/// Runs the simulated API until a signal stops it. The folder is written when both ports are bound.
pub(crate) fn rehearsal(folder: &Path, options: &DemoOptions) -> ExitCode {
    exit_code(run_async(async || {
        let stop = stop_signal()?;
        let control = bind_control(options.control_address).await?;
        let simulator = start_api(options.api_address).await?;
        for kept in demo::write_folder(&simulator, folder)? {
            warn!(file = %kept.display(), "this file was changed and is kept; remove it to have it written again");
        }
        print_introduction(folder, &simulator, control.local_addr()?, options)?;
        info!(folder = %folder.display(), "configuration written");
        let scenario = async {
            if options.no_scenario {
                pending::<()>().await;
            } else {
                match Scenario::new(options.scenario_speed).run(simulator.clone()).await {}
            }
        };
        tokio::select! {
            () = scenario => Ok(()),
            served = axum::serve(control, demo::control(simulator.clone())) => Ok(served?),
            () = stop => Ok(()),
        }
    }))
}

fn bind_error(flag: &str, address: SocketAddr, cause: &io::Error) -> Failure {
    format!("{flag}: {address}: {cause}; {}", fix_for_address(cause.kind())).into()
}

async fn bind_control(address: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|cause| bind_error("--control.listen-address", address, &cause))
}

/// The tokens are the same at each start, so that an exporter recognizes its keys.
async fn start_api(address: SocketAddr) -> Result<Simulator, Failure> {
    let builder = Simulator::builder().tls().request_log_capacity(100).repeatable_tokens().listen(address);
    builder.start().await.map_err(|error| match error {
        StartError::Listen { source, .. } => bind_error("--api.listen-address", address, &source),
        StartError::Certificate(_)
        | StartError::Tls(_)
        | StartError::Url(_)
        | StartError::KeyWithoutPartner(_) => error.into(),
    })
}

/// Prints how to run an exporter, how to change a key, and what will happen.
fn print_introduction(
    folder: &Path,
    simulator: &Simulator,
    control: SocketAddr,
    options: &DemoOptions,
) -> io::Result<()> {
    let program = std::env::args().next().unwrap_or_else(|| "myunisoft-exporter".to_owned());
    let [file, storage] = [CONFIGURATION_FILE, "data"].map(|name| quoted(&folder.join(name)));
    let health = simulator.url(partner_simulator::HEALTH);
    let scenario = if options.no_scenario {
        "Nothing changes by itself.\n".to_owned()
    } else {
        let timetable = demo::timetable();
        format!(
            "The log announces what happens by itself (--no-scenario: nothing):\n{timetable}Then this begins again.\n"
        )
    };
    print(format_args!(
        "The simulated Partner API:\n  {health}\n\
         Run an exporter with the configuration for it in another terminal:\n  \
         {program} --config.file={file} --storage.path={storage}\n\
         Change a key, a secret or the API (without a path: a list of what is possible):\n  \
         curl -X POST http://{control}/keys/dupont/revoke\n  \
         curl -X POST http://{control}/keys/dupont/restore\n  \
         curl http://{control}/\n\
         {scenario}Stop the simulated API with Ctrl-C.\n\n"
    ))
}

/// For a shell.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=@%,:".contains(c);
    if path.chars().all(is_plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
