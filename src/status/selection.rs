//! Selects the keys to show, and orders them: the most severe problems first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use super::PartnerView;
use super::key::failed;
use crate::diagnosis::concerns_key;
use crate::key_state::KeyState;
use crate::state::{Inventory, KeyStatus, MonitoredKey, MonitoredPartner};

/// Which keys to select. A field that is `None` accepts all keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub state: Option<KeyState>,
    /// The whole name of a partner; if no partner has this name, a part of the name. Case does not matter.
    pub partner: Option<String>,
    /// A part of the key's name, or of the value of one of its labels. Case does not matter.
    pub name: Option<String>,
}

/// What a filter selected.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// The most severe problems first, and of equal ones the most recent state change first. Keys that work are
    /// in the order of the configuration.
    pub keys: Vec<Arc<MonitoredKey>>,
    /// The partners that the filter accepts, with the counts of all their keys; the most severe problems first.
    pub partners: Vec<PartnerView>,
    /// The number of keys in each state. The filter on the state does not apply.
    pub states: BTreeMap<KeyState, usize>,
    /// The number of these keys that have a failing probe.
    pub failing: usize,
}

/// Selects the keys and partners that the filter accepts, and counts the states.
pub(crate) fn select(inventory: &Inventory, filter: &Filter) -> Selection {
    let name = filter.name.as_deref().map(str::to_lowercase);
    let mut partners = partners_named(inventory, filter.partner.as_deref());
    let places: HashMap<_, _> =
        partners.iter().enumerate().map(|(place, view)| (Arc::clone(&view.partner), place)).collect();
    let (mut state_counts, mut failing) = (BTreeMap::new(), 0);
    let mut keys = Vec::new();
    for key in &inventory.keys {
        let Some(partner) = places.get(&key.partner.name).and_then(|place| partners.get_mut(*place)) else {
            continue;
        };
        let status = key.status();
        let state = status.persisted.state;
        partner.count(state, is_failing(&status));
        if name.as_ref().is_some_and(|name| !is_named(key, name)) {
            continue;
        }
        *state_counts.entry(state).or_default() += 1;
        failing += usize::from(is_failing(&status));
        if filter.state.is_none_or(|wanted| wanted == state) {
            keys.push((order(&status), key));
        }
    }
    keys.sort_by_key(|(order, _)| *order);
    partners.sort_by_key(PartnerView::order);
    let keys = keys.into_iter().map(|(_, key)| Arc::clone(key)).collect();
    Selection { keys, partners, states: state_counts, failing }
}

/// The partner whose name is the text of the filter; if there is none, every partner whose name contains it.
fn partners_named(inventory: &Inventory, text: Option<&str>) -> Vec<PartnerView> {
    let text = text.map(str::to_lowercase);
    let is_whole_name = inventory.partners.iter().any(|partner| Some(partner.name.to_lowercase()) == text);
    let accepts = |partner: &&Arc<MonitoredPartner>| {
        let name = partner.name.to_lowercase();
        text.as_ref().is_none_or(|text| if is_whole_name { name == *text } else { name.contains(text) })
    };
    inventory.partners.iter().filter(accepts).map(|partner| PartnerView::new(partner)).collect()
}

/// Whether the name of the key or the value of one of its labels contains a text in lower case.
fn is_named(key: &MonitoredKey, text: &str) -> bool {
    let contains = |value: &str| value.to_lowercase().contains(text);
    contains(&key.name) || key.operator_labels().values().any(|value| contains(value))
}

fn is_failing(status: &KeyStatus) -> bool {
    status.probes.iter().any(|probe| probe.episode.is_some())
}

/// Whether a probe fails because of the key or its partner.
fn has_own_failure(status: &KeyStatus) -> bool {
    // Whether the certificate has expired does not matter here: it is never a problem of the key.
    status.probes.iter().filter_map(|probe| failed(probe, false)).any(|failed| concerns_key(&failed))
}

/// The severity of a key without a problem.
const NO_PROBLEM: u8 = 10;

/// The most severe is 0: first the keys that are lost, then those with a problem of their own, then those that
/// are not activated, then those that fail only because the API is down or cannot be reached.
fn severity(status: &KeyStatus) -> u8 {
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
        KeyState::Active => NO_PROBLEM,
    }
}

fn order(status: &KeyStatus) -> (u8, Reverse<SystemTime>) {
    let severity = severity(status);
    // Keys without a problem stay in the order of the configuration.
    let since = if severity < NO_PROBLEM { status.persisted.since } else { SystemTime::UNIX_EPOCH };
    (severity, Reverse(since))
}
