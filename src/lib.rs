//! A Prometheus exporter that monitors MyUnisoft's Partner API and the state of every key of a partner.
//!
//! # Layout
//!
//! The modules, from the top down. A module may use the modules below it.
//!
//! The program:
//! - `cli`: the command line.
//! - `app`: starts and stops the exporter. `demo` starts it with a simulated fleet whose keys change
//!   state over time. `probe_once` probes every key once for the command `probe`, and `terminal`
//!   formats its findings.
//! - `reload`: reads the configuration again when a file changes or somebody requests it.
//! - `logging`: log lines in logfmt or JSON. `panics`: logs panics. `watchdog`: checks that the
//!   loops still run, for `/-/healthy`.
//!
//! What users read:
//! - `http`: the routes for metrics, probes on request, service discovery, health checks, reloads, the
//!   status page and its JSON.
//! - `page`: the HTML of the status page. `status`: its JSON document. `diagnosis`: the texts that
//!   explain what is wrong and what to do. `format`: how times and durations are written.
//! - `metrics`: the metrics in the Prometheus text format. `label`: the label values of this format.
//!
//! Monitoring:
//! - `fleet`: creates the monitors of a configuration, and changes them when the configuration changes.
//! - `probe_loop`: runs the probes of one key when they are due. `schedule`: computes the due times.
//! - `monitor`: sends the probes of one key, and applies the evidence from the responses.
//! - `probe`: sends one request and measures its phases. `report`: the result of one probe.
//! - `store`: the persisted state in the storage directory. `password_fingerprint`: recognises a
//!   refused password after a restart without storing it.
//! - `state`: the state in memory that the metrics and the page read. `key_state`: the states of keys
//!   and secrets, and how evidence changes them.
//!
//! The base:
//! - `config`: the configuration file and its checks.
//! - `partner_api`: the protocol of the Partner API, from bytes to evidence.
//! - `secret`: secrets from the configuration, from files and from the environment.
//! - `reference`: the names of metrics and states, for the tests of dashboards, alerts and documents.
//! - `file_version`: detects that a file changed without reading it. `rfc3339`: times in files.

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
