//! Who needs someone: how severe the problem of a key is, and whether anybody can do something about the key itself.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_with::SerializeDisplay;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::Circumstances;
use super::failed::{failed, is_outdated};
use crate::diagnosis::concerns_key;
use crate::key_state::{KeyState, SecretState};
use crate::partner_api::failure::Reason;
use crate::state::{KeyStatus, MonitoredPartner, ProbeStatus, Skip};

/// A key that waits for its activation for longer needs someone.
const MAX_PENDING: Duration = Duration::from_hours(1);

/// A key that fails for longer, while the API works, needs someone.
const MAX_UNEXPLAINED: Duration = Duration::from_mins(10);

/// What a key needs, in one word.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, SerializeDisplay,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub(crate) enum Standing {
    /// Someone must do something about this key.
    NeedsSomeone,
    /// It fails because of something else: the API, the network, the partner's secret, this exporter.
    Affected,
    /// There is no verdict yet, or it waits for its activation.
    Waiting,
    /// It works.
    Working,
}

/// How many keys of the whole fleet have each standing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct FleetView {
    pub keys: usize,
    pub needs_someone: usize,
    pub affected: usize,
    pub waiting: usize,
    pub working: usize,
    /// The keys among those that work whose state is only remembered: the API has not answered about them yet.
    pub not_answered_yet: usize,
    /// The partners whose secret needs someone.
    pub partners_need_someone: usize,
    /// Whether the secret of one of them comes before all keys.
    #[serde(skip)]
    pub has_lost_secret: bool,
}

/// How severe a problem is; the most severe is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Severity(u8);

/// First the keys that are lost, then those with another problem of their own, then those whose problem lies elsewhere.
pub(super) fn severity(status: &KeyStatus, partner: &MonitoredPartner, at: Circumstances) -> Severity {
    Severity(match status.persisted.state {
        KeyState::Revoked => 0,
        KeyState::Disconnected => 1,
        KeyState::FolderNotFound => 2,
        KeyState::Invalid => 3,
        KeyState::Forbidden => 4,
        KeyState::NotFound => 5,
        KeyState::Unknown | KeyState::Active if has_own_failure(status, partner) => 6,
        KeyState::Pending if is_overdue(status, at.now) => 7,
        KeyState::Unknown | KeyState::Active
            if is_limited(status, partner) || fails_alone(status, partner, at) =>
        {
            8
        }
        KeyState::Unknown | KeyState::Active if is_failing(status, partner) => 9,
        KeyState::Pending => 10,
        KeyState::Unknown => 11,
        KeyState::Active => 12,
    })
}

impl Severity {
    pub(super) const fn standing(self) -> Standing {
        match self.0 {
            0..=8 => Standing::NeedsSomeone,
            9 => Standing::Affected,
            10 | 11 => Standing::Waiting,
            _ => Standing::Working,
        }
    }
}

impl FleetView {
    pub(super) fn count(&mut self, standing: Standing, status: &KeyStatus) {
        self.keys += 1;
        let is_counted = standing == Standing::Working && is_only_remembered(status);
        self.not_answered_yet += usize::from(is_counted);
        let counter = match standing {
            Standing::NeedsSomeone => &mut self.needs_someone,
            Standing::Affected => &mut self.affected,
            Standing::Waiting => &mut self.waiting,
            Standing::Working => &mut self.working,
        };
        *counter += 1;
    }
}

/// Whether the state is from the storage or from Prometheus, and no probe of this process confirmed or changed it yet.
fn is_only_remembered(status: &KeyStatus) -> bool {
    let runs = |probe: &ProbeStatus| probe.last.is_some();
    status.is_remembered || (!status.probes.is_empty() && !status.probes.iter().any(runs))
}

pub(super) fn is_failing(status: &KeyStatus, partner: &MonitoredPartner) -> bool {
    present(status, partner).any(|probe| probe.episode.is_some())
}

/// The probes without those that have not run since the API accepted what it refused to them.
fn present<'a>(status: &'a KeyStatus, partner: &MonitoredPartner) -> impl Iterator<Item = &'a ProbeStatus> {
    let secret = partner.secret();
    status.probes.iter().filter(move |probe| !is_outdated(probe, &status.persisted, &secret))
}

/// Whether a probe fails because of the key. A secret that is refused, or that cannot be read, is one problem of the
/// partner, not one of each key.
fn has_own_failure(status: &KeyStatus, partner: &MonitoredPartner) -> bool {
    if status.credential_problem.is_some() {
        return true;
    }
    let secret_is_refused = matches!(partner.secret().state, SecretState::Rejected | SecretState::Pending);
    let is_own = |probe: &ProbeStatus| {
        // Whether the certificate has expired does not matter here: it is never a problem of the key.
        let Some(failed) = failed(probe, false) else { return false };
        concerns_key(&failed) && !(secret_is_refused && failed.failure.reason == Reason::Secret)
    };
    present(status, partner).any(is_own)
}

