//! Sets a simulator up, step by step.

use std::net::SocketAddr;

use crate::error::StartError;
use crate::options::tls::TlsOptions;
use crate::options::{Concurrency, SimulatorOptions};
use crate::simulator::Simulator;
use crate::spec::key::KeySpec;
use crate::spec::limits::Limits;
use crate::spec::partner::PartnerSpec;

/// Sets a simulator up, step by step.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until started"]
pub struct SimulatorBuilder {
    options: SimulatorOptions,
    key_without_partner: Option<String>,
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
            None => self.key_without_partner = Some(key.name),
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
        match self.key_without_partner {
            Some(key) => Err(StartError::KeyWithoutPartner(key)),
            None => Simulator::start(self.options).await,
        }
    }
}

impl Simulator {
    /// Sets one up, step by step.
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder::default()
    }
}
