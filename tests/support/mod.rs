//! What the integration tests share: the exporter as a process, and the servers around it.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod acme;
pub(crate) mod browser;
pub(crate) mod monitoring;
pub(crate) mod pki;
pub(crate) mod scripted_server;
pub(crate) mod server;

/// The partner's secret in every test.
pub(crate) const SECRET: &str = "the-partners-secret";
