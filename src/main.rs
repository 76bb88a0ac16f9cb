//! The program `myunisoft-exporter`: reads the command line, starts the log, and runs one subcommand.

mod commands;

use std::process::ExitCode;

use myunisoft_exporter::cli::{Cli, Command};
use myunisoft_exporter::logging::Level;
use myunisoft_exporter::{logging, panics};

fn main() -> ExitCode {
    let Cli { command, flags } = Cli::from_process();
    // `probe` prints its findings, so it logs errors only.
    let is_probe = matches!(command, Some(Command::Probe { .. }));
    let default_level = if is_probe { Level::Error } else { Level::Info };
    logging::start(flags.log_level.unwrap_or(default_level), flags.log_format);
    panics::install_hook();
    match command {
        None => commands::exporter(&flags),
        Some(Command::Demo) => commands::demo(&flags),
        Some(Command::CheckConfig { file }) => commands::check_config(&file, &flags),
        Some(Command::Probe { keys, output }) => commands::probe(&keys, output, &flags),
    }
}
