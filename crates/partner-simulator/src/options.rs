//! The options of a simulator.

use std::net::{Ipv4Addr, SocketAddr};

use crate::spec::limits::Limits;
use crate::spec::partner::PartnerSpec;
use crate::tls::TlsOptions;

/// The limit on simultaneous requests to one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// The number of simultaneous requests that are accepted.
    pub limit: usize,
    /// Whether each key has its own limit. The API's documentation only says "to one route".
    pub per_key: bool,
    /// The error code above the limit. The API's documentation spells it with and without a final `S`.
    pub code: &'static str,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { limit: 10, per_key: true, code: "ERR-TOO-MANY-CONCURRENT-REQUEST" }
    }
}

/// The options of a simulator.
#[derive(Clone, Debug)]
pub struct SimulatorOptions {
    /// The address to listen on. Port 0 means any free port.
    pub listen: SocketAddr,
    /// TLS options, or `None` for plain HTTP.
    pub tls: Option<TlsOptions>,
    /// The budget of the keys that have no budget of their own.
    pub limits: Limits,
    /// How many requests of the budget one request costs, by route (path without query). The default is 1.
    pub costs: Vec<(String, u32)>,
    pub concurrency: Concurrency,
    /// How many requests the log keeps.
    pub request_log_capacity: usize,
    /// The partners that exist at the start.
    pub partners: Vec<PartnerSpec>,
}

impl Default for SimulatorOptions {
    /// Plain HTTP on a free loopback port, without any partner.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            limits: Limits::default(),
            costs: Vec::new(),
            concurrency: Concurrency::default(),
            request_log_capacity: 20_000,
            partners: Vec::new(),
        }
    }
}
