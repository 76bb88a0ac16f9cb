//! Parts that several pages use.

use std::time::SystemTime;

use maud::{Markup, html};
use strum::IntoStaticStr;

use super::{Reader, say, words};
use crate::diagnosis::Verdict;
use crate::format;
use crate::key_state::{KeyState, SecretState};
use crate::rfc3339;
use crate::state::HealthState;
use crate::status::{ApiView, ErrorView, KeyView, ProbeView, RateLimitView, Standing};

/// The tone of a badge: a colour, which is a class of the style sheet, and a sign, so that it never depends on
/// colour alone.
#[derive(Clone, Copy, IntoStaticStr)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub(super) enum Tone {
    Good,
    Waiting,
    Warning,
    Bad,
    Unknown,
}

impl Tone {
    const fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Waiting => "…",
            Self::Warning => "!",
            Self::Bad => "✕",
            Self::Unknown => "?",
        }
    }

    pub(super) const fn of_key(state: KeyState) -> Self {
        match state {
            KeyState::Active => Self::Good,
            KeyState::Pending => Self::Waiting,
            KeyState::Unknown => Self::Unknown,
            KeyState::Revoked
            | KeyState::Disconnected
            | KeyState::FolderNotFound
            | KeyState::NotFound
            | KeyState::Invalid
            | KeyState::Forbidden => Self::Bad,
        }
    }

    pub(super) const fn of_api(state: HealthState) -> Self {
        match state {
            HealthState::Up => Self::Good,
            HealthState::Down => Self::Bad,
            HealthState::Maintenance => Self::Warning,
            HealthState::Unknown => Self::Unknown,
        }
    }

    pub(super) const fn of_secret(state: SecretState) -> Self {
        match state {
            SecretState::Active => Self::Good,
            SecretState::Pending => Self::Waiting,
            SecretState::Rejected => Self::Bad,
            SecretState::Unknown => Self::Unknown,
        }
    }
}

/// The head of a table.
pub(super) fn head(columns: &[String]) -> Markup {
    html! { thead { tr { @for column in columns { th scope="col" { (column) } } } } }
}

/// A badge with a sign, a word and a colour.
pub(super) fn badge(tone: Tone, word: &str) -> Markup {
    html! {
        span.badge.(tone.into_str()) { span.sign aria-hidden="true" { (tone.sign()) } (word) }
    }
}

/// A sign alone. The text beside it says the same.
pub(super) fn sign(tone: Tone) -> Markup {
    html! { span.badge.(tone.into_str()) aria-hidden="true" { span.sign { (tone.sign()) } } }
}

/// The state of a key. An active key with a problem also gets a warning, so that it does not look fine.
pub(super) fn state_of(key: &KeyView, reader: Reader) -> Markup {
    let has_problem =
        matches!(key.state, KeyState::Active | KeyState::Unknown) && key.verdict.blame.is_some();
    let word =
        if key.standing == Standing::Affected { say!(reader, "affected") } else { say!(reader, "failing") };
    html! {
        (badge(Tone::of_key(key.state), &words::key_state(key.state, reader)))
        @if has_problem { " " (badge(Tone::Warning, &word)) }
    }
}

/// When the certificate of the API's host expires.
pub(super) fn certificate_expiry(api: &ApiView, reader: Reader) -> Markup {
    let Some(expiry) = api.certificate_expiry else { return nothing() };
    html! { (reader.date(expiry)) " " span.faint { (relative_moment(expiry, reader)) } }
}

/// A time of day, with the date if it is another day. The script adds the reader's zone.
pub(super) fn clock(time: SystemTime, reader: Reader) -> Markup {
    let is_today = format::date(time) == format::date(reader.now);
    html! {
        time.clock datetime=(rfc3339::seconds(time)) {
            @if is_today { (format::time_of_day(time).chars().take("02:31".len()).collect::<String>()) " UTC" }
            @else { (reader.date(time)) " " (format::time_of_day(time).chars().take("02:31".len()).collect::<String>()) " UTC" }
        }
    }
}

