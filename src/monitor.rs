//! Watching: ask, learn from the answer, write down what was learnt.
//!
//! A watcher runs one probe when it is told to; when that is, is the scheduler's business.

mod account;
mod budget_guard;
mod health;
mod key;
mod partner;
mod token;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant, timeout};
use tracing::{error, info, warn};

use crate::metrics::Metrics;
use crate::partner_api::error::ErrorCode;
use crate::partner_api::request_id::RequestId;
use crate::probe::Prober;
use crate::report::ProbeReport;
use crate::state::{Episode, EpisodeChange, MonitoredKey, SharedState};
use crate::store::{StateUpdate, Store};
use crate::watchdog::Watchdog;

pub use account::Accounts;
pub use health::HealthMonitor;
pub use key::{KeyMonitor, ProbeRun};
pub use partner::PartnerMonitor;

/// How many keys' probes may be under way at once. While the API hangs each lasts its whole timeout:
/// without a bound, a large fleet would open thousands of connections, and add to the trouble. At
/// 500 ms a probe this is enough for 60,000 probes a minute.
const MAX_PROBES_IN_FLIGHT: usize = 512;

/// How long a change of state waits to be on disk before it is shown all the same. The writer takes
/// about a second at the most, unless the disk is in trouble.
const SAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// What the watchers of one configuration have in common.
#[derive(Clone, Debug)]
pub struct MonitorSettings {
    /// How to reach the API.
    pub prober: Prober,
    /// A key whose remaining budget is known to be below this many requests is not probed.
    pub keep_free: u32,
}

/// Two probers are equal if they are the same one: each has read its certificate authorities for itself.
impl PartialEq for MonitorSettings {
    fn eq(&self, other: &Self) -> bool {
        self.keep_free == other.keep_free && self.prober.is(&other.prober)
    }
}

/// What every watcher works with, for the whole life of the process.
#[derive(Debug)]
pub struct Context {
    /// Where findings are shown.
    pub shared_state: Arc<SharedState>,
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
    /// Where states are remembered.
    pub store: Store,
    /// Where log-ins are kept within bounds.
    pub accounts: Accounts,
    /// Whether the loops turn.
    pub watchdog: Watchdog,
    permits: Semaphore,
    probing: AtomicBool,
    /// Whether nothing can be asked for want of descriptors or memory.
    out_of_resources: AtomicBool,
}

impl Context {
    /// Brings the four together.
    #[must_use]
    pub fn new(shared_state: Arc<SharedState>, metrics: Arc<Metrics>, store: Store) -> Self {
        let accounts = Accounts::new(store.clone());
        Self {
            shared_state,
            metrics,
            store,
            accounts,
            watchdog: Watchdog::default(),
            permits: Semaphore::new(MAX_PROBES_IN_FLIGHT),
            probing: AtomicBool::new(false),
            out_of_resources: AtomicBool::new(false),
        }
    }

    /// Whether the probe loop runs: from its first start on, until it is told to stop.
    #[must_use]
    pub fn is_probing(&self) -> bool {
        self.probing.load(Ordering::Relaxed)
    }

    /// The probe loop is about to end.
    pub fn stop_probing(&self) {
        self.probing.store(false, Ordering::Relaxed);
        self.watchdog.disarm();
    }

    /// Counts one probe that was really sent.
    fn observe(&self, route: &str, host: &str, report: &ProbeReport) {
        if !report.phases.total().is_zero() {
            self.metrics.observe_probe(route, &report.phases);
        }
        if let Some(expiry) = report.certificate_expiry {
            self.shared_state.set_certificate_expiry(host, expiry);
        }
    }

    /// Whether this probe could not be made for a reason of our own: then it tells nothing. One line in
    /// the log as that begins, one as it ends.
    fn detect_resource_exhaustion(&self, report: &ProbeReport) -> bool {
        let ours = report.outcome.as_ref().err().filter(|failure| failure.is_resource_exhaustion);
        if let Some(failure) = ours {
            if !self.out_of_resources.swap(true, Ordering::Relaxed) {
                let cause = &*failure.detail;
                error!(cause, "probes can't be made: the process has run out of descriptors or memory");
            }
        } else if !report.phases.total().is_zero() && self.out_of_resources.swap(false, Ordering::Relaxed) {
            info!("probes can be made again");
        }
        ours.is_some()
    }

    /// A probe that was due at `due` starts now.
    fn observe_start(&self, due: Option<Instant>) {
        if let Some(due) = due {
            self.probing.store(true, Ordering::Relaxed);
            self.metrics.observe_lateness(Instant::now().saturating_duration_since(due));
        }
    }
}

/// Writes a record down before what it says is shown: a state that was once seen is not forgotten,
/// not even by a `kill -9`. A disk in trouble must not hide it, so patience has an end; the store
/// reports the trouble itself and keeps trying.
async fn persist(store: &Store, record: StateUpdate) {
    let _ = timeout(SAVE_TIMEOUT, store.save(record)).await;
}

/// One line as a failure episode begins, one as it ends, none in between. `key` is `None` for health.
fn log_episode(change: Option<&EpisodeChange>, key: Option<&MonitoredKey>, probe: &str) {
    let partner = key.map(|entry| &*entry.partner.name);
    let key = key.map(|entry| &*entry.name);
    match change {
        Some(EpisodeChange::Began(Episode { failure, request_id, .. })) => {
            let code = failure.code.as_ref().map(ErrorCode::as_str);
            let request_id = request_id.as_ref().map(RequestId::as_str);
            let (reason, detail) = (failure.reason.into_str(), &*failure.detail);
            warn!(partner, key, probe, reason, code, request_id, detail, "probe failing");
        }
        Some(EpisodeChange::Ended(episode)) => {
            let lasted = episode.since.elapsed().unwrap_or_default();
            let lasted = humantime::format_duration(Duration::from_secs(lasted.as_secs()));
            let reason = episode.failure.reason.into_str();
            info!(partner, key, probe, reason, %lasted, "probe succeeding again");
        }
        None => {}
    }
}
