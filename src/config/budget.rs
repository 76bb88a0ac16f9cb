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
    share(keys.iter().flat_map(|(_, key)| key.probes.iter()).map(|probe| probe.timing.interval))
}

pub(super) fn warning(keys: &[(&Partner, &Key)], names: &str) -> Option<String> {
    let share = share_of_keys(keys);
    let several = keys.len() > 1;
    (share > MAX_SHARE).then(|| {
        format!(
            "the probes of the {} {names} use {} of the {REQUESTS} requests per {} that {} has, and production traffic needs \
             them; lengthen the intervals",
            if several { "keys" } else { "key" },
            percent(share),
            humantime::format_duration(WINDOW),
            if several { "their common token" } else { "its token" },
        )
    })
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
