//! Tests that need more than Rust (Prometheus, Alertmanager, a browser, Python, namespaces, root), or take a minute each.
//! `make test` installs what they need. A test whose tool is missing fails and names the tool.

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

mod alerting;
mod alerts;
mod dashboards;
mod drawn;
mod faults;
mod first_screen;
mod kills;
mod listen;
mod metrics;
mod operator;
mod page;
mod panels;
mod probe_command;
mod process;
mod shards;
mod state_file;
mod status;
mod web;
