//! The monitoring and health-check exporter for MyUnisoft's Partner API.

pub mod config;
pub mod demo;
pub mod secret;
pub mod simulator;
mod words;
