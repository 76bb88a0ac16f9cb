//! Tests of the exporter as a process. They need only Rust.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod architecture;
mod compression;
mod dependencies;
mod documents;
mod french;
mod healthcheck;
mod hostile_fleet;
mod key_files;
mod logs;
mod notices;
mod probe_command;
mod probe_route;
mod process;
mod rehearsal;
mod restore;
mod secrets;
mod service;
mod shards;
mod status;
mod web;
