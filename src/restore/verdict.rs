//! Weighs what several exporters say about the same key or secret; pure.
//!
//! Replicas, and the shards that a key moved between, can remember it differently. The exporter whose knowledge is the most
//! recent is right: the one that saw the last change, or that the API answered last.

use std::collections::BTreeMap;

use crate::key_state::{KeyState, SecretState};

/// The labels of a target.
pub(super) type Exporter = BTreeMap<String, String>;

/// A state that the API accepts or refuses.
pub(super) trait State: Copy + PartialEq + std::str::FromStr {
    /// Whether an accepted request shows that this state is the present one. Otherwise, a refused one does.
    fn is_accepted(self) -> bool;
    const ACTIVE: Self;
}

impl State for KeyState {
    fn is_accepted(self) -> bool {
        !self.is_refused()
    }

    const ACTIVE: Self = Self::Active;
}

impl State for SecretState {
    fn is_accepted(self) -> bool {
        match self {
            Self::Unknown | Self::Active => true,
            Self::Pending | Self::Rejected => false,
        }
    }

    const ACTIVE: Self = Self::Active;
}

/// What one exporter says. Times are in seconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Testimony<S> {
    /// The state that it showed last, and when.
    pub state: S,
    pub shown_at: f64,
    pub since: Option<f64>,
    pub broken_at: Option<f64>,
    pub broken_since: Option<f64>,
    pub accepted_at: Option<f64>,
    pub refused_at: Option<f64>,
}

/// What all exporters say about one key or secret.
#[derive(Debug)]
pub(super) struct Testimonies<S> {
    of: BTreeMap<Exporter, Testimony<S>>,
    /// All states that were ever shown.
    shown: Vec<S>,
}

impl<S> Default for Testimonies<S> {
    fn default() -> Self {
        Self { of: BTreeMap::new(), shown: Vec::new() }
    }
}

impl<S: State> Testimony<S> {
    /// When the exporter last had a reason for its state. An exporter that restarted, and restored the state of another one,
    /// shows the state now, but has no reason of its own.
    fn evidence(&self) -> f64 {
        let answered = if self.state.is_accepted() { self.accepted_at } else { self.refused_at };
        self.since.into_iter().chain(answered).fold(f64::NEG_INFINITY, f64::max)
    }

    /// Compares by evidence. Equal evidence says nothing: then the last sight counts, and then the state whose error the next
    /// probe corrects without a false alert.
    fn weight(&self) -> (f64, f64, bool) {
        (self.evidence(), self.shown_at, self.state == S::ACTIVE)
    }
}

impl<S: State> Testimonies<S> {
    /// Adds that this exporter showed this state, and when for the last time.
    pub(super) fn add(&mut self, exporter: Exporter, state: S, shown_at: f64) {
        self.shown.push(state);
        let new = Testimony {
            state,
            shown_at,
            since: None,
            broken_at: None,
            broken_since: None,
            accepted_at: None,
            refused_at: None,
        };
        let known = self.of.entry(exporter).or_insert(new);
        if shown_at > known.shown_at {
            *known = new;
        }
    }

    pub(super) fn of(&mut self, exporter: &Exporter) -> Option<&mut Testimony<S>> {
        self.of.get_mut(exporter)
    }

    pub(super) fn was_shown(&self, state: S) -> bool {
        self.shown.contains(&state)
    }

    /// Whether two exporters showed different states last.
    pub(super) fn disagree(&self) -> bool {
        let mut states = self.of.values().map(|testimony| testimony.state);
        states.next().is_some_and(|first| states.any(|other| other != first))
    }

    /// The testimony that counts.
    pub(super) fn verdict(&self) -> Option<Testimony<S>> {
        let later = |a: &&Testimony<S>, b: &&Testimony<S>| {
            let order = a.weight().partial_cmp(&b.weight());
            order.unwrap_or(std::cmp::Ordering::Equal)
        };
        self.of.values().max_by(later).copied()
    }
}
