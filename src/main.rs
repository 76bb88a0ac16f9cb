//! `myunisoft-exporter`: parse, log, load, bind, run, exit code.

mod commands;

use std::process::ExitCode;

use myunisoft_exporter::cli::{Cli, Command};
use myunisoft_exporter::logging::Level;
use myunisoft_exporter::{logging, panics};

fn main() -> ExitCode {
    let Cli { command, flags } = Cli::of_process();
    // Of `probe` the result tells what the log would.
    let level = if matches!(command, Some(Command::Probe { .. })) { Level::Error } else { Level::Info };
    logging::start(flags.log_level.unwrap_or(level), flags.log_format);
    panics::install_hook();
    match command {
        None => commands::exporter(&flags),
        Some(Command::Demo) => commands::demo(&flags),
        Some(Command::CheckConfig { file }) => commands::check_config(&file, &flags),
        Some(Command::Probe { keys, output }) => commands::probe(&keys, output, &flags),
    }
}
