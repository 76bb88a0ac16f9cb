//! The builder of a simulator.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use crate::request::Call;
use crate::spec::{KeySpec, Limits, PartnerSpec};
use crate::tls::TlsOptions;

/// Which simultaneous requests are counted together. One page of the API's documentation says "to one route", another
/// says "to one society".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CountedTogether {
    /// The requests of one key to one route.
    #[default]
    KeyAndRoute,
    /// The requests of all keys to one route.
    Route,
    /// The requests of all keys about one society, to any route.
    Society,
}

/// The limit on simultaneous requests.
#[derive(Clone, Copy, Debug)]
pub struct Concurrency {
    /// The number of simultaneous requests that are accepted.
    pub limit: usize,
    pub counted: CountedTogether,
    /// The error code above the limit. The API's documentation spells it with and without a final `S`.
    pub code: &'static str,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { limit: 10, counted: CountedTogether::default(), code: "ERR-TOO-MANY-CONCURRENT-REQUEST" }
    }
}

impl Concurrency {
    /// The name of the group that the request is counted in. `None`: the request is not limited.
    pub(crate) fn group(&self, call: &Call) -> Option<String> {
        match self.counted {
            CountedTogether::KeyAndRoute => Some(format!("{} {}", call.key.as_ref()?, call.route())),
            CountedTogether::Route => Some(call.route().to_owned()),
            CountedTogether::Society => Some(call.society?.to_string()),
        }
    }
}

/// Configures and starts a simulator.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until started"]
pub struct SimulatorBuilder {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<TlsOptions>,
    pub(crate) limits: Limits,
    pub(crate) costs: BTreeMap<String, u32>,
    pub(crate) concurrency: Concurrency,
    pub(crate) request_log_capacity: usize,
    pub(crate) partners: Vec<PartnerSpec>,
    pub(crate) key_without_partner: Option<String>,
    pub(crate) repeatable_tokens: bool,
}

impl Default for SimulatorBuilder {
    /// Plain HTTP on a free loopback port, without any partner.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            limits: Limits::default(),
            costs: BTreeMap::new(),
            concurrency: Concurrency::default(),
            request_log_capacity: 20_000,
            partners: Vec::new(),
            key_without_partner: None,
            repeatable_tokens: false,
        }
    }
}

impl SimulatorBuilder {
    /// Listens on this address instead of a free loopback port.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Uses TLS with a valid certificate.
    pub fn tls(self) -> Self {
        self.tls_with(TlsOptions::default())
    }

    /// Uses TLS with this certificate.
    pub fn tls_with(mut self, tls: TlsOptions) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the budget of the keys that have no budget of their own.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how many requests of the budget one request to this route (path without query) costs. The default is 1.
    pub fn cost(mut self, route: &str, requests: u32) -> Self {
        self.costs.insert(route.to_owned(), requests);
        self
    }

    /// Sets the limit on simultaneous requests.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Issues the same permanent tokens at each start to the same keys in the same order. Otherwise a token contains the
    /// time at which it was issued.
    pub fn repeatable_tokens(mut self) -> Self {
        self.repeatable_tokens = true;
        self
    }

    /// Sets how many requests the log keeps.
    pub fn request_log_capacity(mut self, calls: usize) -> Self {
        self.request_log_capacity = calls;
        self
    }

    /// Adds a partner whose secret is active. The keys added next belong to it.
    pub fn partner(self, name: &str, secret: &str) -> Self {
        self.partner_with(PartnerSpec::new(name, secret))
    }

    /// Adds a partner. The keys added next belong to it, too.
    pub fn partner_with(mut self, partner: PartnerSpec) -> Self {
        self.partners.push(partner);
        self
    }

    /// Adds a key to the partner added last.
    pub fn key(mut self, key: KeySpec) -> Self {
        match self.partners.last_mut() {
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
}
