//! `myunisoft-exporter healthcheck`: asks the exporter on this machine whether it is alive.

use std::process::ExitCode;

use crate::cli::{Flags, ListenAddress};
use crate::healthcheck::HealthCheck;

use super::exporter::DEFAULT_PORT;
use super::process::{exit_code, print, run_async};

/// Prints one line. The exit code is 0 if the exporter is alive, and otherwise 1.
pub(crate) fn healthcheck(flags: &Flags) -> ExitCode {
    let check = HealthCheck {
        addresses: flags.listen_addresses_or(ListenAddress { host: None, port: DEFAULT_PORT }),
        prefix: flags.prefix(),
        // Most web configuration files have TLS. The file itself is not read, because it may have an error while the
        // exporter serves with its last valid content.
        tls_first: flags.web_config_file.is_some(),
    };
    let mut is_alive = false;
    let outcome = run_async(async || {
        let answer = check.run().await;
        is_alive = answer.is_ok();
        match answer {
            Ok(answer) => print(format_args!("alive: {answer}\n"))?,
            Err(cause) => print(format_args!("not alive: {cause}\n"))?,
        }
        Ok(())
    });
    match exit_code(outcome) {
        ExitCode::SUCCESS if !is_alive => ExitCode::FAILURE,
        code => code,
    }
}
