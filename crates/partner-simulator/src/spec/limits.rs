//! How many requests a token has, and how answers tell of it.

use std::time::Duration;

/// How many requests a token has, and in what time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests in one window.
    pub total: u32,
    /// From the first request of a window to its end.
    pub window: Duration,
    /// How answers tell of it.
    pub headers: RateHeaders,
}

impl Default for Limits {
    /// MyUnisoft's documented default: 20 requests in 10 seconds.
    fn default() -> Self {
        Self { total: 20, window: Duration::from_secs(10), headers: RateHeaders::default() }
    }
}

/// How `X-Rate-Limit-…` headers are written. The documentation doesn't tell the unit of `Reset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateHeaders {
    /// Seconds since the epoch with a fraction (`1596442585.866154`), as seen on a real answer.
    #[default]
    Seconds,
    /// Milliseconds since the epoch.
    Milliseconds,
    /// `Reset` is left out.
    WithoutReset,
    /// Values that are no numbers.
    Garbage,
    /// None of the three.
    Absent,
}
