//! Reads the interval and the timeout of a probe.

use checked_yaml::{Cursor, Fields, Reported};
use std::time::Duration;

use super::Timing;

const MIN_INTERVAL: Duration = Duration::from_millis(100);
const MAX_INTERVAL: Duration = Duration::from_hours(24);

impl Timing {
    /// The default of the health probe.
    pub(super) const HEALTH: Self =
        Self { interval: Duration::from_secs(15), timeout: Duration::from_secs(5) };
    /// The default of every probe that needs a key.
    pub(super) const KEY: Self = Self { interval: Duration::from_mins(1), timeout: Duration::from_secs(10) };
}

/// Reads `interval` and `timeout` from these fields; a missing one is inherited.
pub(super) fn timing(fields: &Fields<'_>, inherited: Timing) -> Result<Timing, Reported> {
    let interval = fields.optional("interval", interval);
    let timeout = fields.optional("timeout", timeout);
    let timing = Timing {
        interval: interval?.unwrap_or(inherited.interval),
        timeout: timeout?.unwrap_or(inherited.timeout),
    };
    if timing.timeout <= timing.interval {
        return Ok(timing);
    }
    let (interval, timeout) =
        (humantime::format_duration(timing.interval), humantime::format_duration(timing.timeout));
    Err(match (fields.get("timeout"), fields.get("interval")) {
        (None, Some(at)) => at.error(format!(
            "{interval} is shorter than the timeout of {timeout}; also set `timeout`, to at most {interval}"
        )),
        (at, _) => at.as_ref().unwrap_or(fields.at).error(format!(
            "{timeout} is longer than the interval of {interval}; \
             shorten the timeout, or lengthen the interval"
        )),
    })
}

fn interval(at: &Cursor<'_>) -> Result<Duration, Reported> {
    let interval = at.duration()?;
    if (MIN_INTERVAL..=MAX_INTERVAL).contains(&interval) {
        return Ok(interval);
    }
    let error = if interval.is_zero() { "is zero" } else { "is out of range" };
    Err(at.error(format!("{error}; write an interval from 100ms to 24h")))
}

fn timeout(at: &Cursor<'_>) -> Result<Duration, Reported> {
    let timeout = at.duration()?;
    if timeout.is_zero() {
        return Err(at.error("is zero, so no probe could succeed; write a timeout such as `10s`"));
    }
    Ok(timeout)
}
