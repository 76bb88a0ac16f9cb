//! A Prometheus exporter that monitors MyUnisoft's Partner API and the state of every key of a partner.
//!
//! # Layout
//!
//! The modules, from the top down. A module may use the modules below it.
//!
//! The program:
//! - `commands`: runs each subcommand as a process. `cli`: the command line.
//! - `app`: starts and stops the exporter. `demo` starts it with a simulated fleet whose keys change
//!   state over time. `probe_once` probes every key once for the command `probe`, and `terminal`
//!   formats its findings.
//! - `reload`: reads the configuration again when a file changes or somebody requests it.
//! - `logging`: log lines in logfmt or JSON. `panics`: logs panics. `watchdog`: checks that the
//!   loops still run, for `/-/healthy`. `service_manager`: tells systemd that the exporter is ready and alive.
//!   `version`: which build this is.
//!
//! What users read:
//! - `http`: the routes for metrics, probes on request, service discovery, health checks, reloads, the
//!   status page and its JSON.
//! - `page`: the HTML of the status page. `status`: its JSON document. `diagnosis`: the texts that
//!   explain what is wrong and what to do. `format`: how times and durations are written.
//! - `language`: the languages of these texts, and the messages in each.
//! - `metrics`: the metrics in the Prometheus text format. `label`: the label values of this format.
//!
//! Monitoring:
//! - `restore`: restores from Prometheus what the storage lost.
//! - `fleet`: creates the monitors of a configuration, and changes them when the configuration changes.
//! - `probe_loop`: runs the probes of one key when they are due. `schedule`: computes the due times.
//!   `pauses`: detects that the process did not run for a while. `last_alive`: when it ran before the start.
//! - `monitor`: sends the probes of one key, and applies the evidence from the responses.
//! - `probe`: sends one request and measures its phases. `report`: the result of one probe.
//! - `store`: the persisted state in the storage directory. `password_fingerprint`: recognizes a
//!   refused password after a restart without storing it.
//! - `state`: the state in memory that the metrics and the page read. `key_state`: the states of keys
//!   and secrets, and how evidence changes them.
//!
//! The base:
//! - `config`: the configuration file and its checks.
//! - `shard`: which keys each of several exporters monitors.
//! - `partner_api`: the protocol of the Partner API, from bytes to evidence.
//! - `secret`: secrets from the configuration, from files and from the environment.
//! - `reference`: the names of metrics and states, for the tests of dashboards, alerts and documents.
//!   `synthetic`: a fleet in memory, for benchmarks.
//! - `file_version`: detects that a file changed without reading it. `rfc3339`: times in files.

mod app;
mod cli;
mod clock_steps;
mod commands;
mod config;
mod confirmation;
mod demo;
mod diagnosis;
mod file_threads;
mod file_version;
mod fleet;
mod format;
mod healthcheck;
mod history_file;
mod http;
mod key_state;
mod label;
mod language;
mod last_alive;
mod logging;
mod metrics;
mod monitor;
mod page;
mod panics;
mod partner_api;
mod password_fingerprint;
mod pauses;
mod probe;
mod probe_loop;
mod probe_once;
pub mod reference;
mod reload;
mod report;
mod restore;
mod rfc3339;
mod schedule;
mod secret;
mod service_manager;
mod shard;
mod state;
mod status;
mod store;
pub mod synthetic;
mod terminal;
mod version;
mod watchdog;

pub use commands::run;

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod test_support;
