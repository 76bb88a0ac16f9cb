//! The last run of a probe, for the diagnosis.

use crate::diagnosis::FailedProbe;
use crate::key_state::{KeyState, PersistedKeyState, PersistedSecretState, SecretState};
use crate::partner_api::failure::Reason;
use crate::state::{LastProbe, ProbeStatus};

/// The last run of a probe, if it failed. The failure episode is not enough: it keeps its first failure, and
/// the last one may be of another kind.
pub(super) fn failed(probe: &ProbeStatus, certificate_expired: bool) -> Option<FailedProbe<'_>> {
    let last = probe.last.as_ref()?;
    Some(FailedProbe {
        probe: &probe.name,
        failure: last.failure.as_ref()?,
        reached: last.phases.last_reached(),
        status: last.status,
        from_api: last.request_id.is_some(),
        certificate_expired,
    })
}

/// Whether the probe was last refused before the API accepted the key or, if the secret was refused, the secret.
/// Such a refusal contradicts nothing: the probe has not run since.
pub(super) fn is_outdated(
    probe: &ProbeStatus,
    key: &PersistedKeyState,
    secret: &PersistedSecretState,
) -> bool {
    let Some(LastProbe { finished, failure: Some(failure), .. }) = &probe.last else { return false };
    let key_accepted = key.state == KeyState::Active && *finished < key.since;
    let secret_accepted = secret.state == SecretState::Active && *finished < secret.since;
    failure.refuses_key_or_secret() && (key_accepted || (secret_accepted && failure.reason == Reason::Secret))
}
