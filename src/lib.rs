//! The monitoring and health-check exporter for MyUnisoft's Partner API.

pub mod api;
pub mod board;
pub mod config;
pub mod demo;
pub mod key_state;
pub mod probe;
pub mod report;
mod rfc3339;
pub mod schedule;
pub mod secret;
pub mod simulator;
pub mod verdict;
mod words;
