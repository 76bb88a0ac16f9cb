//! Runs every configured probe once, for the command `probe`: without schedule, probe loop or server.
//!
//! It uses the same monitors as the exporter, so the verdicts are the same. It reads the persisted state in the
//! storage directory and does not write it, because an exporter may be running at the same time. Only its log-ins
//! are recorded, in a journal of their own: the bounds of an account's log-ins hold for both together.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use checked_yaml::nearest;
use futures_util::{StreamExt as _, stream};

use crate::config::Config;
use crate::metrics::Metrics;
use crate::monitor::{Context, HealthMonitor, KeyMonitor, MonitorSettings, PartnerMonitor};
use crate::probe::BuildError;
use crate::state::{HealthState, Inventory, LastProbe, MonitoredKey, SharedState};
use crate::store::Store;

/// The number of keys that are probed at the same time: a person waits for the result, but the API also serves
/// other customers.
const MAX_CONCURRENT_KEYS: usize = 32;

#[derive(Debug)]
pub(crate) struct ProbeOnce {
    context: Arc<Context>,
    health: HealthMonitor,
    keys: Vec<Arc<KeyMonitor>>,
}

/// A name that no configured key has, and a hint.
#[derive(Debug, thiserror::Error)]
#[error("--key: no key is named `{0}`; {1}")]
pub(crate) struct UnknownKey(String, String);

/// Removes all keys from the configuration except the named ones. A name is that of a key, or `PARTNER/KEY`.
/// Without names it keeps all keys.
///
/// # Errors
/// The first name that no key has.
pub(crate) fn choose(mut config: Config, names: &[String]) -> Result<Config, UnknownKey> {
    if names.is_empty() {
        return Ok(config);
    }
    let mut chosen = HashSet::new();
    for name in names {
        let matches = keys_named(&config, name);
        if matches.is_empty() {
            let known = config.partners.iter().flat_map(|partner| &partner.keys).map(|key| &*key.name);
            let hint = nearest(name, known).map(|nearest| format!("did you mean `{nearest}`?"));
            let hint =
                hint.unwrap_or_else(|| "write the name of a configured key, or PARTNER/KEY".to_owned());
            return Err(UnknownKey(name.clone(), hint));
        }
        chosen.extend(matches);
    }
    for partner in &mut config.partners {
        let owner = Arc::clone(&partner.name);
        partner.keys.retain(|key| chosen.contains(&(Arc::clone(&owner), Arc::clone(&key.name))));
    }
    config.partners.retain(|partner| !partner.keys.is_empty());
    Ok(config)
}

/// The key that `PARTNER/KEY` names. If there is none, all keys with exactly this name, which may contain a
/// slash.
fn keys_named(config: &Config, name: &str) -> Vec<(Arc<str>, Arc<str>)> {
    let keys = config.partners.iter().flat_map(|partner| {
        partner.keys.iter().map(|key| (Arc::clone(&partner.name), Arc::clone(&key.name)))
    });
    let (one, mut others): (Vec<_>, Vec<_>) =
        keys.partition(|(partner, key)| format!("{partner}/{key}") == name);
    others.retain(|(_, key)| **key == *name);
    if one.is_empty() { others } else { one }
}

impl ProbeOnce {
    /// Prepares the probes that `config` defines. Must be called within the tokio runtime.
    ///
    /// # Errors
    /// If the HTTP client for the API cannot be built.
    pub(crate) fn new(config: &Config, store: Store, metrics: Arc<Metrics>) -> Result<Self, BuildError> {
        let context = Arc::new(Context::new(Arc::new(SharedState::default()), metrics, store));
        let prober = context.prober(&config.settings.api)?;
        let health = HealthMonitor::new(Arc::clone(&context), prober.clone(), config.settings.health.timing);
        let settings = MonitorSettings { prober, keep_free: config.settings.keep_free, is_divided: false };
        let mut keys = Vec::new();
        let mut partners = Vec::new();
        for partner in &config.partners {
            let monitor = Arc::new(PartnerMonitor::new(&context.store, partner, settings.prober.identity()));
            partners.push(Arc::clone(&monitor.partner));
            let key = |key| {
                KeyMonitor::new(Arc::clone(&context), settings.clone(), Arc::clone(&monitor), key, None)
            };
            keys.extend(partner.keys.iter().map(key));
        }
        context.shared_state.set_inventory(Inventory {
            settings: Arc::new(config.settings.clone()),
            partners,
            keys: keys.iter().map(|key| Arc::clone(key.monitored_key())).collect(),
            ..Inventory::default()
        });
        Ok(Self { context, health, keys })
    }

    pub(crate) fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Probes the health route, then every key. Calls `done` after each key.
    pub(crate) async fn run(&self, done: impl Fn()) {
        self.health.run(None).await;
        let probing = stream::iter(&self.keys).map(|key| async {
            for index in 0..key.probes().len() {
                key.run(index, None).await;
            }
        });
        let mut finished = probing.buffer_unordered(MAX_CONCURRENT_KEYS);
        while finished.next().await.is_some() {
            done();
        }
    }

    pub(crate) fn shared_state(&self) -> &SharedState {
        &self.context.shared_state
    }

    /// Whether every probe ran and succeeded.
    pub(crate) fn succeeded(&self) -> bool {
        let keys_succeeded = || self.keys.iter().all(|key| key_succeeded(key.monitored_key()));
        self.context.shared_state.health().state == HealthState::Up && keys_succeeded()
    }
}

/// Whether every probe of the key ran and succeeded.
pub(crate) fn key_succeeded(key: &MonitoredKey) -> bool {
    key.status().probes.iter().all(|probe| probe.last.as_ref().is_some_and(LastProbe::success))
}
