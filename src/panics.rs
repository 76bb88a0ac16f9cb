//! Panics: none is expected, none may go unseen, none may tell a secret.

use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::OnceLock;

use futures_util::FutureExt as _;
use prometheus::IntCounter;
use tokio::time::{Duration, sleep};
use tracing::error;

/// How long a loop that panicked rests before it is begun again.
const RESTART_DELAY: Duration = Duration::from_secs(10);

static COUNTER: OnceLock<IntCounter> = OnceLock::new();

/// From now on panics are counted here too. Only the first call has an effect.
pub fn count_in(counter: IntCounter) {
    let _ = COUNTER.set(counter);
}

/// From now on a panic is one line in the log, with its place and without its message: that may quote
/// whatever the code had in its hands.
pub fn install_hook() {
    panic::set_hook(Box::new(|info| {
        if let Some(counter) = COUNTER.get() {
            counter.inc();
        }
        let place = info.location().map(Location::to_string).unwrap_or_default();
        error!(place, "the exporter panicked, which is a defect: please report the place");
    }));
}

/// Runs a loop for ever: where it panics, it is begun again after a rest. What it does outlives it in
/// other hands, so a fresh loop goes on from there.
pub async fn restart_on_panic<F: Future<Output = ()>>(mut start: impl FnMut() -> F) {
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
    async fn a_loop_that_panicked_is_begun_again_after_a_rest() {
        let starts = Cell::new(0);
        let started = tokio::time::Instant::now();
        restart_on_panic(|| async {
            starts.set(starts.get() + 1);
            assert!(starts.get() > 2, "as planned");
        })
        .await;
        assert_eq!((starts.get(), started.elapsed()), (3, 2 * RESTART_DELAY));
    }

    /// The process that the next test starts.
    #[test]
    fn a_process_that_panics_with_a_secret_where_it_is_told_to() {
        if std::env::var_os("PANIC_WITH").is_none() {
            return;
        }
        crate::logging::start(crate::logging::Level::Trace, crate::logging::Format::Logfmt);
        let counter = IntCounter::new("panics", "panics").unwrap();
        install_hook();
        count_in(counter.clone());
        let secret = std::env::var("PANIC_WITH").unwrap();
        let _ = std::thread::spawn(move || panic!("in the hand: {secret}")).join();
        assert_eq!(counter.get(), 1);
    }

    #[test]
    fn a_panic_is_logged_and_counted_without_what_it_says() {
        let test = "panics::tests::a_process_that_panics_with_a_secret_where_it_is_told_to";
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", test, "--nocapture"]).env("PANIC_WITH", "hunter2");
        let output = child.output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
        assert!(said.contains("level=error") && said.contains("panics.rs:"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
