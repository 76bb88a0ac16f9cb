//! The web side of a Prometheus exporter.
//!
//! It reads the web configuration file that Prometheus' exporters share, protects routes with it (TLS,
//! client certificates, users, security headers, a request rate), and serves them with limits on
//! connections. It knows nothing of what is served: it reports to an [`Observer`].
//!
//! # Layout
//! - [`config`]: reads and checks the web configuration file.
//! - [`auth`]: applies it to requests, and replaces it while requests are served.
//! - [`server`]: accepts connections, speaks TLS and HTTP, enforces the connection limits, ends gracefully.

pub mod auth;
pub mod config;
mod observer;
pub mod server;

pub use observer::{DropReason, Observer};
