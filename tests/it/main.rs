//! Every integration test, in one binary: it links once.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "in a test, to panic is to fail"
)]

mod alerting;
mod alerts;
mod config;
mod dashboards;
mod demo;
mod dependencies;
mod door;
mod faults;
mod fuzz;
mod hostile;
mod metrics;
mod notices;
mod once;
mod page;
mod panels;
mod probing;
mod process;
mod secret;
mod secrets;
mod silence;
mod states;
mod status;
mod support;
mod watching;
