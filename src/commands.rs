//! The subcommands. Each takes the flags, does its work and returns the exit code of the process.

mod check_config;
mod demo;
mod exporter;
mod load;
mod probe;
mod process;

pub(crate) use check_config::check_config;
pub(crate) use demo::demo;
pub(crate) use exporter::exporter;
pub(crate) use probe::probe;
