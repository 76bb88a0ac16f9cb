//! Tests of everything that installs the exporter.
//! `make packages` installs what they need. A test whose tool is missing fails and names the tool.

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

mod built;
mod compose;
mod debian;
mod helm;
mod image;
mod machine;
mod mixin;
mod release;
mod rpm;
mod systemd;
