//! `completions` and `man`: documents that are made from the definition of the command line.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use tracing::error;

use super::process::{BAD_CONFIGURATION, Failure, exit_code};
use crate::cli;

/// Prints the completions for a shell.
pub(crate) fn completions(shell: Shell) -> ExitCode {
    let mut command = cli::documented();
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    exit_code(print(&text))
}

/// Prints the manual page of the program, or of a subcommand.
pub(crate) fn man(subcommand: Option<&str>) -> ExitCode {
    let mut program = cli::documented();
    program.build();
    let Some(command) = find(&program, subcommand) else {
        let names = program.get_subcommands().map(Command::get_name).collect::<Vec<_>>().join(", ");
        error!("there is no such subcommand; write one of {names}");
        return BAD_CONFIGURATION.into();
    };
    let mut text = Vec::new();
    // `long_version` has several lines, which the page's footer cannot show.
    let command = command.clone().version(crate::version::VERSION).long_version(None);
    exit_code(Man::new(command).render(&mut text).map_err(Failure::from).and_then(|()| print(&text)))
}

fn find<'a>(program: &'a Command, subcommand: Option<&str>) -> Option<&'a Command> {
    subcommand.map_or(Some(program), |name| program.find_subcommand(name))
}

fn print(text: &[u8]) -> Result<(), Failure> {
    match io::stdout().write_all(text) {
        // The reader, such as `head`, has read enough.
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
