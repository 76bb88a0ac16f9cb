//! `myunisoft-exporter check-config`: prints a summary of a valid configuration, or the errors of an invalid
//! one.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::Flags;
use crate::config;
use checked_yaml::Problems;
use web_toolkit as web;

use super::process::{BAD_CONFIGURATION, exit_code, print};

/// Checks the configuration `file` and, if a flag names one, the web configuration file.
pub(crate) fn check_config(file: &Path, flags: &Flags) -> ExitCode {
    let web_config = flags.web_config_file.as_deref().map(web::load).transpose();
    match Problems::both(config::load(file), web_config) {
        Ok((config, web_config)) => {
            let web_summary = web_config.map(|web_config| web_config.summary()).unwrap_or_default();
            let printed = print(format_args!("{}{web_summary}", config.summary()));
            exit_code(printed.map_err(Into::into))
        }
        Err(problems) => {
            // If stderr is closed, there is nowhere left to report the error.
            let _ = writeln!(io::stderr(), "{problems}");
            BAD_CONFIGURATION.into()
        }
    }
}
