//! The monitoring and health-check exporter for MyUnisoft's Partner API.

pub mod api;
pub mod app;
pub mod board;
pub mod cli;
pub mod config;
pub mod demo;
pub mod http;
pub mod key_state;
mod label;
pub mod logging;
pub mod metrics;
pub mod password_mark;
pub mod probe;
pub mod report;
mod rfc3339;
pub mod schedule;
pub mod scheduler;
pub mod secret;
pub mod simulator;
pub mod store;
pub mod watch;
pub mod watchers;
mod words;
