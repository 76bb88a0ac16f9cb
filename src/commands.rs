//! The subcommands. Each takes the flags, does its work and returns the exit code of the process.

mod check_config;
mod demo;
mod documents;
mod exporter;
mod healthcheck;
mod load;
mod probe;
mod process;
mod rehearsal;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::logging::{self, Level};
use crate::panics;

/// Reads the command line, starts the log, runs the subcommand, and returns the exit code of the process: 0 if it
/// was asked to stop or succeeded, 1 if it failed, 2 for bad usage or a bad configuration.
pub fn run() -> ExitCode {
    let Cli { command, flags } = Cli::read();
    // These print their findings, so they log errors only.
    let prints = matches!(command, Some(Command::Probe { .. } | Command::Healthcheck));
    let default_level = if prints { Level::Error } else { Level::Info };
    logging::start(flags.log_level.unwrap_or(default_level), flags.log_format);
    panics::install_hook();
    match command {
        None => exporter::exporter(&flags),
        Some(Command::Demo { options }) => demo::demo(&options, &flags),
        Some(Command::CheckConfig { file, syntax_only }) => {
            check_config::check_config(file.as_deref(), syntax_only, &flags)
        }
        Some(Command::Completions { shell }) => documents::completions(shell),
        Some(Command::Man { command }) => documents::man(command.as_deref()),
        Some(Command::Healthcheck) => healthcheck::healthcheck(&flags),
        Some(Command::Probe { options }) => probe::probe(&options, &flags),
    }
}
