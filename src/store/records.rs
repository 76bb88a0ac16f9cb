//! The persisted states of tokens or secrets, and who uses them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_with::serde_as;

use super::fingerprint::{CredentialId, Fingerprint};
use crate::key_state::{KeyHistory, KeyState, PersistedKeyState, PersistedSecretState, SecretState};
use crate::rfc3339::Rfc3339;

/// How long the state of a token or secret is kept after its removal from the configuration, because
/// someone may comment a key out and put it back a week later. Refused log-ins are kept as long after
/// the last refusal.
const RETENTION: Duration = Duration::from_hours(30 * 24);

/// The state of a token or secret, as the store handles it.
pub(super) trait Persisted: Copy + PartialEq {
    /// What concerns the key or partner across all its credentials.
    type History;

    fn history(&self) -> Self::History;

    /// The state of this credential for a key or partner with this history.
    fn with_history(self, history: &Self::History) -> Self;

    /// Adds what an older state of the same token or secret proves.
    fn merge_older(&mut self, older: &Self);

    /// Adds what an older history of the same key or partner proves.
    fn merge_older_history(&mut self, older: &Self::History);
}

/// The states by fingerprint, and the fingerprint that each owner uses. An owner `N` is a key or a partner, by
/// name. A state outlives its owner, so that a renamed key keeps its state.
#[derive(Clone, Debug)]
pub(super) struct Records<N, S> {
    states: BTreeMap<Fingerprint, Stored<S>>,
    owners: BTreeMap<N, Used<S>>,
    /// When the owners of the present configuration became known.
    configured_at: Option<SystemTime>,
}

/// What an owner uses, and the state of it for this owner: two keys with one token can have different states, for
/// example because their canaries are about different societies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Used<S> {
    /// The identity of the API; `None` in records of version 1, which did not distinguish APIs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api: Option<Arc<str>>,
    fingerprint: Fingerprint,
    #[serde(flatten)]
    persisted: S,
    /// What it used at other APIs: the operator may come back from a staging environment.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    other_apis: Vec<UsedBefore<S>>,
}

/// What an owner used last at an API that is not the present one.
#[serde_as]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct UsedBefore<S> {
    api: Arc<str>,
    fingerprint: Fingerprint,
    #[serde(flatten)]
    persisted: S,
    /// Since when the owner uses another API; `None` until the configuration is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde_as(as = "Option<Rfc3339>")]
    unused_since: Option<SystemTime>,
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
        Self { states: BTreeMap::new(), owners: BTreeMap::new(), configured_at: None }
    }
}

impl<N: Ord, S: Persisted> Records<N, S> {
    /// The state of this credential for `owner`.
    pub(super) fn get(&self, owner: &N, id: &CredentialId) -> Option<S> {
        let used = self.used(owner, &id.api);
        if let Some((_, persisted)) = used.filter(|(fingerprint, _)| id.is(fingerprint)) {
            return Some(persisted);
        }
        let stored = self.states.get(&id.fingerprint).or_else(|| self.states.get(&id.version_1))?;
        Some(used.map_or(stored.persisted, |(_, used)| stored.persisted.with_history(&used.history())))
    }

    /// Whether `owner` uses this credential.
    pub(super) fn uses(&self, owner: &N, id: &CredentialId) -> bool {
        self.used(owner, &id.api).is_some_and(|(fingerprint, _)| id.is(fingerprint))
    }

    /// What `owner` used last at this API, and the state of it.
    fn used(&self, owner: &N, api: &str) -> Option<(&Fingerprint, S)> {
        let used = self.owners.get(owner)?;
        if used.api.as_ref().is_none_or(|it| **it == *api) {
            return Some((&used.fingerprint, used.persisted));
        }
        let before = used.other_apis.iter().find(|before| *before.api == *api)?;
        Some((&before.fingerprint, before.persisted))
    }

    /// What `owner` used at all APIs except this one.
    fn used_elsewhere(&self, owner: &N, api: &str) -> Vec<UsedBefore<S>> {
        let Some(used) = self.owners.get(owner) else { return Vec::new() };
        let present = used.api.iter().map(|it| UsedBefore {
            api: Arc::clone(it),
            fingerprint: used.fingerprint.clone(),
            persisted: used.persisted,
            unused_since: None,
        });
        used.other_apis.iter().cloned().chain(present).filter(|before| *before.api != *api).collect()
    }

