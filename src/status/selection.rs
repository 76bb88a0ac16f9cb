//! Which keys to tell of, and in which order: the gravest first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use super::PartnerView;
use super::key::failed;
use crate::diagnosis::concerns_key;
use crate::key_state::KeyState;
use crate::state::{Inventory, KeyStatus, MonitoredKey, MonitoredPartner};

/// Which keys are wanted; each part that is `None` lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// In this state.
    pub state: Option<KeyState>,
    /// Of the partner of this name; where there is none, of those whose name holds it. Capitals don't count.
    pub partner: Option<String>,
    /// Whose name holds this. Capitals don't count.
    pub name: Option<String>,
}

/// What a filter chose.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The keys, the gravest trouble first, then the newest; those that work as configured.
    pub keys: Vec<Arc<MonitoredKey>>,
    /// The partners that the filter lets through, with the counts of all their keys; the gravest first.
    pub partners: Vec<PartnerView>,
    /// How many keys are in which state, whatever state the filter wants.
    pub states: BTreeMap<KeyState, usize>,
    /// How many of these have a probe that fails.
    pub failing: usize,
}

/// Chooses among the fleet.
pub fn select(inventory: &Inventory, filter: &Filter) -> Selection {
    let partner = PartnerFilter::new(inventory, filter.partner.as_deref());
    let name = filter.name.as_deref().map(str::to_lowercase);
    let mut partners: Vec<_> = inventory
        .partners
        .iter()
        .filter(|entry| partner.admits(entry))
        .map(|entry| PartnerView::new(entry))
        .collect();
    let places: HashMap<_, _> =
        partners.iter().enumerate().map(|(place, view)| (Arc::clone(&view.partner), place)).collect();
    let (mut counts, mut failing) = (BTreeMap::new(), 0);
    let mut keys = Vec::new();
    for entry in &inventory.keys {
        let Some(view) = places.get(&entry.partner.name).and_then(|place| partners.get_mut(*place)) else {
            continue;
        };
        let status = entry.status();
        let state = status.persisted.state;
        view.count(state, is_failing(&status));
        if name.as_ref().is_some_and(|name| !entry.name.to_lowercase().contains(name)) {
            continue;
        }
        *counts.entry(state).or_default() += 1;
        failing += usize::from(is_failing(&status));
        if filter.state.is_none_or(|wanted| wanted == state) {
            keys.push((order(&status), entry));
        }
    }
    keys.sort_by_key(|(order, _)| *order);
    partners.sort_by_key(PartnerView::order);
    let keys = keys.into_iter().map(|(_, entry)| Arc::clone(entry)).collect();
    Selection { keys, partners, states: counts, failing }
}

/// A name typed whole is that partner's alone; a part of a name is of all that hold it.
struct PartnerFilter {
    wanted: Option<String>,
    exactly: bool,
}

impl PartnerFilter {
    fn new(inventory: &Inventory, wanted: Option<&str>) -> Self {
        let wanted = wanted.map(str::to_lowercase);
        let exactly = inventory.partners.iter().any(|entry| Some(entry.name.to_lowercase()) == wanted);
        Self { wanted, exactly }
    }

    fn admits(&self, entry: &MonitoredPartner) -> bool {
        let Some(wanted) = &self.wanted else { return true };
        let name = entry.name.to_lowercase();
        if self.exactly { name == *wanted } else { name.contains(wanted) }
    }
}

fn is_failing(status: &KeyStatus) -> bool {
    status.probes.iter().any(|probe| probe.episode.is_some())
}

/// Whether a probe fails because of the key or its partner.
fn has_own_failure(status: &KeyStatus) -> bool {
    // Whether the certificate has expired does not matter here: it is never a problem of the key.
    status.probes.iter().filter_map(|probe| failed(probe, false)).any(|failed| concerns_key(&failed))
}

/// Of a key that works and that nothing is the matter with.
const WELL: u8 = 10;

/// The gravest is 0: keys that are lost, then those with a trouble of their own, then those that wait, then
/// those that fail as all others do while the API or the way to it is down.
fn gravity(status: &KeyStatus) -> u8 {
    match status.persisted.state {
        KeyState::Revoked => 0,
        KeyState::Disconnected => 1,
        KeyState::FolderNotFound => 2,
        KeyState::Invalid => 3,
        KeyState::Forbidden => 4,
        KeyState::NotFound => 5,
        KeyState::Unknown | KeyState::Active if has_own_failure(status) => 6,
        KeyState::Pending => 7,
        KeyState::Unknown | KeyState::Active if is_failing(status) => 8,
        KeyState::Unknown => 9,
        KeyState::Active => WELL,
    }
}

fn order(status: &KeyStatus) -> (u8, Reverse<SystemTime>) {
    let gravity = gravity(status);
    // What works keeps the configuration's order.
    let since = if gravity < WELL { status.persisted.since } else { SystemTime::UNIX_EPOCH };
    (gravity, Reverse(since))
}
