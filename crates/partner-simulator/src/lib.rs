//! The simulated Partner API: it speaks all of what is known of the real one.
//!
//! `myunisoft-exporter demo` runs it beside the exporter; tests and benches run it on their own runtime, also under
//! tokio's paused time. It holds no global state, so several live in one process, and it ends with its last handle.
//! Everything it serves is invented.
//!
//! # Layout
//! - Setting up: [`SimulatorBuilder`] and [`SimulatorOptions`] (`options`), with partners and keys as `spec` has them.
//! - A call's way: `server` (sockets, TLS) → `fault_stream` (bytes) → `middleware` (every fault) → `auth`
//!   → `routes`, `login`, `sample_data` → `response_faults` → `delivery` (how the body goes out).
//! - What it knows: `state` behind one lock, with `budget`, `request_log`, `token`, `clock`, `request_id`.
//! - What goes wrong: [`Fault`] for a [`Scope`], [`Refusal`] with a code of [`DOCUMENTED`].
//! - Changing it while it runs: [`Simulator`], and handles to one [`Partner`], [`Key`] or [`Account`].

mod api;
mod builder;
mod clock;
mod control;
mod error;
mod error_codes;
mod fault;
mod options;
mod paths;
mod refusal;
mod request_info;
mod shared;
mod simulator;
mod spec;
mod state;
mod transport;

pub use api::sample_data::CANARY;
pub use builder::SimulatorBuilder;
pub use control::account::Account;
pub use control::key::Key;
pub use control::partner::Partner;
pub use error::StartError;
pub use error_codes::{DOCUMENTED, DocumentedCode};
pub use fault::{Fault, Page, Scope};
pub use options::tls::{Expiry, Signer, TlsOptions, TlsVersions};
pub use options::{Concurrency, SimulatorOptions};
pub use paths::{EXERCICES, HEALTH, KEY_INFO, LOG_IN, PERSONS, SOCIETY, USERS};
pub use refusal::{BodyForm, Refusal};
pub use simulator::Simulator;
pub use spec::key::{Access, Activation, KeySpec, TokenForm, Version};
pub use spec::limits::{Limits, RateHeaders};
pub use spec::login::{FirmSpec, LoginSpec};
pub use spec::partner::PartnerSpec;
pub use state::account::Attempts;
pub use state::request_log::{Call, LoggedResponse};
pub use state::traffic::Counts;
