//! The builder of a simulator.

use std::net::SocketAddr;

use crate::error::StartError;
use crate::options::{Concurrency, SimulatorOptions};
use crate::simulator::Simulator;
use crate::spec::key::KeySpec;
use crate::spec::limits::Limits;
use crate::spec::partner::PartnerSpec;
use crate::tls::TlsOptions;

/// Configures and starts a simulator.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until started"]
pub struct SimulatorBuilder {
    options: SimulatorOptions,
    key_without_partner: Option<String>,
}

impl SimulatorBuilder {
    /// Listens on this address instead of a free loopback port.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.options.listen = address;
        self
    }

    /// Uses TLS with a valid certificate.
    pub fn tls(self) -> Self {
        self.tls_with(TlsOptions::default())
    }

    /// Uses TLS with this certificate.
    pub fn tls_with(mut self, tls: TlsOptions) -> Self {
        self.options.tls = Some(tls);
        self
    }

    /// Sets the budget of the keys that have no budget of their own.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Sets how many requests of the budget one request to this route (path without query) costs.
    pub fn cost(mut self, route: &str, requests: u32) -> Self {
        self.options.costs.push((route.to_owned(), requests));
        self
    }

    /// Sets the limit on simultaneous requests.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.options.concurrency = concurrency;
        self
    }

    /// Sets how many requests the log keeps.
    pub fn request_log_capacity(mut self, calls: usize) -> Self {
        self.options.request_log_capacity = calls;
        self
    }

    /// Adds a partner whose secret is active. The keys added next belong to it.
    pub fn partner(self, name: &str, secret: &str) -> Self {
        self.partner_with(PartnerSpec::new(name, secret))
    }

    /// Adds a partner. The keys added next belong to it, too.
    pub fn partner_with(mut self, partner: PartnerSpec) -> Self {
        self.options.partners.push(partner);
        self
    }

    /// Adds a key to the partner added last.
    pub fn key(mut self, key: KeySpec) -> Self {
        match self.options.partners.last_mut() {
            Some(partner) => partner.keys.push(key),
            None => self.key_without_partner = Some(key.name),
        }
        self
    }

    /// Adds an active key for one society.
    pub fn society_key(self, name: &str, schema: u64, society: u64) -> Self {
        self.key(KeySpec::society(name, schema, society))
    }

    /// Adds an active key for a schema with these societies.
    pub fn firm_key(self, name: &str, schema: u64, societies: &[u64]) -> Self {
        self.key(KeySpec::firm(name, schema, societies))
    }

    /// Starts the simulator on the current tokio runtime.
    ///
    /// # Errors
    /// Returns an error if it cannot listen on the address, cannot create the certificate, or if a key was added
    /// before any partner.
    pub async fn start(self) -> Result<Simulator, StartError> {
        match self.key_without_partner {
            Some(key) => Err(StartError::KeyWithoutPartner(key)),
            None => Simulator::start(self.options).await,
        }
    }
}

impl Simulator {
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder::default()
    }
}
