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
}

/// The share that probes with these intervals use, as long as each succeeds.
pub(crate) fn share(intervals: impl Iterator<Item = Duration>) -> f64 {
    // Not `sum`, which gives -0 for an empty list.
    let requests = intervals.fold(0.0, |sum, interval| sum + WINDOW.as_secs_f64() / interval.as_secs_f64());
    requests / f64::from(REQUESTS)
}

/// The share that these keys, which have one token, use together.
pub(super) fn share_of_keys(keys: &[(&Partner, &Key)]) -> f64 {
    share(keys.iter().flat_map(|(_, key)| &key.probes).map(|probe| probe.timing.interval))
}

/// Collects the tokens whose budget is used too much.
#[derive(Default)]
pub(super) struct OverUse {
    /// For each token, the names of its keys, their number, and the share.
    tokens: Vec<(String, usize, f64)>,
}

impl OverUse {
    /// More tokens have one warning together: short intervals are mostly the default of all keys.
    const MAX_WARNINGS: usize = 3;

    pub(super) fn add(&mut self, keys: &[(&Partner, &Key)], names: &str) {
        let share = share_of_keys(keys);
        if share > MAX_SHARE {
            self.tokens.push((names.to_owned(), keys.len(), share));
        }
    }

    pub(super) fn warnings(mut self) -> Vec<String> {
        if self.tokens.len() <= Self::MAX_WARNINGS {
            return self.tokens.iter().map(warning).collect();
        }
        // The order of a hash map changes with each run.
        self.tokens.sort_by(|(one, _, share), (other, _, of_other)| {
            of_other.total_cmp(share).then_with(|| one.cmp(other))
        });
        let number = self.tokens.len();
        let Some((names, keys, share)) = self.tokens.first() else { return Vec::new() };
        vec![format!(
            "the probes use more than {} of the {} of {number} tokens, and production traffic needs them; most is {} by the {} \
             {names}; lengthen the intervals",
            percent(MAX_SHARE),
            budget(),
            percent(*share),
            if *keys > 1 { "keys" } else { "key" },
        )]
    }
}

fn warning((names, keys, share): &(String, usize, f64)) -> String {
    let several = *keys > 1;
    format!(
        "the probes of the {} {names} use {} of the {} that {} has, and production traffic needs them; lengthen the \
         intervals",
        if several { "keys" } else { "key" },
        percent(*share),
        budget(),
        if several { "their common token" } else { "its token" },
    )
}

fn budget() -> String {
    format!("{REQUESTS} requests per {}", humantime::format_duration(WINDOW))
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
