//! The fleet: all monitors with their tasks, as the configuration says. A new configuration changes as
//! little as possible.
//!
//! A key with an unchanged definition keeps its task. A changed key gets a new task with its former history and the same
//! schedule (except by some milliseconds, if the number of keys has changed much). A removed key is removed immediately,
//! from the shared state too.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::config::{Config, Connection, HEALTH, Key, Partner, Probe, Timing};
use crate::monitor::{Context, HealthMonitor, KeyMonitor, MonitorSettings, PartnerMonitor};
use crate::panics::restart_on_panic;
use crate::probe::BuildError;
use crate::probe_loop::{Start, run_health_probe, run_key_probes};
use crate::schedule::{Anchor, Gap, Grids, Turn};
use crate::state::Inventory;

/// The configured names of partner and key.
type Name = (Arc<str>, Arc<str>);
type Partners = HashMap<Arc<str>, Arc<PartnerMonitor>>;
type Keys = HashMap<Name, RunningKey>;

/// All monitors with their tasks. Dropping it ends all probes.
#[derive(Debug)]
pub(crate) struct Fleet {
    context: Arc<Context>,
    /// Its anchor stays for the whole life of the process, its grids until a configuration is applied. The downtime is there
    /// until the first one was applied.
    start: Arc<Start>,
    key_index: Arc<KeyIndex>,
    partners: Partners,
    keys: Keys,
    health: Option<RunningHealthProbe>,
    /// The runtimes of the probes; each has one thread. If there is none, the probes run in the runtime of the caller.
    probe_runtimes: Vec<Handle>,
}

/// The monitors of the keys by name, for probes on request.
#[derive(Debug, Default)]
pub(crate) struct KeyIndex(RwLock<HashMap<Name, Arc<KeyMonitor>>>);

