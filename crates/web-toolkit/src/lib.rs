//! Serves the routes of a Prometheus exporter, as Prometheus' exporter-toolkit does for exporters in Go.
//!
//! [`load`] reads a web configuration file, [`Protection`] applies it to connections and requests (TLS, client
//! certificates, users, security headers, a rate limit), and [`serve`] serves routes with it, within limits
//! on connections. An [`AuthHandle`] replaces the protection while requests are served. The crate knows
//! nothing about the routes, and reports to an [`Observer`] what happens to connections and requests.
//!
//! # Layout
//! - `certificate_bundle`: reads certificates from PEM files.
//! - `config`: reads and checks the web configuration file.
//! - `auth`: applies it to connections and requests.
//! - `handshake_error`: says why a TLS handshake failed.
//! - `observer`: what the server reports to the exporter.
//! - `server`: accepts connections, does TLS and HTTP, enforces the connection limits, stops gracefully.

mod auth;
pub mod certificate_bundle;
mod config;
pub mod handshake_error;
mod observer;
mod server;

pub use auth::{Auth, AuthHandle, Protection};
pub use config::{LoadedWebConfig, WebConfig, load};
pub use observer::{DropReason, Observer};
pub use server::{RefusedHandshakes, Service, serve};
