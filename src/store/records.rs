//! The persisted states of tokens or secrets, and who uses them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_with::serde_as;

use super::fingerprint::{CredentialId, Fingerprint};
use crate::key_state::{KeyState, PersistedKeyState, PersistedSecretState, SecretState};
use crate::rfc3339::Rfc3339;

/// How long the state of a token or secret is kept after its removal from the configuration, because
/// someone may comment a key out and put it back a week later. Refused log-ins are kept as long after
/// the last refusal.
const RETENTION: Duration = Duration::from_hours(30 * 24);

/// The state of a token or secret, as the store handles it.
pub(super) trait Persisted: Copy + PartialEq {
    /// Adds what an older state of the same token or secret proves.
    fn merge_older(&mut self, older: &Self);

    /// The state of a token or secret that replaces the one with the state `old`.
    fn inherit(self, old: &Self) -> Self;
}

/// The states by fingerprint, and the fingerprint that each owner uses. An owner `N` is a key or a partner, by
/// name. A state outlives its owner, so that a renamed key keeps its state.
#[derive(Clone, Debug)]
pub(super) struct Records<N, S> {
    states: BTreeMap<Fingerprint, Stored<S>>,
    owners: BTreeMap<N, Used>,
}

/// What an owner uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Used {
    /// The identity of the API; `None` in records of version 1, which did not distinguish APIs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api: Option<Arc<str>>,
    fingerprint: Fingerprint,
}

/// A state, as it is in the file.
#[serde_as]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored<S> {
    #[serde(flatten)]
    pub(super) persisted: S,
    /// Since when no configured owner uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde_as(as = "Option<Rfc3339>")]
    pub(super) unused_since: Option<SystemTime>,
}

impl<N, S> Default for Records<N, S> {
    fn default() -> Self {
        Self { states: BTreeMap::new(), owners: BTreeMap::new() }
    }
}

impl<N: Ord + Clone, S: Persisted> Records<N, S> {
    pub(super) fn get(&self, id: &CredentialId) -> Option<S> {
        let stored = self.states.get(&id.fingerprint).or_else(|| self.states.get(&id.version_1));
        stored.map(|stored| stored.persisted)
    }

    /// Records that `owner` uses this credential now, and returns its state: the known one or `new`. It
    /// inherits from the credential that the owner used before at the same API.
    ///
    /// The second value is whether the file has to be written.
    pub(super) fn adopt(&mut self, owner: N, id: &CredentialId, new: S) -> (S, bool) {
        let own = self.get(id).unwrap_or(new);
        let replaced = self.owners.get(&owner).filter(|used| used.is_replaced_by(id));
        let replaced = replaced.and_then(|used| self.states.get(&used.fingerprint));
        let persisted = replaced.map_or(own, |replaced| own.inherit(&replaced.persisted));
        let is_changed = self.set(owner, id, persisted);
        (persisted, is_changed)
    }

    /// Sets the state of the credential that `owner` uses. Returns whether this changes anything.
    pub(super) fn set(&mut self, owner: N, id: &CredentialId, persisted: S) -> bool {
        let used = Used { api: Some(Arc::clone(&id.api)), fingerprint: id.fingerprint.clone() };
        let stored = Stored { persisted, unused_since: None };
        let is_same = self.owners.get(&owner) == Some(&used)
            && self
                .states
                .get(&id.fingerprint)
                .is_some_and(|known| known.persisted == persisted && known.unused_since.is_none());
        if !is_same {
            self.owners.insert(owner, used);
            self.states.insert(id.fingerprint.clone(), stored);
        }
        !is_same
    }

