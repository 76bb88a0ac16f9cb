//! `myunisoft-exporter check-config`: prints a summary of a valid configuration, or the errors of an invalid
//! one.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::{DEFAULT_CONFIG_FILE, Flags};
use crate::config::{self, Loaded, Secrets};
use checked_yaml::Problems;
use secrecy::zeroize::Zeroizing;
use web_toolkit as web;

use super::load::load_in_time;
use super::process::{BAD_CONFIGURATION, BadConfiguration, exit_code, print};

/// How messages name the configuration that comes from standard input.
const STANDARD_INPUT: &str = "standard input";
/// In bytes; the same limit as for a file.
const MAX_SIZE: u64 = 64 << 20;
/// How long all files together may take. The exporter itself waits for less, because it reads no secret at its start.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// Checks the whole configuration `file` and sums up what this shard of it is (without `file`, the file of `--config.file`) and, if a flag names one, the web
/// configuration file. `syntax_only`: reads no secret, token, password, variable or certificate.
pub(crate) fn check_config(file: Option<&Path>, syntax_only: bool, flags: &Flags) -> ExitCode {
    let file = file.or(flags.config_file.as_deref()).unwrap_or(Path::new(DEFAULT_CONFIG_FILE));
    let secrets = if syntax_only { Secrets::Ignore } else { Secrets::Check };
    let web_config_file = flags.web_config_file.clone().filter(|_| !syntax_only);
    let shard = match flags.shard() {
        Ok(shard) => shard,
        Err(problem) => return exit_code(Err(BadConfiguration(problem).into())),
    };
    let replicas = flags.replicas;
    let checked_file = file.to_owned();
    let check = move || {
        let web_config = web_config_file.as_deref().map(web::load).transpose();
        Problems::both(load(&checked_file, secrets), web_config)
    };
    match load_in_time(Some(file), CHECK_TIMEOUT, check) {
        Ok((mut config, web_config)) => {
            config.config.divide(shard);
            config.config.take_turns(replicas);
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

fn load(file: &Path, secrets: Secrets) -> Result<Loaded, Problems> {
    if file != Path::new("-") {
        return config::load(file, secrets);
    }
    let mut text = Zeroizing::new(Vec::new());
    match io::stdin().lock().take(MAX_SIZE).read_to_end(&mut text) {
        Ok(_) => config::load_text(STANDARD_INPUT, &text, secrets),
        Err(error) => {
            let text = format!("cannot be read ({}); pass the file by name", error.kind());
            Err(Problems::with_file(Path::new(STANDARD_INPUT), text))
        }
    }
}
