//! The handle of a running simulated API.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::api::routes::router;
use crate::builder::SimulatorBuilder;
use crate::clock::{Clock, ClockShift};
use crate::control::{Account, Key, Partner};
use crate::error::StartError;
use crate::fault::{Fault, Scope};
use crate::paths::{KEY_INFO, LOG_IN};
use crate::request::Call;
use crate::server::Server;
use crate::spec::PartnerSpec;
use crate::state::traffic::Counts;
use crate::state::{Shared, State};
use crate::tls::{Tls, TlsOptions};

/// A running simulated API. Cloning is cheap. The API stops when the last clone is dropped.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
    running: Arc<Running>,
}

struct Running {
    address: SocketAddr,
    url: Url,
    server: Arc<Server>,
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

impl SimulatorBuilder {
    /// Starts the simulator on the current tokio runtime.
    ///
    /// # Errors
    /// Returns an error if it cannot listen on the address, cannot create the certificate, or if a key was added
    /// before any partner.
    pub async fn start(self) -> Result<Simulator, StartError> {
        if let Some(key) = self.key_without_partner {
            return Err(StartError::KeyWithoutPartner(key));
        }
        let not_listening = |source| StartError::Listen { address: self.listen, source };
        let listener = TcpListener::bind(self.listen).await.map_err(not_listening)?;
        let address = listener.local_addr().map_err(not_listening)?;
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let url = Url::parse(&format!("{scheme}://{address}"))?;

        let clock = Clock::start();
        let tls = self.tls.as_ref().map(|options| Tls::new(options, clock.now())).transpose()?;
        let shared = Arc::new(Shared::new(State::new(self, clock)));
        let server = Arc::new(Server {
            router: router(&shared),
            shared: Arc::clone(&shared),
            tls,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        server.tasks.spawn(Arc::clone(&server).accept_connections(listener));
        Ok(Simulator { shared, running: Arc::new(Running { address, url, server }) })
    }
}

impl Simulator {
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder::default()
    }

    /// Stops the simulator, even if other handles exist, and waits until its connections are closed.
    pub async fn shutdown(&self) {
        let server = &self.running.server;
        server.stop.cancel();
        server.tasks.close();
        server.tasks.wait().await;
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
        let mut parts = path_and_query.splitn(2, '?');
        let mut url = self.base_url();
        url.set_path(parts.next().unwrap_or_default());
        url.set_query(parts.next());
        url
    }

    /// The certificate authority that clients must trust. `None` without TLS.
    pub fn ca_pem(&self) -> Option<String> {
        self.running.server.tls.as_ref().map(Tls::authority_pem)
    }

    /// The earliest expiry in the certificate chain. `None` without TLS.
    pub fn certificate_expiry(&self) -> Option<SystemTime> {
        self.running.server.tls.as_ref().map(|tls| tls.chain().expires_at)
    }

    /// Uses a new certificate from the next handshake on. Does nothing without TLS.
    ///
    /// # Errors
    /// Returns an error if the certificate cannot be created.
    pub fn renew_certificate(&self, options: &TlsOptions) -> Result<(), StartError> {
        self.running.server.tls.as_ref().map_or(Ok(()), |tls| tls.renew(options, self.now()))
    }

    /// The simulator's wall clock. It advances with tokio's time, and [`shift_clock`](Self::shift_clock) does not
    /// change it.
    pub fn now(&self) -> SystemTime {
        self.shared.lock().clock.now()
    }

    /// Shifts the times that the API sends from now on: the `date` header, the times in its bodies, and the expiry of
    /// tokens and of budgets. It does not shift when these really end.
    pub fn shift_clock(&self, shift: ClockShift) {
        self.shared.lock().clock.shift = shift;
    }

    /// Adds a partner, or replaces the partner with the same name.
    pub fn add_partner(&self, partner: &PartnerSpec) -> Partner {
        self.shared.lock().add_partner(partner);
        Partner { shared: Arc::clone(&self.shared), name: partner.name.as_str().into() }
    }

    pub fn partner(&self, name: &str) -> Option<Partner> {
        let known = self.shared.lock().partners.contains_key(name);
        known.then(|| Partner { shared: Arc::clone(&self.shared), name: name.into() })
    }

    pub fn key(&self, name: &str) -> Option<Key> {
        let known = self.shared.lock().keys.contains_key(name);
        known.then(|| Key { shared: Arc::clone(&self.shared), name: name.into() })
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
        self.shared.lock().fault_rules.remove(|injected| injected == scope);
    }

    /// Removes all injected faults.
    pub fn heal_all(&self) {
        self.shared.lock().fault_rules.remove(|_| true);
    }

    /// Archives a society's folder. All requests about the society are refused.
    pub fn archive_folder(&self, society: u64) {
        self.inject(Scope::Society(society), Fault::refuse("ERR-FOLDER-NOT-FOUND"));
    }

    /// Makes a society's folder inactive. The routes about the society refuse it; key/info does not.
    pub fn deactivate_folder(&self, society: u64) {
        self.inject(inactive_folder(society), Fault::refuse("SOCIETE12"));
    }

    /// Ends [`archive_folder`](Self::archive_folder) and [`deactivate_folder`](Self::deactivate_folder).
    pub fn restore_folder(&self, society: u64) {
        self.heal(&Scope::Society(society));
        self.heal(&inactive_folder(society));
    }

    /// Deletes a schema. All requests with its tokens are refused.
    pub fn delete_schema(&self, schema: u64) {
        self.inject(schema_tokens(schema), Fault::refuse("ERR-SCHEMA-NOT-FOUND"));
    }

    /// Ends [`delete_schema`](Self::delete_schema).
    pub fn restore_schema(&self, schema: u64) {
        self.heal(&schema_tokens(schema));
    }

    /// The number of exports that requests to [`EXPORT`](crate::EXPORT) have started.
    pub fn exports(&self) -> u64 {
        self.shared.lock().exports.started
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
        self.shared.lock().connections
    }
}

fn inactive_folder(society: u64) -> Scope {
    Scope::Society(society).except(Scope::Route(KEY_INFO.to_owned()))
}

fn schema_tokens(schema: u64) -> Scope {
    Scope::Schema(schema).except(Scope::Route(LOG_IN.to_owned()))
}
