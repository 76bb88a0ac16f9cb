//! How a simulator is set up.

pub(crate) mod tls;

use std::net::{Ipv4Addr, SocketAddr};

use crate::options::tls::TlsOptions;
use crate::spec::limits::Limits;
use crate::spec::partner::PartnerSpec;

/// The limit on calls to one route at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// So many are accepted.
    pub limit: usize,
    /// Whether each key's calls are counted for themselves. The documentation says "to one route" and no more.
    pub per_key: bool,
    /// The code beyond: the documentation spells it with and without a final `S`.
    pub code: &'static str,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { limit: 10, per_key: true, code: "ERR-TOO-MANY-CONCURRENT-REQUEST" }
    }
}

/// How a simulator is set up.
#[derive(Clone, Debug)]
pub struct SimulatorOptions {
    /// Where it listens; port 0 for any free one.
    pub listen: SocketAddr,
    /// With TLS, or plain.
    pub tls: Option<TlsOptions>,
    /// The budget of keys that have none of their own.
    pub limits: Limits,
    /// What routes (paths without query) cost of it, where it isn't 1.
    pub costs: Vec<(String, u32)>,
    /// The limit on calls to one route at the same time.
    pub concurrency: Concurrency,
    /// How many calls the journal remembers.
    pub journal_capacity: usize,
    /// Who is known from the start.
    pub partners: Vec<PartnerSpec>,
}

impl Default for SimulatorOptions {
    /// Plain HTTP on a free loopback port, and nobody known.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            limits: Limits::default(),
            costs: Vec::new(),
            concurrency: Concurrency::default(),
            journal_capacity: 20_000,
            partners: Vec::new(),
        }
    }
}
