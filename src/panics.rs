//! Panic handling: each panic is logged without its message, which may contain a secret, and counted.
//! Loops are restarted.

use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::OnceLock;

use futures_util::FutureExt as _;
use prometheus::IntCounter;
use tokio::time::{Duration, sleep};
use tracing::error;

/// The delay before a loop that panicked is restarted.
const RESTART_DELAY: Duration = Duration::from_secs(10);

static COUNTER: OnceLock<IntCounter> = OnceLock::new();

/// Counts panics in `counter` from now on. Only the first call has an effect.
pub(crate) fn count_in(counter: IntCounter) {
    let _ = COUNTER.set(counter);
}

/// Logs each panic as one line, with its source location but without its message: the message may contain any
/// value of the program.
pub(crate) fn install_hook() {
    panic::set_hook(Box::new(|info| {
        if let Some(counter) = COUNTER.get() {
            counter.inc();
        }
        let place = info.location().map(Location::to_string).unwrap_or_default();
        error!(place, "the exporter panicked; this is a bug: please report the place");
    }));
}

/// Runs a loop until it returns. If it panics, it is restarted after a delay. Its results are kept
/// outside it, so the new loop continues from them.
pub(crate) async fn restart_on_panic<F: Future<Output = ()>>(mut start: impl FnMut() -> F) {
    loop {
        if AssertUnwindSafe(start()).catch_unwind().await.is_ok() {
            return;
        }
        sleep(RESTART_DELAY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::process::Command;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_panics_is_restarted_after_a_delay() {
        let starts = Cell::new(0);
        let started = tokio::time::Instant::now();
        restart_on_panic(|| async {
            starts.set(starts.get() + 1);
            assert!(starts.get() > 2, "planned panic");
        })
        .await;
        assert_eq!((starts.get(), started.elapsed()), (3, 2 * RESTART_DELAY));
    }

    /// Runs in the process that the next test starts.
    #[test]
    fn a_process_panics_with_a_secret_if_requested() {
        if std::env::var_os("PANIC_WITH").is_none() {
            return;
        }
        crate::logging::start(crate::logging::Level::Trace, crate::logging::Format::Logfmt);
        let counter = IntCounter::new("panics", "panics").unwrap();
        install_hook();
        count_in(counter.clone());
        let secret = std::env::var("PANIC_WITH").unwrap();
        let _ = std::thread::spawn(move || panic!("with a value: {secret}")).join();
        assert_eq!(counter.get(), 1);
    }

    #[test]
    fn a_panic_is_counted_and_logged_without_its_message() {
        let test = "panics::tests::a_process_panics_with_a_secret_if_requested";
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", test, "--nocapture"]).env("PANIC_WITH", "hunter2");
        let output = child.output().unwrap();
        let log =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{log}");
        assert!(log.contains("level=error") && log.contains("panics.rs:"), "{log}");
        assert!(!log.contains("hunter2"), "{log}");
    }
}
