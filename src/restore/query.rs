//! The queries that ask Prometheus what was known about keys and secrets, and what the answers mean; pure.
//!
//! Prometheus keeps, for each exporter and key, which state was shown when. The state that was shown last counts, whichever
//! exporter showed it. Each query joins with the identity of the API at the same target and time, so the series of another
//! API are never taken.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::key_state::{KeyHistory, KeyState, PersistedKeyState, PersistedSecretState, SecretState};

/// A stretch of the past to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    range: &'static str,
    step: &'static str,
    /// How many keys one query asks for: a longer past costs Prometheus more for each key.
    pub batch: usize,
}

/// The shortest first: after a move or a lost disk, the last minutes say everything. The longest is how long the storage
/// remembers a key, too. Two steps are never farther apart than a sample is valid in a query, five minutes.
pub(super) const WINDOWS: [Window; 3] = [
    Window { range: "15m", step: "5s", batch: 200 },
    Window { range: "1d", step: "5m", batch: 100 },
    Window { range: "30d", step: "5m", batch: 20 },
];

/// Which series belong to these exporters and to this API.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// Matchers, as in a query.
    pub matchers: String,
    pub api: String,
}

/// The names of the keys of one partner that a query asks for.
pub(super) struct Batch<'a> {
    pub partner: &'a str,
    pub keys: &'a [&'a str],
}

/// The answers of Prometheus about one batch.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// When each state was shown last.
    pub states: Vec<Sample>,
    /// Since when each key was in the state that was shown last.
    pub since: Vec<Sample>,
    /// When the key was shown as broken, for the last time.
    pub broken_at: Vec<Sample>,
    /// Since when it was broken.
    pub broken_since: Vec<Sample>,
}

/// One series of an instant query.
#[derive(Debug, Deserialize)]
pub(super) struct Sample {
    pub metric: BTreeMap<String, String>,
    pub value: (f64, String),
}

/// The body of an answer.
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Body {
    Success {
        data: Data,
        #[serde(default)]
        warnings: Vec<String>,
    },
    Error {
        #[serde(rename = "errorType")]
        kind: String,
    },
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Sample>),
}

/// The samples of an answer, and whether some may be missing.
#[derive(Debug)]
pub(super) struct Parsed {
    pub samples: Vec<Sample>,
    pub is_partial: bool,
}

impl Scope {
    /// The queries about these keys, in the order of the fields of [`Answers`].
    pub(super) fn key_queries(&self, window: Window, batch: &Batch<'_>) -> [String; 4] {
        let keys = format!(
            "{},partner={},key=~{}",
            self.matchers,
            quoted(batch.partner),
            quoted(&batch.keys.iter().map(|key| escaped(key)).collect::<Vec<_>>().join("|"))
        );
        let state = format!("myunisoft_key_state{{{keys},state!=\"unknown\"}} == 1");
        let since =
            format!("myunisoft_key_state_since_timestamp_seconds{{{keys}}} and ignoring (state) ({state})");
        let broken = format!("myunisoft_key_broken_since_timestamp_seconds{{{keys}}} > 0");
        [
            window.last_time(&self.of_this_api(&state)),
            window.last_value(&self.of_this_api(&since)),
            window.last_time(&self.of_this_api(&broken)),
            window.last_value(&self.of_this_api(&broken)),
        ]
    }

    /// The queries about the secret of a partner: when each state was shown last, and since when.
    pub(super) fn secret_queries(&self, window: Window, partner: &str) -> [String; 2] {
        let partner = format!("{},partner={}", self.matchers, quoted(partner));
        let state = format!("myunisoft_secret_state{{{partner},state!=\"unknown\"}} == 1");
        let since = format!(
            "myunisoft_secret_state_since_timestamp_seconds{{{partner}}} and ignoring (state) ({state})"
        );
        [window.last_time(&self.of_this_api(&state)), window.last_value(&self.of_this_api(&since))]
    }

    /// The series whose target monitored this API at that time.
    fn of_this_api(&self, series: &str) -> String {
        let (matchers, api) = (&self.matchers, quoted(&self.api));
        format!(
            "({series}) and ignoring (partner, key, state, identity) \
             myunisoft_exporter_api_info{{{matchers},identity={api}}}"
        )
    }
}

impl Window {
    fn last_time(self, series: &str) -> String {
        format!("max_over_time(timestamp({series})[{}:{}])", self.range, self.step)
    }

    fn last_value(self, series: &str) -> String {
        format!("last_over_time(({series})[{}:{}])", self.range, self.step)
    }
}

/// A string of `PromQL`.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            _ => quoted.push(character),
        }
    }
    quoted + "\""
}

/// A regular expression that matches exactly this text.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if character.is_ascii_punctuation() && character != '_' {
            escaped.push('\\');
        }
        // Writing to a string cannot fail.
        let _ = write!(escaped, "{character}");
    }
    escaped
}

