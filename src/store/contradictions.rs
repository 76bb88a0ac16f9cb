//! The settled contradictions between the probes of a key, or of all keys of a partner, as the state file holds
//! them. A route that is known to refuse must not confirm the refusal of another route after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use crate::confirmation::Contradiction;

/// A probe by its name, because its number can change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProbeName {
    /// `None` if the contradiction is about one key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
    pub probe: Arc<str>,
}

/// What two probes said is written as the name of the evidence.
pub(crate) type NamedContradiction = Contradiction<ProbeName, Box<str>>;

/// The contradictions about a token or a secret. Only those that have some are in the map.
pub(super) type Contradictions = BTreeMap<Fingerprint, Vec<NamedContradiction>>;

/// The contradictions about one token or secret, in the file.
#[derive(Serialize, Deserialize)]
pub(super) struct ContradictionsRecord {
    pub(super) fingerprint: Fingerprint,
    pub(super) settled: Vec<NamedContradiction>,
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