    /// The state of the credential that `owner` used last at this API.
    pub(super) fn last(&self, owner: &N, api: &str) -> Option<S> {
        self.used(owner, api).map(|(_, persisted)| persisted)
    }

    /// Whether there is a state of this credential.
    pub(super) fn knows(&self, fingerprint: &Fingerprint) -> bool {
        self.states.contains_key(fingerprint)
    }

    /// Records that `owner` uses this credential now, and returns its state: the known one or `new`. The history
    /// of the owner continues, unless it is about another API.
    ///
    /// The second value is whether the file has to be written.
    pub(super) fn adopt(&mut self, owner: N, id: &CredentialId, new: S) -> (S, bool) {
        let of_new = || {
            let used = self.used(&owner, &id.api);
            used.map_or(new, |(_, used)| new.with_history(&used.history()))
        };
        let persisted = self.get(&owner, id).unwrap_or_else(of_new);
        let is_changed = self.set(owner, id, persisted);
        (persisted, is_changed)
    }

    /// Sets the state of the credential that `owner` uses. Returns whether this changes anything.
    pub(super) fn set(&mut self, owner: N, id: &CredentialId, persisted: S) -> bool {
        let other_apis = self.used_elsewhere(&owner, &id.api);
        let (api, fingerprint) = (Some(Arc::clone(&id.api)), id.fingerprint.clone());
        let used = Used { api, fingerprint, persisted, other_apis };
        let stored = Stored { persisted, unused_since: None };
        let is_same = self.owners.get(&owner) == Some(&used)
            && self.states.get(&id.fingerprint).is_some_and(|known| *known == stored);
        if !is_same {
            self.owners.insert(owner, used);
            self.states.insert(id.fingerprint.clone(), stored);
        }
        !is_same
    }

    /// Merges the content of a file that could be read only now: it is older than what this process knows.
    pub(super) fn merge_older(&mut self, older: Self) {
        for (fingerprint, old) in older.states {
            match self.states.entry(fingerprint) {
                Entry::Vacant(entry) => drop(entry.insert(old)),
                Entry::Occupied(mut entry) => entry.get_mut().persisted.merge_older(&old.persisted),
            }
        }
        for (owner, old) in older.owners {
            match self.owners.entry(owner) {
                Entry::Vacant(entry) => drop(entry.insert(old)),
                Entry::Occupied(mut entry) => entry.get_mut().merge_older(old),
            }
        }
    }

    /// Removes the owners that are no longer configured, and the states that nobody has used for a long time. The
    /// state of a removed owner becomes that of its credential: if the owner has another name now, it takes up its own
    /// state, and not that of another owner of the same credential. Returns whether anything changed.
    pub(super) fn update_configured(&mut self, configured: &BTreeSet<&N>, now: SystemTime) -> bool {
        let before = (self.owners.len(), self.states.len());
        self.configured_at = Some(now);
        for (_, Used { fingerprint, persisted, .. }) in
            self.owners.extract_if(.., |owner, _| !configured.contains(owner))
        {
            self.states.insert(fingerprint, Stored { persisted, unused_since: None });
        }
        let mut is_marked = false;
        for used in self.owners.values_mut() {
            is_marked |= used.remove_old(now);
        }
        let used: BTreeSet<_> = self.owners.values().map(|used| &used.fingerprint).collect();
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

    pub(super) fn owners(&self) -> impl Iterator<Item = (&N, &Used<S>)> {
        self.owners.iter()
    }

    pub(super) fn from_parts(
        owners: impl IntoIterator<Item = (N, Used<S>)>,
        states: impl IntoIterator<Item = (Fingerprint, Stored<S>)>,
    ) -> Self {
        Self {
            states: states.into_iter().collect(),
            owners: owners.into_iter().collect(),
            configured_at: None,
        }
    }
}

impl<N: Ord> Records<N, PersistedKeyState> {
    /// See [`PersistedKeyState::after_absence`]. Returns whether anything changed.
    pub(super) fn note_absence(&mut self, owner: &N, id: &CredentialId, now: SystemTime) -> bool {
        let is_new_here = !self.owners.contains_key(owner);
        let configured_at = self.configured_at;
        // A token that is unused only since this configuration was in use here until now: its key was renamed.
        let was_absent = |stored: &&mut Stored<PersistedKeyState>| {
            is_new_here && stored.unused_since.is_some() && stored.unused_since != configured_at
        };
        let stored = self.states.get_mut(&id.fingerprint).filter(was_absent);
        let Some(stored) = stored else { return false };
        stored.persisted = stored.persisted.after_absence(now);
        true
    }
}

impl<S> Used<S> {
    pub(super) const fn of_version_1(fingerprint: Fingerprint, persisted: S) -> Self {
        Self { api: None, fingerprint, persisted, other_apis: Vec::new() }
    }

