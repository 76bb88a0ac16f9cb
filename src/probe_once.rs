//! Every configured probe once, for whoever wants to know now: no schedule, no loop, no server.
//!
//! It asks as the exporter does, by the same watchers, so it comes to the same verdicts. It knows what an
//! exporter remembers in the storage folder and writes nothing there: one may be running beside it.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use crate::state::{HealthState, Inventory, LastProbe, SharedState};
use checked_yaml::nearest;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::monitor::{Context, HealthMonitor, KeyMonitor, MonitorSettings, PartnerMonitor};
use crate::probe::{BuildError, Prober};
use crate::store::Store;

/// How many keys are probed at once: a person waits, but the API has other customers.
const AT_ONCE: usize = 32;

/// What is to be probed.
#[derive(Debug)]
pub struct ProbeOnce {
    context: Arc<Context>,
    health: HealthMonitor,
    keys: Vec<KeyMonitor>,
}

/// A name that no configured key has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--key: no key is named `{name}`; {}", hint(nearest.as_deref()))]
pub struct UnknownKey {
    /// As given.
    pub name: String,
    /// A key's name that is close to it.
    pub nearest: Option<String>,
}

fn hint(nearest: Option<&str>) -> String {
    let write = "write the name of a configured key, or PARTNER/KEY";
    nearest.map_or_else(|| write.to_owned(), |nearest| format!("did you mean `{nearest}`?"))
}

/// The configuration with no other keys than these, each named by its own name or as `PARTNER/KEY`;
/// all of them where none is named.
///
/// # Errors
/// The first name that fits no key.
pub fn choose(mut config: Config, names: &[String]) -> Result<Config, UnknownKey> {
    if names.is_empty() {
        return Ok(config);
    }
    let mut wanted = HashSet::new();
    for name in names {
        let found = named(&config, name);
        if found.is_empty() {
            let known = config.partners.iter().flat_map(|partner| &partner.keys).map(|key| &*key.name);
            let nearest = nearest(name, known).map(str::to_owned);
            return Err(UnknownKey { name: name.clone(), nearest });
        }
        wanted.extend(found);
    }
    for partner in &mut config.partners {
        let owner = Arc::clone(&partner.name);
        partner.keys.retain(|key| wanted.contains(&(Arc::clone(&owner), Arc::clone(&key.name))));
    }
    config.partners.retain(|partner| !partner.keys.is_empty());
    Ok(config)
}

/// The one key that `PARTNER/KEY` names; where there is none, every key that has the whole name.
fn named(config: &Config, name: &str) -> Vec<(Arc<str>, Arc<str>)> {
    let keys = || {
        config
            .partners
            .iter()
            .flat_map(|partner| partner.keys.iter().map(move |key| (&partner.name, &key.name)))
    };
    let is_whole = |partner: &str, key: &str| {
        name.strip_prefix(partner).and_then(|rest| rest.strip_prefix('/')) == Some(key)
    };
    let owned = |(partner, key): (&Arc<str>, &Arc<str>)| (Arc::clone(partner), Arc::clone(key));
    let one: Vec<_> = keys().filter(|(partner, key)| is_whole(partner, key)).map(owned).collect();
    if one.is_empty() { keys().filter(|(_, key)| ***key == *name).map(owned).collect() } else { one }
}

impl ProbeOnce {
    /// Prepares to probe what `config` says. Must be called within the runtime.
    ///
    /// # Errors
    /// Where no connection to the API could be prepared.
    pub fn new(config: &Config, store: Store, metrics: Arc<Metrics>) -> Result<Self, BuildError> {
        let context = Arc::new(Context::new(Arc::new(SharedState::default()), metrics, store));
        let prober = Prober::new(&config.settings.api)?;
        let health = HealthMonitor::new(Arc::clone(&context), prober.clone(), config.settings.health.timing);
        let rules = MonitorSettings { prober, keep_free: config.settings.rate_limit.keep_free };
        let mut keys = Vec::new();
        let mut partners = Vec::new();
        for partner in &config.partners {
            let watch = Arc::new(PartnerMonitor::new(&context.store, partner));
            partners.push(Arc::clone(&watch.entry));
            let key =
                |key| KeyMonitor::new(Arc::clone(&context), rules.clone(), Arc::clone(&watch), key, None);
            keys.extend(partner.keys.iter().map(key));
        }
        context.shared_state.set_inventory(Inventory {
            settings: Arc::new(config.settings.clone()),
            partners,
            keys: keys.iter().map(|key| Arc::clone(key.entry())).collect(),
        });
        Ok(Self { context, health, keys })
    }

    /// How many keys there are to probe.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key to probe, but the API alone.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Probes the health route, then every key; `done` is called as each key is done.
    pub async fn run(&self, done: impl Fn()) {
        self.health.run(None).await;
        let probing = stream::iter(&self.keys).map(|key| async {
            for index in 0..key.probes().len() {
                key.run(index, None).await;
            }
        });
        let mut ended = probing.buffer_unordered(AT_ONCE);
        while ended.next().await.is_some() {
            done();
        }
    }

    /// What was found.
    pub fn shared_state(&self) -> &SharedState {
        &self.context.shared_state
    }

    /// Whether every probe ran and succeeded.
    pub fn succeeded(&self) -> bool {
        let key = |key: &KeyMonitor| {
            let probes = &key.entry().status().probes;
            probes.iter().all(|probe| probe.last.as_ref().is_some_and(LastProbe::success))
        };
        self.context.shared_state.health().state == HealthState::Up && self.keys.iter().all(key)
    }
}
