//! Tests of the exporter as a process. They need Rust alone.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "in a test, to panic is to fail"
)]

#[path = "../support/mod.rs"]
mod support;

mod architecture;
mod dependencies;
mod documents;
mod hostile_fleet;
mod notices;
mod probe_command;
mod process;
mod secrets;
mod status;
mod web;
