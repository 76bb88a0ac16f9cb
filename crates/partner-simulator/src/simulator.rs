//! The handle of a running simulated API.

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
use crate::paths::LOG_IN;
use crate::server::Server;
use crate::shared::Shared;
use crate::spec::partner::PartnerSpec;
use crate::state::request_log::Call;
use crate::state::traffic::Counts;
use crate::tls::TlsOptions;
use crate::tls::{Authority, CertificateChain};

/// A running simulated API. Cloning is cheap. The API stops when the last clone is dropped.
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

/// The tasks and their connections stop when the last handle is dropped.
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
    /// Starts a simulator on the current tokio runtime.
    ///
    /// # Errors
    /// Returns an error if it cannot listen on the address, or cannot create the certificate.
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

    /// Stops the simulator, even if other handles exist, and waits until its connections are closed.
    pub async fn shutdown(&self) {
        self.running.server.stop.cancel();
        self.running.tasks.close();
        self.running.tasks.wait().await;
    }

    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// The root URL: the value for `api.base_url`.
    pub fn base_url(&self) -> Url {
        self.running.url.clone()
    }

    /// The URL of the log-in route: the value for `api.auth_url`. The real log-in route has its own host.
    pub fn auth_url(&self) -> Url {
        self.url(LOG_IN)
    }

    /// The URL of a path, which may have a query.
    pub fn url(&self, path_and_query: &str) -> Url {
        let (path, query) =
            path_and_query.split_once('?').map_or((path_and_query, None), |(p, q)| (p, Some(q)));
        let mut url = self.base_url();
        url.set_path(path);
        url.set_query(query);
        url
    }

    /// The certificate authority that clients must trust. `None` without TLS.
    pub fn ca_pem(&self) -> Option<String> {
        self.running.authority.as_ref().map(Authority::pem)
    }

    /// The earliest expiry in the certificate chain. `None` without TLS.
    pub fn certificate_expiry(&self) -> Option<SystemTime> {
        *self.running.certificate_expiry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses a new certificate from the next handshake on. Does nothing without TLS.
    ///
    /// # Errors
    /// Returns an error if the certificate cannot be created.
    pub fn renew_certificate(&self, options: &TlsOptions) -> Result<(), StartError> {
        let running = &self.running;
        let (Some(authority), Some(tls)) = (&running.authority, &running.server.tls) else { return Ok(()) };
        let CertificateChain { config, expires_at } = authority.issue_chain(options, self.now())?;
        *tls.lock().unwrap_or_else(PoisonError::into_inner) = config;
        *running.certificate_expiry.lock().unwrap_or_else(PoisonError::into_inner) = Some(expires_at);
        Ok(())
    }

    /// The simulator's wall clock. It advances with tokio's time.
    pub fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    /// Adds a partner, or replaces the partner with the same name.
    pub fn add_partner(&self, partner: &PartnerSpec) -> Partner {
        self.shared.lock().add_partner(partner);
        Partner { shared: Arc::clone(&self.shared), name: partner.name.as_str().into() }
    }

    pub fn partner(&self, name: &str) -> Option<Partner> {
        let name = self.shared.lock().partners.get_key_value(name).map(|(name, _)| Arc::clone(name))?;
        Some(Partner { shared: Arc::clone(&self.shared), name })
    }

    pub fn key(&self, name: &str) -> Option<Key> {
        let name = self.shared.lock().keys.get_key_value(name).map(|(name, _)| Arc::clone(name))?;
        Some(Key { shared: Arc::clone(&self.shared), name })
    }

    pub fn account(&self, mail: &str) -> Option<Account> {
        let known = self.shared.lock().accounts.contains_key(mail);
        known.then(|| Account { shared: Arc::clone(&self.shared), mail: mail.to_owned() })
    }

    /// Injects a fault until it is removed with [`heal`](Self::heal) or [`heal_all`](Self::heal_all).
    pub fn inject(&self, scope: Scope, fault: Fault) {
        self.shared.lock().fault_rules.add(scope, fault, None);
    }

    /// Injects a fault for a number of requests.
    pub fn inject_times(&self, times: u32, scope: Scope, fault: Fault) {
        self.shared.lock().fault_rules.add(scope, fault, Some(times));
    }

    /// Removes the faults that were injected for exactly this scope.
    pub fn heal(&self, scope: &Scope) {
        self.shared.lock().fault_rules.remove(scope);
    }

    /// Removes all injected faults.
    pub fn heal_all(&self) {
        self.shared.lock().fault_rules.clear();
    }

    /// Starts announced maintenance of all routes.
    pub fn begin_maintenance(&self) {
        self.inject(Scope::Everything, Fault::maintenance());
    }

    /// The logged requests in order of arrival. The log keeps only the most recent requests.
    pub fn request_log(&self) -> Vec<Call> {
        self.shared.lock().request_log.calls().cloned().collect()
    }

    /// The number of requests so far, the number in flight, and the highest number in flight.
    pub fn counts(&self) -> Counts {
        self.shared.lock().traffic.counts
    }

    /// The number of connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections()
    }
}

/// Creates the certificate authority and the first chain if TLS is on.
fn set_up_tls(
    options: &SimulatorOptions,
    now: SystemTime,
) -> Result<(Option<Authority>, Option<CertificateChain>), StartError> {
    let Some(tls) = &options.tls else { return Ok((None, None)) };
    let authority = Authority::new(now)?;
    let chain = authority.issue_chain(tls, now)?;
    Ok((Some(authority), Some(chain)))
}
