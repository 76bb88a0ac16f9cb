//! The exports that `mad/all` starts.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// The documented time between two exports.
const PAUSE: Duration = Duration::from_hours(1);

#[derive(Debug, Default)]
pub(crate) struct Exports {
    /// The start of the last export, by society.
    last: HashMap<u64, Instant>,
    /// The number of exports started so far.
    pub(crate) started: u64,
}

impl Exports {
    /// Starts an export, unless the society's last one started less than an hour ago.
    pub(crate) fn start(&mut self, society: u64) {
        let now = Instant::now();
        if self.last.get(&society).is_none_or(|last| now.duration_since(*last) >= PAUSE) {
            self.last.insert(society, now);
            self.started += 1;
        }
    }
}
