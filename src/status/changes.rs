//! What changed lately: the last state changes of the API, the secrets and the keys together.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde_with::As;

use super::StatusSource;
use super::seconds::Seconds;
use crate::partner_api::error::ErrorCode;
use crate::partner_api::request_id::RequestId;
use crate::state::history::TransitionRecord;

/// The number of changes in the list.
const MAX_CHANGES: usize = 30;

/// A change of one state to another. A first verdict, and a state that is unknown for a while, are none.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ChangeView {
    #[serde(rename = "timestamp_seconds", with = "As::<Seconds>")]
    pub at: SystemTime,
    /// `None`: the change is about the API.
    pub partner: Option<Arc<str>>,
    /// `None`: the change is about the API, or the partner's secret.
    pub key: Option<Arc<str>>,
    /// A state of the API, of a secret or of a key.
    pub from: &'static str,
    pub to: &'static str,
    pub code: Option<String>,
    /// The request ID of the response that caused the change.
    pub request_id: Option<String>,
}

/// The last changes, the newest first. The filter of the page does not apply.
pub(super) fn recent_changes(source: &StatusSource<'_>) -> Vec<ChangeView> {
    let mut changes = Vec::new();
    changes.extend(source.shared_state.health().transitions.iter().filter_map(|t| change(t, None, None)));
    for partner in &source.inventory.partners {
        let transitions = partner.transitions();
        changes.extend(
            transitions.iter().filter_map(|transition| change(transition, Some(&partner.name), None)),
        );
    }
    // A fleet that fails at once has 10,000 changes: only the newest become views.
    let mut times = Vec::new();
    for key in &source.inventory.keys {
        times
            .extend(key.status().transitions.iter().filter(|transition| is_change(transition)).map(|t| t.at));
    }
    let oldest = (times.len() > MAX_CHANGES).then(|| {
        let (_, oldest, _) = times.select_nth_unstable_by_key(MAX_CHANGES - 1, |at| Reverse(*at));
        *oldest
    });
    for key in &source.inventory.keys {
        let status = key.status();
        let recent = status.transitions.iter().filter(|transition| Some(transition.at) >= oldest);
        let recent =
            recent.filter_map(|transition| change(transition, Some(&key.partner.name), Some(&key.name)));
        changes.extend(recent);
    }
    changes.sort_by_key(|change| Reverse(change.at));
    changes.truncate(MAX_CHANGES);
    changes
}

fn change<S: Copy + PartialEq + Into<&'static str>>(
    transition: &TransitionRecord<S>,
    partner: Option<&Arc<str>>,
    key: Option<&Arc<str>>,
) -> Option<ChangeView> {
    let (from, to) = (transition.from.into(), transition.to.into());
    is_change(transition).then(|| ChangeView {
        at: transition.at,
        partner: partner.cloned(),
        key: key.cloned(),
        from,
        to,
        code: transition.code.as_ref().map(ErrorCode::to_string),
        request_id: transition.request_id.as_ref().map(RequestId::to_string),
    })
}

fn is_change<S: Copy + PartialEq + Into<&'static str>>(transition: &TransitionRecord<S>) -> bool {
    let unknown = "unknown";
    transition.from.into() != unknown && transition.to.into() != unknown && transition.from != transition.to
}