    /// Removes what was used at another API a long time ago. Returns whether anything changed.
    fn remove_old(&mut self, now: SystemTime) -> bool {
        let before = self.other_apis.len();
        let mut is_marked = false;
        self.other_apis.retain_mut(|before| {
            is_marked |= before.unused_since.is_none();
            is_recent(*before.unused_since.get_or_insert(now), now)
        });
        is_marked || before != self.other_apis.len()
    }
}

impl<S: Persisted> Used<S> {
    /// Adds what an older file says about the same owner.
    fn merge_older(&mut self, old: Self) {
        match old.api {
            Some(api) if self.api.as_ref() != Some(&api) => {
                let Self { fingerprint, persisted, .. } = old;
                self.add_elsewhere(UsedBefore { api, fingerprint, persisted, unused_since: None });
            }
            Some(_) | None => self.merge_same_api(&old.fingerprint, &old.persisted),
        }
        for before in old.other_apis {
            if self.api.as_ref() == Some(&before.api) {
                self.merge_same_api(&before.fingerprint, &before.persisted);
            } else {
                self.add_elsewhere(before);
            }
        }
    }

    fn merge_same_api(&mut self, fingerprint: &Fingerprint, older: &S) {
        if self.fingerprint == *fingerprint {
            self.persisted.merge_older(older);
        } else {
            self.persisted.merge_older_history(&older.history());
        }
    }

    fn add_elsewhere(&mut self, before: UsedBefore<S>) {
        if self.other_apis.iter().all(|known| known.api != before.api) {
            self.other_apis.push(before);
        }
    }
}

impl Persisted for PersistedKeyState {
    type History = KeyHistory;

    fn history(&self) -> KeyHistory {
        self.history
    }

    fn with_history(self, history: &KeyHistory) -> Self {
        Self::with_history(self, history)
    }

    /// The newer state wins, unless it is unknown. What the older one proves stays true.
    fn merge_older(&mut self, older: &Self) {
        if self.state == KeyState::Unknown {
            (self.state, self.since) = (older.state, older.since);
        }
        self.has_been_active |= older.has_been_active;
        self.merge_older_history(&older.history);
    }

    fn merge_older_history(&mut self, older: &KeyHistory) {
        self.history.has_worked |= older.has_worked;
        if self.state != KeyState::Active {
            self.history.broken_since = older.broken_since.or(self.history.broken_since);
        }
    }
}

impl Persisted for PersistedSecretState {
    /// Since when the partner's secret is rejected, if it is.
    type History = Option<SystemTime>;

    fn history(&self) -> Self::History {
        (self.state == SecretState::Rejected).then_some(self.since)
    }

    fn with_history(self, rejected_since: &Self::History) -> Self {
        rejected_since.map_or(self, |since| self.replacing_rejected(since))
    }

    fn merge_older(&mut self, older: &Self) {
        if self.state == SecretState::Unknown {
            (self.state, self.since) = (older.state, older.since);
        }
        self.has_been_active |= older.has_been_active;
    }

    fn merge_older_history(&mut self, rejected_since: &Self::History) {
        if self.state == SecretState::Unknown {
            *self = self.with_history(rejected_since);
        }
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
