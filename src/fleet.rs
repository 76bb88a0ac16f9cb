//! All watchers: turns a configuration into watchers with their tasks, and a new configuration into
//! the smallest change.
//!
//! A key whose definition stays keeps its task, untouched. One that changed starts a new task on the
//! same grid, with the history it had. One that left is gone at once, from the board too.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::config::{Config, HEALTH, Key, Partner, Probe, Timing};
use crate::monitor::{Context, HealthMonitor, KeyMonitor, MonitorSettings, PartnerMonitor};
use crate::panics::survive;
use crate::probe::{BuildError, Prober};
use crate::probe_loop::{run_health_probe, run_key_probes};
use crate::secret::SecretSource;
use crate::state;

/// Partner and key, as configured.
type Name = (Arc<str>, Arc<str>);
type Partners = HashMap<Arc<str>, RunningPartner>;
type Keys = HashMap<Name, RunningKey>;

/// Every watcher with its task. Dropping it ends every probe.
#[derive(Debug)]
pub struct Fleet {
    context: Arc<Context>,
    /// Where every grid starts, for the whole life of the process.
    anchor: Instant,
    key_index: Arc<KeyIndex>,
    partners: Partners,
    keys: Keys,
    health: Option<RunningHealthProbe>,
}

/// The keys' watchers by name, for whoever wants a probe now.
#[derive(Debug, Default)]
pub struct KeyIndex(RwLock<HashMap<Name, Arc<KeyMonitor>>>);

#[derive(Debug)]
struct RunningPartner {
    source: SecretSource,
    watch: Arc<PartnerMonitor>,
}

