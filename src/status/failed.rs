//! The last run of a probe, for the diagnosis.

use crate::diagnosis::FailedProbe;
use crate::state::ProbeStatus;

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
