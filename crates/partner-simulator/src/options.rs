//! How a simulator is set up.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use crate::Simulator;
use crate::spec::{KeySpec, PartnerSpec};
use crate::state::budget::Limits;
use crate::transport::certificates::TlsOptions;

/// Why a simulator didn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address can't be listened on.
    #[error("listening on {address}: {source}")]
    Listen {
        /// The one asked for.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// No certificate could be made.
    #[error("making a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The certificate can't be used.
    #[error("setting TLS up: {0}")]
    Tls(#[from] rustls::Error),
    /// The address makes no URL.
    #[error("the simulator's address makes no URL")]
    Url,
    /// A key was added before any partner.
    #[error("the key {0:?} has no partner: name the partner first")]
    KeyWithoutPartner(String),
}

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
    /// Whether answers are compressed for clients that accept it.
    pub compress: bool,
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
            compress: true,
            journal_capacity: 20_000,
            partners: Vec::new(),
        }
    }
}

/// Sets a simulator up, step by step.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until started"]
pub struct SimulatorBuilder {
    options: SimulatorOptions,
    orphan: Option<String>,
}

impl SimulatorBuilder {
    /// Listens there.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.options.listen = address;
        self
    }

    /// With TLS, and a good certificate.
    pub fn tls(self) -> Self {
        self.tls_with(TlsOptions::default())
    }

    /// With TLS, and this certificate.
    pub fn tls_with(mut self, tls: TlsOptions) -> Self {
        self.options.tls = Some(tls);
        self
    }

    /// With this budget for each key.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Calls to that route (path without query) cost so many requests.
    pub fn cost(mut self, route: &str, requests: u32) -> Self {
        self.options.costs.push((route.to_owned(), requests));
        self
    }

    /// With this limit on calls at the same time.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.options.concurrency = concurrency;
        self
    }

    /// Never compresses unasked.
    pub fn uncompressed(mut self) -> Self {
        self.options.compress = false;
        self
    }

    /// Remembers so many calls.
    pub fn journal_capacity(mut self, calls: usize) -> Self {
        self.options.journal_capacity = calls;
        self
    }

    /// And this partner, whose secret is active. The keys that follow are its.
    pub fn partner(self, name: &str, secret: &str) -> Self {
        self.partner_with(PartnerSpec::new(name, secret))
    }

    /// And this partner. The keys that follow are its, too.
    pub fn partner_with(mut self, partner: PartnerSpec) -> Self {
        self.options.partners.push(partner);
        self
    }

    /// And this key of the partner last named.
    pub fn key(mut self, key: KeySpec) -> Self {
        match self.options.partners.last_mut() {
            Some(partner) => partner.keys.push(key),
            None => self.orphan = Some(key.name),
        }
        self
    }

    /// And an active key for one society.
    pub fn society_key(self, name: &str, schema: u64, society: u64) -> Self {
        self.key(KeySpec::society(name, schema, society))
    }

    /// And an active key for a schema with these societies.
    pub fn firm_key(self, name: &str, schema: u64, societies: &[u64]) -> Self {
        self.key(KeySpec::firm(name, schema, societies))
    }

    /// Starts it, on the runtime that this is called on.
    ///
    /// # Errors
    /// If the address can't be listened on, or a certificate can't be made.
    pub async fn start(self) -> Result<Simulator, StartError> {
        match self.orphan {
            Some(key) => Err(StartError::KeyWithoutPartner(key)),
            None => Simulator::start(self.options).await,
        }
    }
}
