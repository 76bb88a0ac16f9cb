//! Tells the service manager, systemd, that the exporter is ready, alive or stopping.
//!
//! Without a service manager that asks for it (`NOTIFY_SOCKET`), nothing is sent.

use sd_notify::NotifyState;
use tokio::task::spawn_blocking;
use tokio::time::{Duration, interval};
use tracing::warn;

use crate::watchdog::Watchdog;

/// The configuration is loaded, the port is open and the probe loop runs.
pub(crate) async fn notify_ready() {
    notify(NotifyState::Ready).await;
}

/// The exporter was asked to stop.
pub(crate) async fn notify_stopping() {
    notify(NotifyState::Stopping).await;
}

/// If the service has `WatchdogSec`, reports twice in this time that the probe loops run. When they do not run any
/// more, the reports end, and systemd restarts the service.
pub(crate) async fn report_alive(watchdog: &Watchdog) {
    let Some(allowed) = sd_notify::watchdog_enabled() else { return };
    let mut reports = interval(report_interval(allowed));
    loop {
        reports.tick().await;
        if watchdog.stuck().is_none() {
            notify(NotifyState::Watchdog).await;
        }
    }
}

fn report_interval(allowed: Duration) -> Duration {
    (allowed / 2).max(Duration::from_millis(1))
}

/// On a thread of its own, because a service manager that does not read blocks the sender.
async fn notify(state: NotifyState<'static>) {
    if let Ok(Err(cause)) = spawn_blocking(move || sd_notify::notify(&[state])).await {
        warn!(%cause, "could not notify the service manager");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reports_are_due_in_the_allowed_time() {
        assert_eq!(report_interval(Duration::from_mins(1)), Duration::from_secs(30));
        assert_eq!(report_interval(Duration::ZERO), Duration::from_millis(1), "an interval must not be zero");
    }
}
