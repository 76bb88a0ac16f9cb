//! The queries that ask Prometheus what was known about keys and secrets, and what the answers mean; pure.
//!
//! Prometheus keeps, for each exporter and key, which state was shown when. Of each exporter, the state that it showed last
//! counts. Exporters that disagree are weighed by their evidence (see [`verdict`]). Each query joins with the identity of the
//! API at the same target and time, so the series of another API are never taken.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::verdict::{Exporter, State, Testimonies, Testimony};
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

/// The answers of Prometheus about one batch of keys, or about one secret. A secret is never broken.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// When each exporter showed each state last.
    pub states: Vec<Sample>,
    /// Since when the key or secret was in the state that the exporter showed last.
    pub since: Vec<Sample>,
    /// When the exporter showed the key as broken, for the last time.
    pub broken_at: Vec<Sample>,
    /// Since when it was broken.
    pub broken_since: Vec<Sample>,
    /// When the API last accepted a request of the exporter. Asked for only if exporters disagree.
    pub accepted_at: Vec<Sample>,
    /// When the API last refused the key or secret to the exporter. Asked for only if exporters disagree.
    pub refused_at: Vec<Sample>,
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
    /// The queries about these keys, in the order of the first fields of [`Answers`].
    pub(super) fn key_queries(&self, window: Window, batch: &Batch<'_>) -> [String; 4] {
        let keys = self.keys(batch);
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

    /// The queries about the evidence of each exporter, in the order of the last two fields of [`Answers`].
    pub(super) fn key_evidence_queries(&self, window: Window, batch: &Batch<'_>) -> [String; 2] {
        let keys = self.keys(batch);
        let accepted =
            format!("max without (probe) (myunisoft_probe_last_success_timestamp_seconds{{{keys}}})");
        let refused = format!(
            "max without (probe) (myunisoft_probe_last_timestamp_seconds{{{keys}}}) and \
             myunisoft_key_refused_probes{{{keys}}} > 0"
        );
        [window.last_value(&self.of_this_api(&accepted)), window.last_value(&self.of_this_api(&refused))]
    }

    fn keys(&self, batch: &Batch<'_>) -> String {
        let keys = batch.keys.iter().map(|key| escaped(key)).collect::<Vec<_>>().join("|");
        format!("{},partner={},key=~{}", self.matchers, quoted(batch.partner), quoted(&keys))
    }

    /// The same about the secret of a partner, in the last minutes only: a partner can have many keys.
    pub(super) fn secret_evidence_queries(&self, partner: &str) -> [String; 2] {
        let partner = format!("{},partner={}", self.matchers, quoted(partner));
        let accepted = format!(
            "max without (probe, key) (myunisoft_probe_last_success_timestamp_seconds{{{partner},key!=\"\"}})"
        );
        let refused = format!(
            "max without (probe, key) (myunisoft_probe_last_timestamp_seconds{{{partner},key!=\"\"}} and \
             ignoring (reason, code, request_id) myunisoft_probe_error_info{{{partner},reason=\"secret\"}})"
        );
        let [window, ..] = WINDOWS;
        [window.last_value(&self.of_this_api(&accepted)), window.last_value(&self.of_this_api(&refused))]
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

/// Why a query has no answer. No text contains anything of the answer except the documented kind of error.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum QueryError {
    /// The answer, or what Prometheus must read for it, is too large. A query about fewer keys can succeed.
    TooLarge,
    /// It takes Prometheus too long. A query about fewer keys can succeed, and so can the same one later.
    TooSlow(String),
    Failed(String),
}

/// Reads an answer.
///
/// # Errors
/// If it is not a successful answer of Prometheus.
pub(super) fn parse(status: u16, body: &[u8]) -> Result<Parsed, QueryError> {
    match serde_json::from_slice(body) {
        Ok(Body::Success { data: Data::Vector(samples), warnings }) => {
            Ok(Parsed { samples, is_partial: !warnings.is_empty() })
        }
        // The limits of Prometheus on samples and series end the execution.
        Ok(Body::Error { kind }) if kind == "execution" => Err(QueryError::TooLarge),
        Ok(Body::Error { kind }) => {
            let is_slow = kind == "timeout";
            let kind: String = kind.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
            let text = format!("Prometheus answers with the error {kind} (status {status})");
            Err(if is_slow { QueryError::TooSlow(text) } else { QueryError::Failed(text) })
        }
        // A proxy limits what it passes on.
        Err(_) if matches!(status, 413 | 414) => Err(QueryError::TooLarge),
        Err(_) => Err(QueryError::Failed(format!(
            "the answer is not that of Prometheus (status {status}); check the URL"
        ))),
    }
}

/// What Prometheus shows about each key, by its name.
pub(super) fn remembered_keys(answers: &Answers, now: SystemTime) -> BTreeMap<String, PersistedKeyState> {
    let keys = answers.testimonies::<KeyState>("key");
    let remembered = keys.into_iter().filter_map(|(key, testimonies)| {
        let was_active = testimonies.was_shown(KeyState::Active);
        let verdict = testimonies.verdict()?;
        let since = verdict.since.map_or(now, |since| time(since, now));
        // The series is from the same scrapes as the state: if it ended before, the key worked again.
        let is_broken = verdict.broken_at.is_some_and(|at| at >= verdict.shown_at);
        let is_broken = is_broken && verdict.state != KeyState::Active;
        let broken_since = verdict.broken_since.filter(|_| is_broken).map(|since| time(since, now));
        Some((key.to_owned(), remembered_key(verdict.state, since, was_active, broken_since)))
    });
    remembered.collect()
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
    answers: &Answers,
    partner: &str,
    now: SystemTime,
) -> Option<PersistedSecretState> {
    let testimonies = answers.testimonies::<SecretState>("partner").remove(partner)?;
    let was_active = testimonies.was_shown(SecretState::Active);
    let Testimony { state, since, .. } = testimonies.verdict()?;
    let has_been_active = was_active || state == SecretState::Rejected;
    let state = if state == SecretState::Pending && has_been_active { SecretState::Rejected } else { state };
    Some(PersistedSecretState { state, since: since.map_or(now, |since| time(since, now)), has_been_active })
}

/// The field of a testimony that the samples of an answer are about.
type Field<S> = fn(&mut Testimony<S>) -> &mut Option<f64>;

impl Answers {
    /// Whether two exporters showed different states of a key last.
    pub(super) fn keys_disagree(&self) -> bool {
        self.testimonies::<KeyState>("key").values().any(Testimonies::disagree)
    }

    /// Whether two exporters showed different states of the secret last.
    pub(super) fn secrets_disagree(&self) -> bool {
        self.testimonies::<SecretState>("partner").values().any(Testimonies::disagree)
    }

    /// What each exporter says about each key or secret, which this label names.
    fn testimonies<S: State>(&self, label: &str) -> BTreeMap<&str, Testimonies<S>> {
        let mut all: BTreeMap<&str, Testimonies<S>> = BTreeMap::new();
        for sample in &self.states {
            if let (Some(name), Some(state), Some(at)) =
                (sample.label(label), sample.state(), sample.number())
            {
                all.entry(name).or_default().add(sample.exporter(), state, at);
            }
        }
        let fields: [(&[Sample], Field<S>); 5] = [
            (&self.since, |it| &mut it.since),
            (&self.broken_at, |it| &mut it.broken_at),
            (&self.broken_since, |it| &mut it.broken_since),
            (&self.accepted_at, |it| &mut it.accepted_at),
            (&self.refused_at, |it| &mut it.refused_at),
        ];
        for (samples, field) in fields {
            for sample in samples {
                let testimonies = sample.label(label).and_then(|name| all.get_mut(name));
                let testimony = testimonies.and_then(|it| it.of(&sample.exporter()));
                if let (Some(testimony), Some(value)) = (testimony, sample.number()) {
                    *field(testimony) = Some(value);
                }
            }
        }
        all
    }
}

/// A time of Prometheus. None is in the future.
fn time(seconds: f64, now: SystemTime) -> SystemTime {
    let since_epoch = Duration::try_from_secs_f64(seconds).ok();
    let time = since_epoch.and_then(|since_epoch| SystemTime::UNIX_EPOCH.checked_add(since_epoch));
    time.map_or(now, |time| time.min(now))
}

impl Sample {
    fn label(&self, name: &str) -> Option<&str> {
        self.metric.get(name).map(String::as_str)
    }

    /// Which exporter the sample is from: the labels of its target.
    fn exporter(&self) -> Exporter {
        let is_of_target = |name: &str| !matches!(name, "__name__" | "partner" | "key" | "state");
        self.metric
            .iter()
            .filter(|(name, _)| is_of_target(name))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect()
    }

    fn state<S: std::str::FromStr>(&self) -> Option<S> {
        self.label("state")?.parse().ok()
    }

    /// The value; `None` for one that is no time.
    fn number(&self) -> Option<f64> {
        self.value.1.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0)
    }
}

#[cfg(test)]
mod tests;
