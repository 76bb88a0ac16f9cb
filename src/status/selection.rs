//! Selects the keys to show, and orders them: the most severe problems first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use super::partner::{has_lost_secret, needs_someone};
use super::standing::{FleetView, Severity, Standing, is_failing, severity};
use super::{PartnerView, StatusSource};
use crate::key_state::KeyState;
use crate::language::Language;
use crate::state::{Inventory, MonitoredKey, MonitoredPartner};

/// Which keys to select. A field that is `None` accepts all keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub state: Option<KeyState>,
    pub standing: Option<Standing>,
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
    /// The number of these keys that need someone.
    pub needing: usize,
    /// What all keys need. The filter does not apply.
    pub fleet: FleetView,
}

/// Selects the keys and partners that the filter accepts, and counts the states.
pub(crate) fn select(source: &StatusSource<'_>, filter: &Filter) -> Selection {
    let (inventory, circumstances) = (&*source.inventory, source.circumstances());
    let name = filter.name.as_deref().map(str::to_lowercase);
    let mut partners = partners_named(inventory, filter.partner.as_deref(), source.language);
    let places: HashMap<_, _> =
        partners.iter().enumerate().map(|(place, view)| (Arc::clone(&view.partner), place)).collect();
    let (mut state_counts, mut failing, mut needing) = (BTreeMap::new(), 0, 0);
    let mut fleet = FleetView {
        partners_need_someone: inventory.partners.iter().filter(|partner| needs_someone(partner)).count(),
        has_lost_secret: inventory.partners.iter().any(|partner| has_lost_secret(partner)),
        ..FleetView::default()
    };
    let mut keys = Vec::new();
    for key in &inventory.keys {
        let status = key.status();
        let severity = severity(&status, &key.partner, circumstances);
        fleet.count(severity.standing(), &status);
        let Some(partner) = places.get(&key.partner.name).and_then(|place| partners.get_mut(*place)) else {
            continue;
        };
        let state = status.persisted.state;
        partner.count(state, is_failing(&status, &key.partner));
        if name.as_ref().is_some_and(|name| !is_named(key, name)) {
            continue;
        }
        *state_counts.entry(state).or_default() += 1;
        failing += usize::from(is_failing(&status, &key.partner));
        let standing = severity.standing();
        needing += usize::from(standing == Standing::NeedsSomeone);
        if filter.state.is_none_or(|wanted| wanted == state)
            && filter.standing.is_none_or(|wanted| wanted == standing)
        {
            keys.push((order(severity, status.persisted.since), key));
        }
    }
    keys.sort_by_key(|(order, _)| *order);
    partners.sort_by_key(PartnerView::order);
    let keys = keys.into_iter().map(|(_, key)| Arc::clone(key)).collect();
    Selection { keys, partners, states: state_counts, failing, needing, fleet }
}

/// The partner whose name is the text of the filter; if there is none, every partner whose name contains it.
fn partners_named(inventory: &Inventory, text: Option<&str>, language: Language) -> Vec<PartnerView> {
    let text = text.map(str::to_lowercase);
    let is_whole_name = inventory.partners.iter().any(|partner| Some(partner.name.to_lowercase()) == text);
    let accepts = |partner: &&Arc<MonitoredPartner>| {
        let name = partner.name.to_lowercase();
        text.as_ref().is_none_or(|text| if is_whole_name { name == *text } else { name.contains(text) })
    };
    inventory.partners.iter().filter(accepts).map(|partner| PartnerView::new(partner, language)).collect()
}

/// Whether the name of the key or the value of one of its labels contains a text in lower case.
fn is_named(key: &MonitoredKey, text: &str) -> bool {
    let contains = |value: &str| value.to_lowercase().contains(text);
    contains(&key.name) || key.operator_labels().values().any(|value| contains(value))
}

fn order(severity: Severity, since: SystemTime) -> (Severity, Reverse<SystemTime>) {
    // Keys without a problem stay in the order of the configuration.
    let has_problem = matches!(severity.standing(), Standing::NeedsSomeone | Standing::Affected);
    (severity, Reverse(if has_problem { since } else { SystemTime::UNIX_EPOCH }))
}