    /// Merges the content of a file that could be read only now: it is older than what this process knows.
    pub(super) fn merge_older(&mut self, older: Self) {
        for (owner, used) in older.owners {
            match self.owners.entry(owner) {
                Entry::Vacant(entry) => drop(entry.insert(used)),
                // The owner uses another credential since: it inherits.
                Entry::Occupied(entry) if entry.get().fingerprint != used.fingerprint => {
                    let replaced = older.states.get(&used.fingerprint).map(|old| old.persisted);
                    let is_same_api = used.api.is_none() || used.api == entry.get().api;
                    if let Some((now, old)) =
                        self.states.get_mut(&entry.get().fingerprint).zip(replaced.filter(|_| is_same_api))
                    {
                        now.persisted = now.persisted.inherit(&old);
                    }
                }
                Entry::Occupied(_) => {}
            }
        }
        for (fingerprint, old) in older.states {
            match self.states.entry(fingerprint) {
                Entry::Vacant(entry) => drop(entry.insert(old)),
                Entry::Occupied(mut entry) => entry.get_mut().persisted.merge_older(&old.persisted),
            }
        }
    }

    /// Removes the owners that are no longer configured, and the states that nobody has used for a long time.
    /// Returns whether anything changed.
    pub(super) fn update_configured(&mut self, configured: &BTreeSet<&N>, now: SystemTime) -> bool {
        let before = (self.owners.len(), self.states.len());
        self.owners.retain(|owner, _| configured.contains(owner));
        let used: BTreeSet<_> = self.owners.values().map(|used| &used.fingerprint).collect();
        let mut is_marked = false;
        self.states.retain(|fingerprint, stored| {
            let is_used = used.contains(fingerprint);
            let unused_since = if is_used { None } else { stored.unused_since.or(Some(now)) };
            is_marked |= unused_since != stored.unused_since;
            stored.unused_since = unused_since;
            unused_since.is_none_or(|since| is_recent(since, now))
        });
        is_marked || before != (self.owners.len(), self.states.len())
    }

    pub(super) fn states(&self) -> impl Iterator<Item = (&Fingerprint, &Stored<S>)> {
        self.states.iter()
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = (&N, &Used)> {
        self.owners.iter()
    }

    pub(super) fn from_parts(
        owners: impl IntoIterator<Item = (N, Used)>,
        states: impl IntoIterator<Item = (Fingerprint, Stored<S>)>,
    ) -> Self {
        Self { states: states.into_iter().collect(), owners: owners.into_iter().collect() }
    }
}

impl Used {
    pub(super) const fn of_version_1(fingerprint: Fingerprint) -> Self {
        Self { api: None, fingerprint }
    }

    /// Whether `id` is another credential for the same API.
    fn is_replaced_by(&self, id: &CredentialId) -> bool {
        let is_same_api = self.api.as_ref().is_none_or(|api| *api == id.api);
        is_same_api && self.fingerprint != id.fingerprint && self.fingerprint != id.version_1
    }
}

impl Persisted for PersistedKeyState {
    /// The newer state wins, unless it is unknown. What the older one proves stays true.
    fn merge_older(&mut self, older: &Self) {
        if self.state == KeyState::Unknown {
            (self.state, self.since) = (older.state, older.since);
        }
        self.has_been_active |= older.has_been_active;
        self.has_worked |= older.has_worked;
        if self.state != KeyState::Active {
            self.broken_since = older.broken_since.or(self.broken_since);
        }
    }

    fn inherit(self, old: &Self) -> Self {
        Self::inherit(self, old)
    }
}

impl Persisted for PersistedSecretState {
    fn merge_older(&mut self, older: &Self) {
        if self.state == SecretState::Unknown {
            (self.state, self.since) = (older.state, older.since);
        }
        self.has_been_active |= older.has_been_active;
    }

    /// Each secret has a state of its own.
    fn inherit(self, _: &Self) -> Self {
        self
    }
}

/// A time in the future counts as recent too: the clock was set back.
pub(super) fn is_recent(time: SystemTime, now: SystemTime) -> bool {
    now.duration_since(time).unwrap_or_default() < RETENTION
}

/// Parses each record separately, so that a damaged record does not affect the others.
pub(super) fn parse_records<'a, T: Deserialize<'a>>(
    list: &str,
    records: &[&'a RawValue],
    damage: &mut Vec<String>,
) -> Vec<T> {
    let parse = |(index, record): (usize, &&'a RawValue)| {
        let parsed = serde_json::from_str(record.get());
        parsed.map_err(|cause| damage.push(format!("{list}[{index}]: {cause}"))).ok()
    };
    records.iter().enumerate().filter_map(parse).collect()
}
