//! Monitors: send a probe, judge what its response proves, persist a changed state, then publish it in
//! the shared state.
//!
//! A monitor runs one probe when it is called; [`crate::probe_loop`] decides when.

mod account;
mod budget_guard;
mod budgets;
mod health;
mod key;
mod log;
mod login_history;
mod outages;
mod partner;
mod refused_token;
mod token_failure;
mod token_provider;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant, timeout};
use tracing::{error, info, warn};
use url::Url;

use crate::config::Api;
use crate::metrics::Metrics;
use crate::pauses::Pauses;
use crate::probe::{BuildError, Prober};
use crate::report::ProbeReport;
use crate::state::{CredentialProblem, Inventory, MonitoredKey, SharedState};
use crate::store::{StateUpdate, Store};
use crate::watchdog::Watchdog;

pub(crate) use account::Accounts;
use budgets::Budgets;
pub(crate) use health::HealthMonitor;
pub(crate) use key::KeyMonitor;
use outages::{Outages, ProbeId};
pub(crate) use partner::PartnerMonitor;

/// How many probes of keys may run at the same time. If the API hangs, each probe takes its whole timeout:
/// without a limit, a large fleet would open thousands of connections and make the problem worse. With
/// 500 ms per probe, this is enough for 60,000 probes per minute.
///
/// There are as many permits again for the keys whose last request timed out: so a part of the fleet that gets no
/// answers keeps the permits of the other keys for one timeout at most.
pub(crate) const MAX_PROBES_IN_FLIGHT: usize = 512;

/// How many accounts may log in at the same time. Log-ins have permits of their own, so that a slow log-in route
/// delays only the keys that log in.
const MAX_LOG_INS_IN_FLIGHT: usize = 64;

/// How long a changed state waits to be on disk before it is shown anyway. The writer takes about one
/// second at most, unless the disk fails.
const SAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// The settings that all monitors of one configuration share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MonitorSettings {
    /// Sends requests to the API.
    pub prober: Prober,
    /// A key is not probed if its remaining budget is known to be below this number of requests.
    pub keep_free: u32,
    /// Whether other exporters monitor other keys: then a key that was not here was elsewhere.
    pub is_divided: bool,
}

/// What became of one run of a probe.
#[derive(Debug)]
pub(crate) enum ProbeRun {
    Ran(Box<ProbeReport>),
    /// There were no resources for a connection; or it was not scheduled, and the key's budget is low. Counted as
    /// skipped.
    Skipped,
    /// The key's budget is low, and it was scheduled: to run again at this time. Not counted as skipped.
    OverBudget {
        until: Instant,
    },
    /// The process did not run meanwhile, so the result proves nothing. Counted as skipped.
    Interrupted,
}

impl ProbeRun {
    pub(crate) fn report(self) -> Option<ProbeReport> {
        match self {
            Self::Ran(report) => Some(*report),
            Self::Skipped | Self::OverBudget { .. } | Self::Interrupted => None,
        }
    }
}

/// What all monitors share for the whole life of the process.
#[derive(Debug)]
pub(crate) struct Context {
    pub shared_state: Arc<SharedState>,
    pub metrics: Arc<Metrics>,
    pub store: Store,
    /// Limits the log-ins of each account.
    pub accounts: Accounts,
    /// The known request budget of each token.
    pub budgets: Budgets,
    /// Detects loops that no longer run.
    pub watchdog: Watchdog,
    /// The probes that fail for a reason that is not their key's own, for the log.
    outages: Mutex<Outages>,
    /// Detects that the process did not run for a while.
    pub pauses: Pauses,
    /// Limits how many requests of keys are sent at the same time. Whoever holds a permit waits for the API alone:
    /// not for a disk, an account or another key.
    probe_permits: Semaphore,
    /// The same for the keys whose last request timed out.
    slow_probe_permits: Semaphore,
    /// Limits how many log-ins are sent at the same time. Each account sends one at a time.
    login_permits: Semaphore,
    /// True from the first configuration that was applied until the probe loops are stopped.
    probing: AtomicBool,
    /// Whether no probe can be sent, because the process has no file descriptors, ports, threads or
    /// memory left.
    out_of_resources: AtomicBool,
}

impl Context {
    pub(crate) fn new(shared_state: Arc<SharedState>, metrics: Arc<Metrics>, store: Store) -> Self {
        Self {
            shared_state,
            metrics,
            store,
            accounts: Accounts::default(),
            budgets: Budgets::default(),
            watchdog: Watchdog::default(),
            outages: Mutex::default(),
            pauses: Pauses::default(),
            probe_permits: Semaphore::new(MAX_PROBES_IN_FLIGHT),
            slow_probe_permits: Semaphore::new(MAX_PROBES_IN_FLIGHT),
            login_permits: Semaphore::new(MAX_LOG_INS_IN_FLIGHT),
            probing: AtomicBool::new(false),
            out_of_resources: AtomicBool::new(false),
        }
    }