/// Whether it has failed for long although the API works and the partner's secret is not the cause.
fn fails_alone(status: &KeyStatus, partner: &MonitoredPartner, at: Circumstances) -> bool {
    let is_explained = !at.api_works
        || partner.credential_problem().is_some()
        || matches!(partner.secret().state, SecretState::Rejected | SecretState::Pending);
    let is_lasting =
        |since: SystemTime| at.now.duration_since(since).is_ok_and(|lasted| lasted > MAX_UNEXPLAINED);
    let mut episodes = present(status, partner).filter_map(|probe| probe.episode.as_ref());
    !is_explained && episodes.any(|episode| is_lasting(episode.since))
}

fn is_overdue(status: &KeyStatus, now: SystemTime) -> bool {
    let worked = status.persisted.history.broken_since.is_some();
    worked || now.duration_since(status.persisted.since).is_ok_and(|waited| waited > MAX_PENDING)
}

fn is_limited(status: &KeyStatus, partner: &MonitoredPartner) -> bool {
    !is_failing(status, partner) && status.probes.iter().any(|probe| probe.last_skip == Some(Skip::RateLimit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_state::{KeyHistory, PersistedKeyState, PersistedSecretState};
    use crate::language::Language;
    use crate::partner_api::failure::Failure;
    use crate::state::{CredentialProblem, ProbeStatus};
    use crate::test_support::{at, report};

    const NOW: u64 = 100_000;

    /// A key whose state began, and whose probe failed, so many seconds ago.
    fn status(state: KeyState, seconds: u64, failure: Option<Reason>) -> KeyStatus {
        let persisted = PersistedKeyState { state, ..PersistedKeyState::new(at(NOW - seconds)) };
        let mut status =
            KeyStatus::new(persisted, [ProbeStatus::new("exercices".into(), Duration::from_mins(1))]);
        let outcome = failure.map_or(Ok(()), |reason| Err(Failure::new(reason, "")));
        status.record(0, &report(at(NOW - seconds), outcome));
        status
    }

    fn standing(status: &KeyStatus, secret: SecretState, api_works: bool) -> Standing {
        let secret = PersistedSecretState { state: secret, ..PersistedSecretState::new(at(1)) };
        let partner = MonitoredPartner::new("acme".into(), secret);
        let circumstances = Circumstances {
            now: at(NOW),
            api_works,
            certificate_expired: false,
            language: Language::English,
        };
        severity(status, &partner, circumstances).standing()
    }

    #[test]
    fn a_key_needs_someone_only_if_somebody_can_do_something_about_it() {
        let (active, good) = (KeyState::Active, SecretState::Active);
        for (state, seconds, failure, secret, api_works, expected) in [
            (active, 60, None, good, true, Standing::Working),
            (KeyState::Revoked, 60, Some(Reason::Token), good, true, Standing::NeedsSomeone),
            (KeyState::Revoked, 60, Some(Reason::Timeout), good, false, Standing::NeedsSomeone),
            (active, 60, Some(Reason::Forbidden), good, true, Standing::NeedsSomeone),
            (active, 60, Some(Reason::Timeout), good, false, Standing::Affected),
            (active, 3_600, Some(Reason::Timeout), good, false, Standing::Affected),
            (active, 60, Some(Reason::Timeout), good, true, Standing::Affected),
            (active, 3_600, Some(Reason::Timeout), good, true, Standing::NeedsSomeone),
            (active, 3_600, Some(Reason::Secret), SecretState::Rejected, true, Standing::Affected),
            (active, 60, Some(Reason::Secret), good, true, Standing::NeedsSomeone),
            (KeyState::Pending, 60, None, good, true, Standing::Waiting),
            (KeyState::Pending, 3_700, None, good, true, Standing::NeedsSomeone),
            (KeyState::Unknown, 60, None, good, true, Standing::Waiting),
        ] {
            let found = standing(&status(state, seconds, failure), secret, api_works);
            assert_eq!(
                found, expected,
                "{state} for {seconds} s, {failure:?}, secret {secret}, API {api_works}"
            );
        }
    }

    #[test]
    fn an_unreadable_token_a_spent_budget_and_a_replacement_that_waits_need_someone() {
        let mut unreadable = status(KeyState::Active, 60, None);
        unreadable.credential_problem =
            Some(CredentialProblem { text: "the token can't be read".into(), last_value_serves: true });
        let mut spent = status(KeyState::Active, 60, None);
        spent.probes[0].skip(Skip::RateLimit, 1);
        let mut replaced = status(KeyState::Pending, 60, None);
        replaced.persisted.history = KeyHistory { has_worked: true, broken_since: Some(at(NOW - 500)) };
        for status in [unreadable, spent, replaced] {
            assert_eq!(standing(&status, SecretState::Active, true), Standing::NeedsSomeone);
        }
    }
}
