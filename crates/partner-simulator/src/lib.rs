//! A simulated MyUnisoft Partner API for tests and demonstrations.
//!
//! The simulator is an HTTP server on a real socket. It implements what is known of the real API: tokens and secrets,
//! key/info and activation, the API Cabinet log-in, request budgets, the limit on simultaneous requests, and all
//! documented error codes. Everything it serves is invented. It runs on the current tokio runtime and its clock
//! follows tokio's paused time. It has no global state, so several simulators can run in one process.
//!
//! # Example
//! ```
//! use partner_simulator::{Fault, KEY_INFO, Simulator};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), partner_simulator::StartError> {
//! let simulator = Simulator::builder().partner("acme", "secret").society_key("dupont", 80, 127).start().await?;
//! let url = simulator.url(KEY_INFO); // send requests here, with this token:
//! let key = simulator.key("dupont").expect("the key was added above");
//! let token = key.token();
//! key.inject(Fault::refuse("ERR-INTERNAL")); // from now on, the API refuses the key's requests
//! # assert!(url.as_str().ends_with(KEY_INFO) && token.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//! - Configuration: [`SimulatorBuilder`]; `spec` describes partners, keys and accounts.
//! - Control of a running simulator: [`Simulator`], and the handles [`Partner`], [`Key`] and [`Account`].
//! - Faults: a [`Fault`] applies to the requests of a [`Scope`]. A [`Refusal`] is an error response, for example with
//!   one of the [`DOCUMENTED`] codes.
//! - The path of a request: `server` (TCP, TLS) → `fault_stream` → `api::middleware` (faults that replace the
//!   response) → `api::auth` → `api::routes` and `api::login` → `api::response` (faults that change the response, and
//!   how the body is sent).
//! - State: `state` holds all data that changes, behind one lock.
//!
//! Imports run one way: `simulator` → `api`, `control`, `server` → `state` → `builder` → `spec`, `tls` → `refusal`.

mod api;
mod builder;
mod clock;
mod control;
mod error;
mod error_codes;
mod fault;
mod fault_stream;
mod paths;
mod refusal;
mod request;
mod server;
mod simulator;
mod spec;
mod state;
mod tls;

pub use api::sample_data::CANARY;
pub use builder::{Concurrency, CountedTogether, SimulatorBuilder};
pub use clock::ClockShift;
pub use control::{Account, Key, Partner};
pub use error::StartError;
pub use error_codes::{DOCUMENTED, DocumentedCode};
pub use fault::{Fault, Page, Scope};
pub use paths::{EXERCICES, EXPORT, HEALTH, KEY_INFO, LOG_IN, PERSONS, SOCIETY, USERS};
pub use refusal::{BodyForm, Refusal};
pub use request::{Call, LoggedResponse};
pub use simulator::Simulator;
pub use spec::{
    Access, Activation, EndedTokens, FirmSpec, KeySpec, Limits, LoginSpec, LoginStatus, PartnerSpec,
    RateHeaders, RetryAfter, TokenForm, Version,
};
pub use state::account::Attempts;
pub use state::traffic::Counts;
pub use tls::{Expiry, Signer, TlsOptions, TlsVersions};