#[derive(Debug)]
struct RunningKey {
    monitor: Arc<KeyMonitor>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct RunningHealthProbe {
    settings: MonitorSettings,
    timing: Timing,
    _task: AbortOnDropHandle<()>,
}

impl Fleet {
    /// A fleet without keys.
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            start: Arc::new(Start { anchor: Anchor::aligned(), grids: Grids::new(0.0, 1), downtime: None }),
            key_index: Arc::default(),
            partners: HashMap::new(),
            keys: HashMap::new(),
            health: None,
            probe_runtimes: Vec::new(),
        }
    }

    /// Uses the wall clock for the schedules, so that a restart does not move them. `turn`: the place of this
    /// fleet among several that run the same configuration. What was due in `downtime` is made up for.
    pub(crate) fn with_start(self, turn: Turn, downtime: Option<Gap>) -> Self {
        let start = Start { anchor: Anchor::now(turn), downtime, ..*self.start };
        Self { start: Arc::new(start), ..self }
    }

    /// Runs the probes in runtimes of their own, each with one thread.
    pub(crate) fn with_probe_runtimes(self, probe_runtimes: Vec<Handle>) -> Self {
        Self { probe_runtimes, ..self }
    }

    fn spawn(
        &self,
        thread: usize,
        probes: impl Future<Output = ()> + Send + 'static,
    ) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(match self.probe_runtimes.get(thread) {
            Some(runtime) => runtime.spawn(probes),
            None => tokio::spawn(probes),
        })
    }

    pub(crate) const fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(crate) fn key_index(&self) -> Arc<KeyIndex> {
        Arc::clone(&self.key_index)
    }

    /// Monitors exactly what `config` says. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// If the API client cannot be built. Nothing has changed then.
    pub(crate) fn apply(&mut self, config: &Config) -> Result<(), BuildError> {
        let prober = match &self.health {
            Some(health) if health.settings.prober.matches(&config.settings.api) => {
                health.settings.prober.clone()
            }
            _ => self.context.prober(&config.settings.api)?,
        };
        let is_divided = config.settings.division.is_divided();
        let settings = MonitorSettings { prober, keep_free: config.settings.keep_free, is_divided };
        // From here on, nothing can fail: the change is made completely or not at all.
        let connections = new_connections_per_second(config);
        let grids = self.start.anchor.grids(connections, self.probe_runtimes.len());
        self.start = Arc::new(Start { grids, ..*self.start });
        self.context.metrics.set_probes(&histogram_labels(config));
        self.context.metrics.set_scope(&settings.prober.identity(), config.settings.division.shard);
        self.context.store.set_configured_keys(key_names(config));
        let (partners, keys) = self.build_partners_and_keys(config, &settings);
        let shared_state = &self.context.shared_state;
        if shared_state.inventory().settings.api.base_url != config.settings.api.base_url {
            shared_state.health().reset();
        }
        hand_over_histories(&self.keys, &keys);
        shared_state.set_inventory(inventory(config, &partners, &keys));
        self.context.forget_removed_failures(&shared_state.inventory());
        self.key_index.publish(&keys);
        // `self.keys` contains only the removed keys now.
        log_removed_keys(self.keys.len(), keys.len());
        (self.partners, self.keys) = (partners, keys);
        self.monitor_health(settings, config.settings.health.timing);
        self.context.budgets.remove_unused();
        self.context.watchdog.arm(config);
        self.context.start_probing();
        self.start = Arc::new(Start { downtime: None, ..*self.start });
        Ok(())
    }

    /// The partners and keys of `config`. Unchanged monitors are taken from `self`, the others are new. The
    /// monitors that stay in `self` end when its maps are dropped.
    fn build_partners_and_keys(&mut self, config: &Config, settings: &MonitorSettings) -> (Partners, Keys) {
        let (mut partners, mut keys) = (Partners::new(), Keys::new());
        let api = settings.prober.identity();
        let renamed = self.renamed_keys(config);
        for partner in &config.partners {
            let monitor = self.partner(partner, &api);
            for key in &partner.keys {
                let name = (Arc::clone(&partner.name), Arc::clone(&key.name));
                let running_key = match self.keys.remove(&name) {
                    Some(old) if old.monitor.matches(settings, &monitor, key) => old,
                    old => {
                        let old = old.map(|old| old.monitor).or_else(|| renamed.get(&name).cloned());
                        self.key(settings, &monitor, key, old.as_deref())
                    }
                };
                running_key.monitor.monitored_key().set_operator_labels(Arc::clone(&key.labels));
                keys.insert(name, running_key);
            }
            partners.insert(Arc::clone(&partner.name), monitor);
        }
        (partners, keys)
    }

    /// For each new key, the removed key with the same file of the token: it is the same key under another name, as
    /// far as is known while the file cannot be read.
    fn renamed_keys(&self, config: &Config) -> HashMap<Name, Arc<KeyMonitor>> {
        let configured: HashSet<_> = key_names(config).collect();
        let removed = self.keys.iter().filter(|(name, _)| !configured.contains(*name));
        let by_file: HashMap<_, _> =
            removed.filter_map(|(_, old)| Some((old.monitor.token_file()?, &old.monitor))).collect();
        let all =
            config.partners.iter().flat_map(|partner| partner.keys.iter().map(move |key| (partner, key)));
        let renamed = all.filter_map(|(partner, key)| {
            let old = by_file.get(key.credential.token_file()?)?;
            Some(((Arc::clone(&partner.name), Arc::clone(&key.name)), Arc::clone(old)))
        });
        renamed.collect()
    }

    fn partner(&mut self, partner: &Partner, api: &Arc<str>) -> Arc<PartnerMonitor> {
        match self.partners.remove(&partner.name) {
            Some(old) if old.matches(partner, api) => old,
            _ => Arc::new(PartnerMonitor::new(&self.context.store, partner, Arc::clone(api))),
        }
    }

    fn key(
        &self,
        settings: &MonitorSettings,
        partner: &Arc<PartnerMonitor>,
        key: &Key,
        old: Option<&KeyMonitor>,
    ) -> RunningKey {
        let monitor =
            KeyMonitor::new(Arc::clone(&self.context), settings.clone(), Arc::clone(partner), key, old);
        let (monitored, start) = (Arc::clone(&monitor), Arc::clone(&self.start));
        let thread = start.grids.thread(&partner.partner.name, &key.name);
        // Between here and the first step of the task, a due time may come. The task of an earlier monitor has ended.
        let mut first = Some(Instant::now());
        let probes = move || {
            let from = first.take().unwrap_or_else(Instant::now);
            run_key_probes(Arc::clone(&monitored), Arc::clone(&start), from)
        };
        RunningKey { monitor, _task: self.spawn(thread, restart_on_panic(probes)) }
    }

    /// The names of the keys whose state is not known, as far as the storage is concerned.
    pub(crate) fn keys_without_history(&self) -> impl Iterator<Item = (Arc<str>, Arc<str>)> {
        let is_forgotten = |key: &RunningKey| key.monitor.monitored_key().status().persisted.is_forgotten();
        self.keys.iter().filter(move |(_, key)| is_forgotten(key)).map(|(name, _)| name.clone())
    }

    /// The partners about whose secret nothing is known.
    pub(crate) fn partners_without_history(&self) -> Vec<Weak<PartnerMonitor>> {
        let is_blank = |monitor: &&Arc<PartnerMonitor>| monitor.partner.secret().is_blank();
        self.partners.values().filter(is_blank).map(Arc::downgrade).collect()
    }

    fn monitor_health(&mut self, settings: MonitorSettings, timing: Timing) {
        if self.health.as_ref().is_some_and(|health| health.timing == timing && health.settings == settings) {
            return;
        }
        let monitor =
            Arc::new(HealthMonitor::new(Arc::clone(&self.context), settings.prober.clone(), timing));
        let task = self.spawn(0, restart_on_panic(move || run_health_probe(Arc::clone(&monitor))));
        self.health = Some(RunningHealthProbe { settings, timing, _task: task });
    }
}

