//! The size of a token's request budget, and the headers that report it.

use std::time::Duration;

/// How many requests a token may make in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The number of requests in one window.
    pub total: u32,
    /// The duration of a window. A window starts with its first request.
    pub window: Duration,
    pub headers: RateHeaders,
}

impl Default for Limits {
    /// MyUnisoft's documented default: 20 requests in 10 seconds.
    fn default() -> Self {
        Self { total: 20, window: Duration::from_secs(10), headers: RateHeaders::default() }
    }
}

/// The format of the `X-Rate-Limit-…` headers. The API's documentation does not give the unit of `Reset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateHeaders {
    /// Seconds since the Unix epoch with a fraction (`1596442585.866154`), as in a real response.
    #[default]
    Seconds,
    /// Milliseconds since the Unix epoch.
    Milliseconds,
    /// Without `Reset`.
    WithoutReset,
    /// The values are not numbers.
    Garbage,
    /// Without the three headers.
    Absent,
}