    /// Prepares the probes of `api`. They expect request IDs on the routes that sent some before.
    ///
    /// # Errors
    /// See [`Prober::new`].
    pub(crate) fn prober(&self, api: &Api) -> Result<Prober, BuildError> {
        let prober = Prober::new(api)?;
        prober.expect_request_ids(self.store.request_ids(&prober.identity()));
        Ok(prober)
    }

    /// Records that the probe loops run.
    pub(crate) fn start_probing(&self) {
        self.probing.store(true, Ordering::Relaxed);
    }

    /// Whether the probe loops run: from [`Self::start_probing`] until [`Self::stop_probing`].
    pub(crate) fn is_probing(&self) -> bool {
        self.probing.load(Ordering::Relaxed)
    }

    /// Records that the probe loops have ended, so that the watchdog expects no more heartbeats.
    pub(crate) fn stop_probing(&self) {
        self.probing.store(false, Ordering::Relaxed);
        self.watchdog.disarm();
    }

    /// Forgets the failures of probes that are no longer configured.
    pub(crate) fn forget_removed_failures(&self, inventory: &Inventory) {
        let mut outages = self.outages.lock().unwrap_or_else(PoisonError::into_inner);
        if outages.is_empty() {
            return;
        }
        let configured: HashSet<_> = inventory.keys.iter().flat_map(|key| probe_ids(key)).collect();
        outages.retain(|probe| configured.contains(probe));
    }

    /// Records the metrics of a probe, if it was really sent, and the certificate's expiry.
    fn record_report(&self, route: &str, url: &Url, report: &ProbeReport) {
        if report.was_sent() {
            self.metrics.observe_probe(route, &report.phases);
        }
        if let Some(expiry) = report.certificate_expiry {
            self.shared_state.record_certificate(url, expiry);
        }
    }

    /// Whether this probe failed because the process or machine is out of resources: then it proves
    /// nothing. Logs one line when this starts and one when it ends.
    fn detect_resource_exhaustion(&self, report: &ProbeReport) -> bool {
        let exhaustion = report.outcome.as_ref().err().filter(|failure| failure.is_resource_exhaustion);
        if let Some(failure) = exhaustion {
            if !self.out_of_resources.swap(true, Ordering::Relaxed) {
                let cause = &*failure.detail;
                error!(cause, "cannot send probes: no file descriptors, ports, threads or memory left");
            }
        } else if report.was_sent() && self.out_of_resources.swap(false, Ordering::Relaxed) {
            info!("probes can be sent again");
        }
        exhaustion.is_some()
    }

    /// Waits for a permit for one request of a key, and records that the probe starts now; see
    /// [`Self::record_start`]. The request ends when the result is dropped.
    pub(crate) async fn start_probe(&self, due: Option<Instant>, has_timed_out: bool) -> impl Send + use<'_> {
        let permits = if has_timed_out { &self.slow_probe_permits } else { &self.probe_permits };
        // The semaphores are never closed. If they were, sending without a limit would be better than not sending.
        let permit = permits.acquire().await.ok();
        self.record_start(due);
        (permit, self.metrics.in_flight())
    }

    /// Records that a probe starts now; `due` is `None` if it is not scheduled.
    fn record_start(&self, due: Option<Instant>) {
        if let Some(due) = due {
            self.metrics.observe_lateness(Instant::now().saturating_duration_since(due));
        }
    }
}

fn probe_ids(key: &MonitoredKey) -> Vec<ProbeId> {
    let probes = key.status();
    let id = |name: &Arc<str>| (Arc::clone(&key.partner.name), Arc::clone(&key.name), Arc::clone(name));
    probes.probes.iter().map(|probe| id(&probe.name)).collect()
}

/// Waits until the state is on disk before it is shown, so that it survives `kill -9`. After `SAVE_TIMEOUT`
/// the state is shown anyway: a failing disk must not hide it. The store itself reports the failure and
/// retries.
async fn persist(store: &Store, update: StateUpdate) {
    let _ = timeout(SAVE_TIMEOUT, store.save(update)).await;
}

/// Records why a secret, token or password cannot be read, and logs one line when this starts and one when it ends.
///
/// `known` is what the shared state shows, `problem` what the last read found, such as
/// `the key's token can't be read: …`. `key` is `None` for the partner's secret. `last_value_serves`: it was read
/// before, so that the probes continue.
fn publish_credential_problem(
    known: &mut Option<CredentialProblem>,
    problem: Option<String>,
    last_value_serves: bool,
    partner: &str,
    key: Option<&str>,
) {
    match (&known, &problem) {
        (None, Some(problem)) if last_value_serves => {
            warn!(partner, key, problem, "credential unreadable; the last value is used");
        }
        (None, Some(problem)) => warn!(partner, key, problem, "credential unreadable; nothing can be sent"),
        (Some(_), None) => info!(partner, key, "credential readable again"),
        (None, None) | (Some(_), Some(_)) => {}
    }
    let problem = problem.map(|problem| CredentialProblem { text: problem.into(), last_value_serves });
    if *known != problem {
        *known = problem;
    }
}