/// How long something has lasted, and since when. `seen`: it was seen to begin; if not, it may have begun earlier.
pub(super) fn since(start: SystemTime, seen: bool, reader: Reader) -> Markup {
    html! {
        span.since {
            (span_since(start, seen, reader))
            span.faint {
                ", " @if seen { (say!(reader, "since-when")) } @else { (say!(reader, "first-seen")) } " " (clock(start, reader))
            }
        }
    }
}

fn span_since(start: SystemTime, seen: bool, reader: Reader) -> String {
    let span = reader.since(start);
    if seen {
        say!(reader, "since-span", span = span)
    } else {
        say!(reader, "since-span-at-least", span = span)
    }
}

/// How long ago something happened, and when.
pub(super) fn ago(time: SystemTime, reader: Reader) -> Markup {
    html! { (reader.relative(time)) " " span.faint { (clock(time, reader)) } }
}

/// The operator's labels of a key.
pub(super) fn labels(key: &KeyView) -> Markup {
    html! {
        @for (name, value) in key.labels.iter() {
            span.label { span.faint { (name) } " " (value) } " "
        }
    }
}

/// A relative time, with the exact one as its title.
pub(super) fn relative_moment(time: SystemTime, reader: Reader) -> Markup {
    html! {
        time datetime=(rfc3339::seconds(time)) title=(reader.time(time)) {
            (reader.relative(time))
        }
    }
}

/// Something to quote, with a button that copies it.
pub(super) fn copyable(text: &str, reader: Reader) -> Markup {
    html! {
        span.copyable {
            code { (text) }
            button.copy type="button" data-copy=(text) aria-label={ (say!(reader, "copy")) " " (text) } hidden { (say!(reader, "copy")) }
        }
    }
}

/// Where the problem is, and what is wrong.
pub(super) fn summary(verdict: &Verdict, reader: Reader) -> Markup {
    html! {
        @if let Some(blame) = verdict.blame { span.blame { (words::blame(blame, reader)) } " " }
        (verdict.summary)
    }
}

/// Where the problem is, what is wrong, and what to do.
pub(super) fn verdict(verdict: &Verdict, reader: Reader) -> Markup {
    html! {
        p.verdict { (summary(verdict, reader)) }
        @if let Some(action) = &verdict.action { p.action { (say!(reader, "what-to-do")) " " (action) } }
    }
}

/// What is left of a request budget.
pub(super) fn budget(limit: Option<&RateLimitView>, reader: Reader) -> Markup {
    html! {
        @match limit.and_then(|limit| Some((limit.remaining?, limit.requests))) {
            Some((remaining, Some(requests))) => {
                (say!(reader, "number-of", part = remaining, whole = requests)) " "
                meter min="0" max=(requests) low=(requests / 4) value=(remaining) aria-label=(say!(reader, "budget-left")) {}
            }
            Some((remaining, None)) => (remaining),
            None => (nothing()),
        }
    }
}

/// The failure episode of a probe: reason and error code of its first failure, and how long it has lasted.
pub(super) fn error(error: &ErrorView, reader: Reader) -> Markup {
    html! {
        span.reason { (error.reason) }
        @if let Some(code) = &error.code { " " code { (code) } }
        " " span.faint { (span_since(error.since, error.seen, reader)) }
    }
}

/// The HTTP status and the duration of a probe's last run.
pub(super) fn last(probe: &ProbeView, reader: Reader) -> Markup {
    let Some(duration) = probe.last_duration else { return nothing() };
    html! {
        @match probe.http_status_code {
            Some(code) => (say!(reader, "status-in", status = code, latency = reader.latency(duration))),
            None if duration.is_zero() => (say!(reader, "nothing-sent")),
            None => (say!(reader, "no-response", latency = reader.latency(duration))),
        }
    }
}

/// The placeholder for a missing value.
pub(super) fn nothing() -> Markup {
    html! { span.faint { "–" } }
}
