//! The monitoring and health-check exporter for MyUnisoft's Partner API.

pub mod api;
pub mod app;
pub mod board;
pub mod cli;
pub mod config;
pub mod demo;
pub mod door;
pub mod http;
pub mod key_state;
mod label;
pub mod logging;
pub mod metrics;
pub mod password_mark;
pub mod probe;
pub mod reload;
pub mod report;
mod rfc3339;
pub mod schedule;
pub mod scheduler;
pub mod secret;
pub mod server;
pub mod simulator;
mod stamp;
pub mod store;
pub mod watch;
pub mod watchers;
mod words;
