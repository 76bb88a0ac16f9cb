//! The monitoring and health-check exporter for MyUnisoft's Partner API.

pub mod app;
pub mod cli;
pub mod config;
pub mod demo;
pub mod diagnosis;
mod file_version;
pub mod fleet;
pub mod format;
pub mod http;
pub mod key_state;
mod label;
pub mod logging;
pub mod metrics;
pub mod monitor;
pub mod page;
pub mod panics;
pub mod partner_api;
pub mod password_fingerprint;
pub mod probe;
pub mod probe_loop;
pub mod probe_once;
pub mod reference;
pub mod reload;
pub mod report;
mod rfc3339;
pub mod schedule;
pub mod secret;
pub mod state;
pub mod status;
pub mod store;
pub mod terminal;
pub mod watchdog;

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod test_support;
