//! Which share of a key's request budget its probes use.

use std::time::Duration;

use checked_yaml::quoted;

use super::{Key, Partner};

/// The documented budget of a token: so many requests in each [`WINDOW`].
pub(crate) const REQUESTS: u32 = 20;
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// The customer's production traffic needs the budget. Probes that use more than this share of it are a mistake.
const MAX_SHARE: f64 = 0.1;

/// The largest share of a budget that the probes of a configuration use.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LargestShare {
    pub share: f64,
    /// One key, or several with one token.
    pub keys: String,
    has_several_keys: bool,
}

/// What the probes of a configuration use of the budgets of its tokens.
#[derive(Default)]
pub(super) struct Shares {
    pub(super) largest: LargestShare,
    /// The number of tokens of which more than [`MAX_SHARE`] is used.
    above_limit: usize,
}

/// The share that probes with these intervals use, as long as each succeeds.
pub(crate) fn share(intervals: impl Iterator<Item = Duration>) -> f64 {
    // Not `sum`, which gives -0 for an empty list.
    let requests = intervals.fold(0.0, |sum, interval| sum + WINDOW.as_secs_f64() / interval.as_secs_f64());
    requests / f64::from(REQUESTS)
}

impl Shares {
    /// Adds the keys of one token, which use its budget together.
    pub(super) fn add(&mut self, keys: &[(&Partner, &Key)], names: String) {
        let share =
            share(keys.iter().flat_map(|(_, key)| key.probes.iter()).map(|probe| probe.timing.interval));
        if share > MAX_SHARE {
            self.above_limit += 1;
        }
        // By name if equal, because the tokens come in the order of a hash map.
        if share > self.largest.share || (share >= self.largest.share && names < self.largest.keys) {
            self.largest = LargestShare { share, keys: names, has_several_keys: keys.len() > 1 };
        }
    }

    /// One warning for all tokens: short intervals are mostly set once for a whole fleet.
    pub(super) fn warning(&self) -> Option<String> {
        let LargestShare { share, keys: names, has_several_keys } = &self.largest;
        let (share, window) = (percent(*share), humantime::format_duration(WINDOW));
        let key = if *has_several_keys { "keys" } else { "key" };
        match self.above_limit {
            0 => None,
            1 => Some(format!(
                "the probes of the {key} {names} use {share} of the {REQUESTS} requests per {window} that {} has, and \
                 production traffic needs them; lengthen the intervals",
                if *has_several_keys { "their common token" } else { "its token" },
            )),
            tokens => Some(format!(
                "the probes of {tokens} tokens use more than {} of the {REQUESTS} requests per {window} that each token has \
                 (at most {share}: the {key} {names}), and production traffic needs them; lengthen the intervals",
                percent(MAX_SHARE),
            )),
        }
    }
}

/// With one decimal, unless that is zero.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    format!("{}%", text.strip_suffix(".0").unwrap_or(&text))
}

/// `"dupont" of "acme"`
pub(super) fn name((partner, key): &(&Partner, &Key)) -> String {
    format!("{} of {}", quoted(&key.name), quoted(&partner.name))
}