/// Reads an answer.
///
/// # Errors
/// If it is not a successful answer of Prometheus. The text contains nothing of the body except the documented kind of error.
pub(super) fn parse(status: u16, body: &[u8]) -> Result<Parsed, String> {
    match serde_json::from_slice(body) {
        Ok(Body::Success { data: Data::Vector(samples), warnings }) => {
            Ok(Parsed { samples, is_partial: !warnings.is_empty() })
        }
        Ok(Body::Error { kind }) => {
            let kind: String = kind.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
            Err(format!("Prometheus answers with the error {kind} (status {status})"))
        }
        Err(_) => Err(format!("the answer is not that of Prometheus (status {status}); check the URL")),
    }
}

/// What Prometheus shows about a key, by its name.
pub(super) fn remembered_keys(answers: &Answers, now: SystemTime) -> BTreeMap<String, PersistedKeyState> {
    let mut shown: BTreeMap<&str, Shown<KeyState>> = BTreeMap::new();
    for sample in &answers.states {
        if let (Some(key), Some(state), Some(at)) = (sample.label("key"), sample.state(), sample.number()) {
            // Of two exporters that disagree to the last, the one that has access is right: it has an answer.
            shown.entry(key).or_default().add(state, at, state == KeyState::Active);
        }
    }
    let latest = |samples, key, now| latest_time(samples, "key", key, now);
    shown
        .into_iter()
        .filter_map(|(key, shown)| {
            let (state, at) = shown.last?;
            let since = latest(&answers.since, key, now).unwrap_or(now);
            let broken_at = answers.broken_at.iter().filter(|it| it.label("key") == Some(key));
            let broken_at = broken_at.filter_map(Sample::number).fold(f64::NEG_INFINITY, f64::max);
            // The series is from the same scrapes as the state: if it ended before, the key worked again.
            let is_broken = broken_at >= at && state != KeyState::Active;
            let broken_since = latest(&answers.broken_since, key, now).filter(|_| is_broken);
            Some((key.to_owned(), remembered_key(state, since, shown.was_active, broken_since)))
        })
        .collect()
}

fn remembered_key(
    state: KeyState,
    since: SystemTime,
    was_active: bool,
    broken_since: Option<SystemTime>,
) -> PersistedKeyState {
    let has_been_active = match state {
        KeyState::Active | KeyState::Revoked => true,
        // Whoever showed this knew the history of the key: the token replaced one that was active, and never was itself.
        KeyState::NotFound if broken_since.is_some() => false,
        KeyState::Unknown
        | KeyState::Pending
        | KeyState::NotFound
        | KeyState::Disconnected
        | KeyState::FolderNotFound
        | KeyState::Invalid
        | KeyState::Forbidden => was_active,
    };
    // Whoever showed this did not know the history.
    let state = if state == KeyState::NotFound && has_been_active { KeyState::Revoked } else { state };
    let has_worked = was_active || has_been_active || broken_since.is_some();
    let broken_since = broken_since.or((state.is_refused() && has_worked).then_some(since));
    PersistedKeyState { state, since, has_been_active, history: KeyHistory { has_worked, broken_since } }
}

/// What Prometheus shows about the secret of a partner.
pub(super) fn remembered_secret(
    states: &[Sample],
    since: &[Sample],
    partner: &str,
    now: SystemTime,
) -> Option<PersistedSecretState> {
    let mut shown = Shown::default();
    for sample in states.iter().filter(|sample| sample.label("partner") == Some(partner)) {
        if let (Some(state), Some(at)) = (sample.state(), sample.number()) {
            shown.add(state, at, state == SecretState::Active);
        }
    }
    let (state, _) = shown.last?;
    let since = latest_time(since, "partner", partner, now).unwrap_or(now);
    let has_been_active = shown.was_active || state == SecretState::Rejected;
    let state = if state == SecretState::Pending && has_been_active { SecretState::Rejected } else { state };
    Some(PersistedSecretState { state, since, has_been_active })
}

/// Which states were shown, and which one last.
struct Shown<S> {
    last: Option<(S, f64)>,
    was_active: bool,
}

impl<S> Default for Shown<S> {
    fn default() -> Self {
        Self { last: None, was_active: false }
    }
}

impl<S: Copy> Shown<S> {
    fn add(&mut self, state: S, at: f64, is_active: bool) {
        self.was_active |= is_active;
        if self.last.is_none_or(|(_, last)| at > last || (at >= last && is_active)) {
            self.last = Some((state, at));
        }
    }
}

impl Sample {
    fn label(&self, name: &str) -> Option<&str> {
        self.metric.get(name).map(String::as_str)
    }

    fn state<S: std::str::FromStr>(&self) -> Option<S> {
        self.label("state")?.parse().ok()
    }

    /// The value; `None` for one that is no time.
    fn number(&self) -> Option<f64> {
        self.value.1.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0)
    }
}

/// The latest of the times that the samples about this key or partner have as values. None is in the future.
fn latest_time(samples: &[Sample], label: &str, name: &str, now: SystemTime) -> Option<SystemTime> {
    let times = samples.iter().filter(|sample| sample.label(label) == Some(name)).filter_map(Sample::number);
    let latest = times.reduce(f64::max)?;
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(latest).ok()?)?;
    Some(time.min(now))
}

#[cfg(test)]
mod tests;
