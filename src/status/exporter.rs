//! The view of the exporter itself: what is wrong with its configuration, its files and its disk.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde_with::As;

use super::StatusSource;
use super::seconds::Seconds;
use crate::config::Division;
use crate::format;
use crate::shard::Shard;
use crate::state::{CredentialProblem, Inventory, ReloadFailure, RestoreFailure, StorageFailure};

/// The number of credentials in the list; the others are only counted.
const MAX_CREDENTIALS: usize = 100;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ExporterView {
    pub version: &'static str,
    /// Which part of the fleet it monitors; `None` if it monitors all keys of its configuration.
    pub shard: Option<ShardView>,
    /// Why the last reload of the configuration failed; `None` after one that succeeded.
    pub reload_failure: Option<ReloadFailureView>,
    /// Why the persisted state cannot be written; `None` if the last write succeeded.
    pub storage_failure: Option<StorageFailureView>,
    /// Why what the storage lost is not restored from Prometheus; `None` if the last query succeeded.
    pub restore_failure: Option<RestoreFailureView>,
    /// The secrets, tokens and passwords that cannot be read now; at most 100.
    pub unreadable_credentials: Vec<CredentialView>,
    /// The number of all of them.
    pub unreadable_credentials_total: usize,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ShardView {
    /// From 0.
    pub ordinal: u32,
    pub total: u32,
    /// The number of keys of this shard.
    pub keys: usize,
    /// The number of keys of all shards.
    pub fleet_keys: usize,
}

impl ShardView {
    fn new(inventory: &Inventory) -> Option<Self> {
        let Division { shard, fleet_keys, .. } = *inventory.settings.division;
        let Shard { ordinal, total } = shard;
        (total > 1).then_some(Self { ordinal, total, keys: inventory.keys.len(), fleet_keys })
    }
}

impl fmt::Display for ShardView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ordinal, total, .. } = self;
        let (keys, fleet_keys) = (format::grouped(self.keys), format::grouped(self.fleet_keys));
        write!(f, "Shard {ordinal} of {total}, counted from 0: {keys} of {fleet_keys} keys")
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ReloadFailureView {
    #[serde(rename = "timestamp_seconds", with = "As::<Seconds>")]
    pub at: SystemTime,
    pub error: Arc<str>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct StorageFailureView {
    #[serde(rename = "since_timestamp_seconds", with = "As::<Seconds>")]
    pub since: SystemTime,
    pub error: Arc<str>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct RestoreFailureView {
    #[serde(rename = "since_timestamp_seconds", with = "As::<Seconds>")]
    pub since: SystemTime,
    pub error: Arc<str>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct CredentialView {
    pub partner: Arc<str>,
    /// `None`: it is the partner's secret.
    pub key: Option<Arc<str>>,
    pub error: Arc<str>,
    /// Whether the probes continue with the value that was read before.
    pub last_value_serves: bool,
}

impl From<ReloadFailure> for ReloadFailureView {
    fn from(ReloadFailure { at, text }: ReloadFailure) -> Self {
        Self { at, error: text }
    }
}

impl From<StorageFailure> for StorageFailureView {
    fn from(StorageFailure { since, text }: StorageFailure) -> Self {
        Self { since, error: text }
    }
}

impl From<RestoreFailure> for RestoreFailureView {
    fn from(RestoreFailure { since, text }: RestoreFailure) -> Self {
        Self { since, error: text }
    }
}

impl ExporterView {
    pub(super) fn new(source: &StatusSource<'_>) -> Self {
        let mut unreadable = Vec::new();
        let mut total = 0;
        let mut add = |partner: &Arc<str>, key: Option<&Arc<str>>, problem: Option<&CredentialProblem>| {
            let Some(problem) = problem else { return };
            total += 1;
            if unreadable.len() < MAX_CREDENTIALS {
                let CredentialProblem { text, last_value_serves } = problem.clone();
                let (partner, key) = (Arc::clone(partner), key.cloned());
                unreadable.push(CredentialView { partner, key, error: text, last_value_serves });
            }
        };
        for partner in &source.inventory.partners {
            add(&partner.name, None, partner.credential_problem().as_ref());
        }
        for key in &source.inventory.keys {
            add(&key.partner.name, Some(&key.name), key.status().credential_problem.as_ref());
        }
        Self {
            version: crate::version::VERSION,
            shard: ShardView::new(&source.inventory),
            reload_failure: source.shared_state.reload_failure().map(ReloadFailureView::from),
            storage_failure: source.shared_state.storage_failure().map(StorageFailureView::from),
            restore_failure: source.shared_state.restore_failure().map(RestoreFailureView::from),
            unreadable_credentials: unreadable,
            unreadable_credentials_total: total,
        }
    }
}
