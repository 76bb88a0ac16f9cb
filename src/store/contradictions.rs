//! The settled contradictions between the probes of a key, or of all keys of a partner, as the state file holds
//! them. A route that is known to refuse must not confirm the refusal of another route after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use crate::config::Probe;
use crate::confirmation::Contradiction;

/// A probe, as the state file names it: its number can change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProbeName {
    /// `None` if the contradiction is about one key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<NamedKey>,
    #[serde(flatten)]
    pub route: NamedRoute,
}

/// A key of a partner. Its name and its token can change, so both are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamedKey {
    pub name: Arc<str>,
    /// Of its token or account; `None` if the token could not be read yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

/// What a probe requests. A name can be given to another route, and a route can get another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamedRoute {
    pub probe: Arc<str>,
    pub route: Box<str>,
}

/// What two probes said is written as the name of the evidence.
pub(crate) type NamedContradiction = Contradiction<ProbeName, Box<str>>;

/// The settled contradictions about tokens or secrets. Each owner has its own: two keys with one token can have
/// canaries about different societies, and two partners with one secret have different keys.
#[derive(Clone, Debug)]
pub(super) struct Settled<N> {
    /// About the credential that each owner uses. Only owners that have some are in the map.
    owned: BTreeMap<N, (Fingerprint, Vec<NamedContradiction>)>,
    /// About credentials that their owners no longer use, or whose owners left the configuration.
    unowned: BTreeMap<Fingerprint, Vec<NamedContradiction>>,
}

/// The contradictions about one token or secret, in the file.
#[derive(Serialize, Deserialize)]
pub(super) struct ContradictionsRecord {
    /// `None` if no owner uses the credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) partner: Option<Arc<str>>,
    /// `None` if it is about a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Arc<str>>,
    pub(super) fingerprint: Fingerprint,
    pub(super) settled: Vec<NamedContradiction>,
}

impl<N> Default for Settled<N> {
    fn default() -> Self {
        Self { owned: BTreeMap::new(), unowned: BTreeMap::new() }
    }
}

impl<N: Ord + Clone> Settled<N> {
    pub(super) fn get(&self, owner: &N, fingerprint: &Fingerprint) -> &[NamedContradiction] {
        let of_owner = self.owned.get(owner).filter(|(known, _)| known == fingerprint);
        of_owner.map(|(_, settled)| settled.as_slice()).unwrap_or_default()
    }

    /// Returns whether anything changed.
    pub(super) fn set(
        &mut self,
        owner: N,
        fingerprint: &Fingerprint,
        settled: Vec<NamedContradiction>,
    ) -> bool {
        let is_changed = self.get(&owner, fingerprint) != settled;
        if settled.is_empty() {
            self.owned.remove(&owner);
        } else if is_changed {
            self.owned.insert(owner, (fingerprint.clone(), settled));
        }
        is_changed
    }

    /// `owner` uses this credential from now on, and did not before. It takes up what is known about the credential:
    /// the owner may have another name now, or may have exchanged its credential with another one.
    pub(super) fn adopt(&mut self, owner: N, fingerprint: &Fingerprint) {
        let of_other = || self.owned.values().find(|(known, _)| known == fingerprint);
        let settled =
            self.unowned.get(fingerprint).or_else(|| of_other().map(|(_, settled)| settled)).cloned();
        self.unowned.remove(fingerprint);
        self.disown(&owner);
        if let Some(settled) = settled {
            self.owned.insert(owner, (fingerprint.clone(), settled));
        }
    }

    /// `owner` no longer uses its credential. What is known about the credential is kept for the owner that takes it up.
    fn disown(&mut self, owner: &N) {
        let Some((fingerprint, settled)) = self.owned.remove(owner) else { return };
        self.unowned.insert(fingerprint, settled);
    }

    /// Disowns the owners that are no longer configured, and removes what is about forgotten credentials.
    pub(super) fn update_configured(
        &mut self,
        configured: &BTreeSet<&N>,
        is_known: impl Fn(&Fingerprint) -> bool,
    ) {
        let left: Vec<_> = self.owned.keys().filter(|owner| !configured.contains(owner)).cloned().collect();
        for owner in &left {
            self.disown(owner);
        }
        self.unowned.retain(|fingerprint, _| is_known(fingerprint));
    }