#[derive(Debug)]
struct RunningKey {
    definition: Key,
    partner: Arc<PartnerMonitor>,
    watch: Arc<KeyMonitor>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct RunningHealthProbe {
    rules: MonitorSettings,
    timing: Timing,
    _task: AbortOnDropHandle<()>,
}

impl Fleet {
    /// Nobody watched yet.
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            anchor: Instant::now(),
            key_index: Arc::default(),
            partners: HashMap::new(),
            keys: HashMap::new(),
            health: None,
        }
    }

    /// What all watchers work with.
    #[must_use]
    pub const fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// The keys' watchers by name.
    #[must_use]
    pub fn key_index(&self) -> Arc<KeyIndex> {
        Arc::clone(&self.key_index)
    }

    /// Watches what `config` says, and nothing else. Must be called within the runtime.
    ///
    /// # Errors
    /// Where no connection to the API could be prepared. Then nothing has changed.
    pub fn apply(&mut self, config: &Config) -> Result<(), BuildError> {
        let prober = match &self.health {
            Some(health) if health.rules.prober.serves(&config.settings.api) => health.rules.prober.clone(),
            _ => Prober::new(&config.settings.api)?,
        };
        let rules = MonitorSettings { prober, keep_free: config.settings.rate_limit.keep_free };
        // From here on nothing can fail: the change is whole or not at all.
        self.context.metrics.set_probes(&routes(config));
        let (partners, keys) = self.members(config, &rules);
        let shared_state = &self.context.shared_state;
        if shared_state.inventory().settings.api.base_url != config.settings.api.base_url {
            shared_state.health().reset();
        }
        shared_state.set_inventory(state::Inventory {
            settings: Arc::new(config.settings.clone()),
            partners: config.partners.iter().filter_map(|p| Some(entry(partners.get(&p.name)?))).collect(),
            keys: names(config).filter_map(|name| Some(Arc::clone(keys.get(&name)?.watch.entry()))).collect(),
        });
        self.key_index.publish(&keys);
        // What was not taken over.
        tell_who_left(self.keys.len(), keys.len());
        (self.partners, self.keys) = (partners, keys);
        self.watch_health(rules, config.settings.health.timing);
        self.context.store.retain(names(config));
        self.context.watchdog.arm(config);
        Ok(())
    }

    /// The members that `config` wants: the present ones where nothing about them changed, else new
    /// ones. Those that are not taken over end when the maps they are in are dropped.
    fn members(&mut self, config: &Config, rules: &MonitorSettings) -> (Partners, Keys) {
        let same_rules = self.health.as_ref().is_some_and(|health| health.rules.are(rules));
        let (mut partners, mut keys) = (Partners::new(), Keys::new());
        for partner in &config.partners {
            let member = self.partner(partner);
            for key in &partner.keys {
                let name = (Arc::clone(&partner.name), Arc::clone(&key.name));
                let stays = |old: &RunningKey| {
                    same_rules && old.definition == *key && Arc::ptr_eq(&old.partner, &member.watch)
                };
                let member = match self.keys.remove(&name) {
                    Some(old) if stays(&old) => old,
                    old => self.key(rules, &member.watch, key, old.as_ref()),
                };
                keys.insert(name, member);
            }
            partners.insert(Arc::clone(&partner.name), member);
        }
        (partners, keys)
    }

    fn partner(&mut self, partner: &Partner) -> RunningPartner {
        match self.partners.remove(&partner.name) {
            Some(old) if old.source == partner.secret => old,
            _ => RunningPartner {
                source: partner.secret.clone(),
                watch: Arc::new(PartnerMonitor::new(&self.context.store, partner)),
            },
        }
    }

    fn key(
        &self,
        rules: &MonitorSettings,
        partner: &Arc<PartnerMonitor>,
        key: &Key,
        old: Option<&RunningKey>,
    ) -> RunningKey {
        let old = old.map(|old| &**old.watch.entry());
        let watch = KeyMonitor::new(Arc::clone(&self.context), rules.clone(), Arc::clone(partner), key, old);
        let watch = Arc::new(watch);
        let (probed, anchor) = (Arc::clone(&watch), self.anchor);
        let task = tokio::spawn(survive(move || run_key_probes(Arc::clone(&probed), anchor)));
        RunningKey {
            definition: key.clone(),
            partner: Arc::clone(partner),
            watch,
            _task: AbortOnDropHandle::new(task),
        }
    }

    fn watch_health(&mut self, rules: MonitorSettings, timing: Timing) {
        if self.health.as_ref().is_some_and(|health| health.timing == timing && health.rules.are(&rules)) {
            return;
        }
        let watch = Arc::new(HealthMonitor::new(Arc::clone(&self.context), rules.prober.clone(), timing));
        let task = tokio::spawn(survive(move || run_health_probe(Arc::clone(&watch))));
        self.health = Some(RunningHealthProbe { rules, timing, _task: AbortOnDropHandle::new(task) });
    }
}

impl KeyIndex {
    /// The watcher of the key of these names.
    #[must_use]
    pub fn find(&self, partner: &str, key: &str) -> Option<Arc<KeyMonitor>> {
        let by_name = self.0.read().unwrap_or_else(PoisonError::into_inner);
        by_name.get(&(partner.into(), key.into())).cloned()
    }

    fn publish(&self, keys: &Keys) {
        let by_name = keys.iter().map(|(name, member)| (name.clone(), Arc::clone(&member.watch))).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = by_name;
    }
}

fn tell_who_left(left: usize, keys: usize) {
    match (left, keys) {
        (0, _) => {}
        (_, 0) => warn!(left, "no key is configured any longer: none is watched"),
        _ => info!(left, keys, "keys left the configuration: they are watched no longer"),
    }
}

fn entry(member: &RunningPartner) -> Arc<state::MonitoredPartner> {
    Arc::clone(&member.watch.entry)
}

/// Every key's name, in the configuration's order.
fn names(config: &Config) -> impl Iterator<Item = Name> + '_ {
    config
        .partners
        .iter()
        .flat_map(|partner| partner.keys.iter().map(|key| (Arc::clone(&partner.name), Arc::clone(&key.name))))
}

/// Every route that some key is asked for, and the health route.
fn routes(config: &Config) -> Vec<&str> {
    let keys = config.partners.iter().flat_map(|partner| &partner.keys);
    let routes = keys.flat_map(|key| &key.probes).map(Probe::route);
    std::iter::once(HEALTH).chain(routes).collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}