impl KeyIndex {
    pub(crate) fn find(&self, partner: &str, key: &str) -> Option<Arc<KeyMonitor>> {
        let by_name = self.0.read().unwrap_or_else(PoisonError::into_inner);
        by_name.get(&(partner.into(), key.into())).cloned()
    }

    fn publish(&self, keys: &Keys) {
        let by_name = keys.iter().map(|(name, key)| (name.clone(), Arc::clone(&key.monitor))).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = by_name;
    }
}

/// A key that was renamed keeps its last probes and state changes: its token tells that it is the same key.
fn hand_over_histories(removed: &Keys, keys: &Keys) {
    let by_token: HashMap<_, _> =
        removed.values().filter_map(|old| Some((old.monitor.fingerprint()?, &old.monitor))).collect();
    if by_token.is_empty() {
        return;
    }
    for key in keys.values() {
        if let Some(old) = key.monitor.fingerprint().and_then(|fingerprint| by_token.get(&fingerprint)) {
            // Not both locks at the same time.
            let history = old.monitored_key().status().history();
            key.monitor.monitored_key().status().take_history(history);
        }
    }
}

fn log_removed_keys(removed: usize, keys: usize) {
    match (removed, keys) {
        (0, _) => {}
        (_, 0) => warn!(removed, "no key is configured any more; no key is monitored"),
        _ => info!(removed, keys, "keys were removed from the configuration; they are no longer monitored"),
    }
}

/// The members in the order of the configuration.
fn inventory(config: &Config, partners: &Partners, keys: &Keys) -> Inventory {
    let partners = config.partners.iter().filter_map(|partner| partners.get(&partner.name));
    let keys = key_names(config).filter_map(|name| keys.get(&name));
    Inventory {
        settings: Arc::new(config.settings.clone()),
        partners: partners.map(|monitor| Arc::clone(&monitor.partner)).collect(),
        keys: keys.map(|key| Arc::clone(key.monitor.monitored_key())).collect(),
        ..Inventory::default()
    }
}

/// How many connections the probes of all keys open each second. Log-ins and the health probe are few in comparison.
fn new_connections_per_second(config: &Config) -> f64 {
    let probes = config.partners.iter().flat_map(|partner| &partner.keys).flat_map(|key| key.probes.iter());
    let fresh = probes.filter(|probe| probe.connection() == Connection::Fresh);
    fresh.map(|probe| probe.timing.interval.as_secs_f64().recip()).sum()
}

/// The names of all keys, in the order of the configuration.
fn key_names(config: &Config) -> impl Iterator<Item = Name> + '_ {
    config
        .partners
        .iter()
        .flat_map(|partner| partner.keys.iter().map(|key| (Arc::clone(&partner.name), Arc::clone(&key.name))))
}

/// The values of the label `probe` of the fleet-wide histograms.
fn histogram_labels(config: &Config) -> Vec<&str> {
    let keys = config.partners.iter().flat_map(|partner| &partner.keys);
    let labels = keys.flat_map(|key| key.probes.iter()).map(Probe::histogram_label);
    std::iter::once(HEALTH).chain(labels).collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}