    /// Merges the content of a file that could be read only now: it is older than what this process knows.
    pub(super) fn merge_older(&mut self, older: Self) {
        for (owner, known) in older.owned {
            self.owned.entry(owner).or_insert(known);
        }
        for (fingerprint, settled) in older.unowned {
            self.unowned.entry(fingerprint).or_insert(settled);
        }
    }

    pub(super) fn add(&mut self, owner: Option<N>, record: ContradictionsRecord) {
        match owner {
            Some(owner) => drop(self.owned.insert(owner, (record.fingerprint, record.settled))),
            None => drop(self.unowned.insert(record.fingerprint, record.settled)),
        }
    }

    /// The records for the file. `names` gives the partner and the key of an owner.
    pub(super) fn records<'a>(
        &'a self,
        names: impl Fn(&N) -> (Arc<str>, Option<Arc<str>>) + 'a,
    ) -> impl Iterator<Item = ContradictionsRecord> + 'a {
        let owned = self.owned.iter().map(move |(owner, (fingerprint, settled))| {
            let (partner, key) = names(owner);
            (Some(partner), key, fingerprint, settled)
        });
        let unowned = self.unowned.iter().map(|(fingerprint, settled)| (None, None, fingerprint, settled));
        owned.chain(unowned).map(|(partner, key, fingerprint, settled)| {
            let (fingerprint, settled) = (fingerprint.clone(), settled.clone());
            ContradictionsRecord { partner, key, fingerprint, settled }
        })
    }
}

impl NamedRoute {
    /// The index of the probe with this route; of several, of the one with this name.
    pub(crate) fn position(&self, probes: &[Self]) -> Option<usize> {
        let same = probes.iter().enumerate().filter(|(_, probe)| probe.route == self.route);
        same.min_by_key(|(_, probe)| probe.probe != self.probe).map(|(index, _)| index)
    }
}

impl From<&Probe> for NamedRoute {
    fn from(probe: &Probe) -> Self {
        Self { probe: Arc::clone(&probe.name), route: probe.target.route().into() }
    }
}

impl NamedContradiction {
    /// The contradiction between the probes that `probe` finds by their names. `None` if it finds none, or if the
    /// evidence has another name in this version.
    pub(crate) fn resolve<P, S: std::str::FromStr>(
        &self,
        probe: impl Fn(&ProbeName) -> Option<P>,
    ) -> Option<Contradiction<P, S>> {
        let (refused, by) = (probe(&self.probe)?, probe(&self.by)?);
        let (refusal, said) = (self.refusal.parse().ok()?, self.said.parse().ok()?);
        Some(Contradiction { probe: refused, refusal, by, said })
    }

    /// The opposite of [`Self::resolve`]. `None` if `name` does not know a probe.
    pub(crate) fn new<P: Copy, S: Copy + Into<&'static str>>(
        settled: &Contradiction<P, S>,
        name: impl Fn(P) -> Option<ProbeName>,
    ) -> Option<Self> {
        let (probe, by) = (name(settled.probe)?, name(settled.by)?);
        let [refusal, said] = [settled.refusal, settled.said].map(|said| said.into().into());
        Some(Self { probe, refusal, by, said })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_found_again_by_its_name_only_among_probes_of_the_same_route() {
        let named = |probe: &str, route: &str| NamedRoute { probe: probe.into(), route: route.into() };
        let probes =
            [named("key_info", "/info"), named("a", "/same"), named("b", "/same"), named("c", "/other")];
        let position = |probe, route| named(probe, route).position(&probes);
        assert_eq!([position("a", "/same"), position("b", "/same")], [Some(1), Some(2)]);
        assert_eq!(position("renamed", "/other"), Some(3), "its name changed");
        assert_eq!(position("a", "/gone"), None, "the name is another route's now");
    }
}
