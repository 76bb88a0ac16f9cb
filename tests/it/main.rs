//! The integration tests, in one binary: a file a theme.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy.toml allows them in test functions; the functions that help tests are no different"
)]

mod demo;
mod simulator;
