//! The table at the end.

use std::time::Duration;

use crate::resources::{Sample, median};
use crate::witnesses::Witness;
use crate::world::World;

/// The parts of the life of the last process that are compared. The load is the same, and it is old enough.
const EARLY: (f64, f64) = (0.2, 0.45);
const LATE: (f64, f64) = (0.75, 1.0);
/// Memory may grow by this factor and this number of bytes: the allocator keeps what a burst needed.
const MEMORY_FACTOR: f64 = 1.15;
const MEMORY_BYTES: f64 = 4e6;
/// Clients come and go, and threads for files start and end.
const MORE_DESCRIPTORS: u64 = 20;
const MORE_THREADS: u64 = 6;
/// Longer than any scrape may take.
const SLOWEST_SCRAPE: Duration = Duration::from_secs(5);

/// The rows of the table, and the promises that were broken.
pub(crate) struct Summary {
    rows: Vec<String>,
    broken: Vec<String>,
    title: String,
}

impl Summary {
    pub(crate) fn new(span: Duration, seed: u64) -> Self {
        let span = humantime::format_duration(span);
        Self { rows: Vec::new(), broken: Vec::new(), title: format!("over {span}, seed {seed}") }
    }

    pub(crate) fn row(&mut self, what: impl Into<String>, value: impl Into<String>, is_kept: bool) {
        let (what, value) = (what.into(), value.into());
        self.rows.push(format!("| {what} | {value} | {} |", if is_kept { "kept" } else { "BROKEN" }));
        if !is_kept {
            self.broken.push(format!("{what}: {value}"));
        }
    }

    pub(crate) fn add_faults(&mut self, world: &World) {
        let counts = world.counts.lock().unwrap().clone();
        for (kind, count) in counts {
            let value = format!("injected {} times, broke a promise {} times", count.injected, count.broken);
            self.row(format!("fault: {kind}"), value, count.broken == 0);
        }
        self.broken.extend(world.broken.lock().unwrap().iter().cloned());
    }

    pub(crate) fn add_witnesses(&mut self, witnesses: &[Witness]) {
        for Witness { name, interval, calls, worst_gap, worst_gap_with_fault, missed } in witnesses {
            let (with_fault, second) = worst_gap_with_fault;
            let value = format!(
                "{calls} requests; longest time between two {worst_gap:.2?}, with a fault of the whole process \
                 {with_fault:.2?} (from second {second}); missed: {}",
                missed.len()
            );
            self.row(format!("{name}, one request per {interval:?}"), value, missed.is_empty() && *calls > 0);
            self.broken.extend(missed.iter().map(|missed| format!("{name}: {missed}")));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "rounded numbers for a table")]
    pub(crate) fn add_resources(&mut self, samples: &[Sample]) {
        let compare = |value: fn(&Sample) -> u64| {
            let early = median(samples, EARLY, value);
            early.zip(median(samples, LATE, value)).expect("samples of both parts")
        };
        let mebibytes = |bytes: u64| bytes as f64 / 1_048_576.0;
        let (early, late) = compare(|sample| sample.memory);
        self.row(
            "memory of the last process, medians of an early part and of the last quarter",
            format!("{:.1} → {:.1} MiB", mebibytes(early), mebibytes(late)),
            late as f64 <= early as f64 * MEMORY_FACTOR + MEMORY_BYTES,
        );
        let (early, late) = compare(|sample| sample.descriptors);
        self.row("open file descriptors", format!("{early} → {late}"), late <= early + MORE_DESCRIPTORS);
        let (early, late) = compare(|sample| sample.threads);
        self.row("threads", format!("{early} → {late}"), late <= early + MORE_THREADS);
        let slowest = samples.iter().filter_map(|sample| sample.scrape).max().unwrap_or_default();
        self.row(
            "number of scrapes; the slowest",
            format!("{}; {slowest:.2?}", samples.len()),
            slowest < SLOWEST_SCRAPE,
        );
    }

    /// Prints the table. Fails if a promise was broken.
    pub(crate) fn finish(self) {
        println!("| {} | measurement | promise |\n|---|---|---|\n{}", self.title, self.rows.join("\n"));
        assert!(self.broken.is_empty(), "broken:\n{}", self.broken.join("\n"));
    }
}
