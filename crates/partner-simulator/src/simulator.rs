//! A running simulated API.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::api::routes::router;
use crate::clock::Clock;
use crate::control::account::Account;
use crate::control::key::Key;
use crate::control::partner::Partner;
use crate::error::StartError;
use crate::fault::{Fault, Scope};
use crate::options::SimulatorOptions;
use crate::options::tls::TlsOptions;
use crate::paths::{HEALTH, LOG_IN};
use crate::shared::Shared;
use crate::spec::partner::PartnerSpec;
use crate::state::request_log::Call;
use crate::state::traffic::Counts;
use crate::transport::certificates::{Authority, CertificateChain};
use crate::transport::server::Server;

/// A running simulated API. Cheap to clone; the API stops when the last clone is dropped.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
    running: Arc<Running>,
}

struct Running {
    address: SocketAddr,
    url: Url,
    authority: Option<Authority>,
    certificate_expiry: Mutex<Option<SystemTime>>,
    server: Arc<Server>,
    tasks: TaskTracker,
}

/// Tasks and their connections end with the last handle.
impl Drop for Running {
    fn drop(&mut self) {
        self.server.stop.cancel();
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("url", &self.running.url.as_str()).finish_non_exhaustive()
    }
}

impl Simulator {
    /// Starts one, on the runtime that this is called on.
    ///
    /// # Errors
    /// If the address can't be listened on, or a certificate can't be made.
    pub async fn start(options: SimulatorOptions) -> Result<Self, StartError> {
        let not_listening = |source| StartError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(not_listening)?;
        let address = listener.local_addr().map_err(not_listening)?;
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let url = Url::parse(&format!("{scheme}://{address}")).map_err(|_| StartError::Url)?;

        let clock = Clock::start();
        let (authority, chain) = set_up_tls(&options, clock.now())?;
        let shared = Arc::new(Shared::new(&options, clock));
        let tasks = TaskTracker::new();
        let server = Arc::new(Server {
            router: router(&shared),
            shared: Arc::clone(&shared),
            tls: chain.as_ref().map(|chain| Mutex::new(Arc::clone(&chain.config))),
            stop: CancellationToken::new(),
            tasks: tasks.clone(),
        });
        tasks.spawn(Arc::clone(&server).accept_connections(listener));
        let running = Running {
            address,
            url,
            authority,
            certificate_expiry: Mutex::new(chain.map(|chain| chain.expires_at)),
            server,
            tasks,
        };
        Ok(Self { shared, running: Arc::new(running) })
    }

    /// Stops it, whatever other handles there are, and waits until its connections are closed.
    pub async fn shutdown(&self) {
        self.running.server.stop.cancel();
        self.running.tasks.close();
        self.running.tasks.wait().await;
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Its root: what `api.base_url` is to be.
    #[must_use]
    pub fn base_url(&self) -> Url {
        self.running.url.clone()
    }

    /// Its log-in route: what `api.auth_url` is to be. The real one has a host of its own.
    #[must_use]
    pub fn auth_url(&self) -> Url {
        self.url(LOG_IN)
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path_and_query: &str) -> Url {
        let (path, query) =
            path_and_query.split_once('?').map_or((path_and_query, None), |(p, q)| (p, Some(q)));
        let mut url = self.base_url();
        url.set_path(path);
        url.set_query(query);
        url
    }

    /// The certification authority to trust, where it speaks TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<String> {
        self.running.authority.as_ref().map(Authority::pem)
    }

    /// When the first certificate of the presented chain ends, where it speaks TLS.
    #[must_use]
    pub fn certificate_ends(&self) -> Option<SystemTime> {
        *self.running.certificate_expiry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Presents another certificate from the next handshake on. Without TLS it does nothing.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn renew_certificate(&self, options: &TlsOptions) -> Result<(), StartError> {
        let running = &self.running;
        let (Some(authority), Some(tls)) = (&running.authority, &running.server.tls) else { return Ok(()) };
        let CertificateChain { config, expires_at } = authority.issue_chain(options, self.now())?;
        *tls.lock().unwrap_or_else(PoisonError::into_inner) = config;
        *running.certificate_expiry.lock().unwrap_or_else(PoisonError::into_inner) = Some(expires_at);
        Ok(())
    }

    /// Its wall clock, which moves with tokio's time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    /// One more partner, or another one of that name.
    pub fn add_partner(&self, partner: &PartnerSpec) -> Partner {
        self.shared.lock().add_partner(partner);
        Partner { shared: Arc::clone(&self.shared), name: partner.name.as_str().into() }
    }

    /// The partner of that name.
    #[must_use]
    pub fn partner(&self, name: &str) -> Option<Partner> {
        let name = self.shared.lock().partners.get_key_value(name).map(|(name, _)| Arc::clone(name))?;
        Some(Partner { shared: Arc::clone(&self.shared), name })
    }

    /// The key of that name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<Key> {
        let name = self.shared.lock().keys.get_key_value(name).map(|(name, _)| Arc::clone(name))?;
        Some(Key { shared: Arc::clone(&self.shared), name })
    }

    /// The account with that mail.
    #[must_use]
    pub fn account(&self, mail: &str) -> Option<Account> {
        let known = self.shared.lock().accounts.contains_key(mail);
        known.then(|| Account { shared: Arc::clone(&self.shared), mail: mail.to_owned() })
    }

    /// Commands a fault, until it is healed.
    pub fn inject(&self, scope: Scope, fault: Fault) {
        self.shared.lock().fault_rules.add(scope, fault, None);
    }

    /// Commands a fault for so many calls.
    pub fn inject_times(&self, times: u32, scope: Scope, fault: Fault) {
        self.shared.lock().fault_rules.add(scope, fault, Some(times));
    }

    /// Withdraws what was commanded for exactly this scope.
    pub fn heal(&self, scope: &Scope) {
        self.shared.lock().fault_rules.remove(scope);
    }

    /// Withdraws every command.
    pub fn heal_all(&self) {
        self.shared.lock().fault_rules.clear();
    }

    /// Announced maintenance of everything.
    pub fn begin_maintenance(&self) {
        self.inject(Scope::Everything, Fault::maintenance());
    }

    /// Maintenance of the health route alone.
    pub fn begin_health_maintenance(&self) {
        self.inject(Scope::Route(HEALTH.to_owned()), Fault::maintenance());
    }

    /// The calls, as far back as the journal remembers, in the order they came.
    #[must_use]
    pub fn journal(&self) -> Vec<Call> {
        self.shared.lock().request_log.calls().cloned().collect()
    }

    /// How many calls came, and how many at once.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.lock().traffic.counts
    }

    /// How many connections were opened.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections()
    }
}

/// What TLS needs, where there is to be any.
fn set_up_tls(
    options: &SimulatorOptions,
    now: SystemTime,
) -> Result<(Option<Authority>, Option<CertificateChain>), StartError> {
    let Some(tls) = &options.tls else { return Ok((None, None)) };
    let authority = Authority::new(now)?;
    let chain = authority.issue_chain(tls, now)?;
    Ok((Some(authority), Some(chain)))
}
