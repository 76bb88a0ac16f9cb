//! Helpers for the integration tests: the exporter as a process, and the servers around it.

#![allow(dead_code, reason = "each test binary uses only some of the helpers")]

pub(crate) mod acme;
pub(crate) mod browser;
pub(crate) mod drawing;
pub(crate) mod history;
pub(crate) mod monitoring;
pub(crate) mod pki;
pub(crate) mod probe_command;
pub(crate) mod scripted_server;
pub(crate) mod server;
pub(crate) mod web;

/// The partner's secret in the tests.
pub(crate) const SECRET: &str = "the-partners-secret";
