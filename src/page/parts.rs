//! What several pages are made of.

use std::time::SystemTime;

use maud::{Markup, html};

use crate::diagnosis::Verdict;
use crate::format;
use crate::key_state::{KeyState, SecretState};
use crate::rfc3339;
use crate::status::{ErrorView, KeyView, ProbeView, RateLimitView};

/// How something is, for colours and signs; never told by a colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Waiting,
    Warning,
    Bad,
    Unknown,
}

impl Tone {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Waiting => "waiting",
            Self::Warning => "warning",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }

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

    pub(super) const fn of_secret(state: SecretState) -> Self {
        match state {
            SecretState::Active => Self::Good,
            SecretState::Pending => Self::Waiting,
            SecretState::Rejected => Self::Bad,
            SecretState::Unknown => Self::Unknown,
        }
    }
}

/// A state: a sign, its word, a colour.
pub(super) fn badge(tone: Tone, word: &str) -> Markup {
    html! {
        span.badge.(tone.class()) { span.sign aria-hidden="true" { (tone.sign()) } (word) }
    }
}

/// The state of a key; one that is let in and has a failing probe all the same is not shown as all well.
pub(super) fn state_of(key: &KeyView) -> Markup {
    let fails = key.state == KeyState::Active && key.verdict.blame.is_some();
    html! {
        (badge(Tone::of_key(key.state), key.state.into_str()))
        @if fails { " " (badge(Tone::Warning, "failing")) }
    }
}

/// A moment, with how long ago it was beside it.
pub(super) fn moment(time: SystemTime, now: SystemTime) -> Markup {
    html! {
        time datetime=(rfc3339::seconds(time)) title=(format::moment(time)) {
            (format::distance(time, now))
        }
    }
}

/// Something to quote, with a button that copies it.
pub(super) fn copyable(text: &str) -> Markup {
    html! {
        span.copyable {
            code { (text) }
            button.copy type="button" data-copy=(text) aria-label={ "Copy " (text) } hidden { "Copy" }
        }
    }
}

/// What is wrong, whom it concerns, what to do.
pub(super) fn verdict(verdict: &Verdict) -> Markup {
    html! {
        p.verdict {
            @if let Some(blame) = verdict.blame { span.blame { (blame) } " " }
            (verdict.summary)
        }
        @if let Some(action) = verdict.action { p.action { (action) } }
    }
}

/// What is left of a budget.
pub(super) fn budget(limit: Option<&RateLimitView>) -> Markup {
    html! {
        @match limit.and_then(|limit| Some((limit.remaining?, limit.requests))) {
            Some((remaining, Some(requests))) => {
                (remaining) " of " (requests) " "
                meter min="0" max=(requests) low=(requests / 4) value=(remaining) aria-label="Budget left" {}
            }
            Some((remaining, None)) => (remaining),
            None => (nothing()),
        }
    }
}

/// The trouble of a probe, as it began: its reason, code and for how long.
pub(super) fn error(error: &ErrorView, now: SystemTime) -> Markup {
    html! {
        span.reason { (error.reason) }
        @if let Some(code) = &error.code { " " code { (code) } }
        " " span.faint { "for " (format::span(now.duration_since(error.since).unwrap_or_default())) }
    }
}

/// The last status and duration of a probe.
pub(super) fn last(probe: &ProbeView) -> Markup {
    html! {
        @match probe.last_duration {
            Some(took) => {
                @match probe.http_status_code { Some(code) => (code), None => "no answer" }
                " in " (format::latency(took))
            }
            None => (nothing()),
        }
    }
}

/// Where there is nothing to show.
pub(super) fn nothing() -> Markup {
    html! { span.faint { "–" } }
}
