//! Writes log lines to standard error, in logfmt or JSON: `ts`, `level`, `msg`, then the fields of the
//! event. Prometheus and its exporters use the same order.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::time::SystemTime;

use clap::ValueEnum;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

use crate::format::is_harmful;
use crate::rfc3339;

/// `--log.level`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Something that a person must fix.
    Error,
    /// Something that may need a person, such as a probe that starts to fail or a revoked key.
    Warn,
    /// Events that an operator may look for later.
    Info,
    /// Details that help to find an error.
    Debug,
    /// Everything.
    Trace,
}

/// `--log.format`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// `ts=… level=… msg="…" key=value`
    Logfmt,
    /// One JSON object per line, without nested objects
    Json,
}

/// Starts to log to standard error. Only the first call has an effect.
pub(crate) fn start(level: Level, format: Format) {
    let write = |line: &str| {
        // If stderr is closed, there is nowhere left to report the error.
        let _ = io::stderr().write_all(line.as_bytes());
    };
    let _ = tracing::subscriber::set_global_default(subscriber(level, format, write));
}

/// `level` applies only to this crate. Other crates log at `warn` at most, because this crate does not
/// control what their more detailed lines contain: the lines of an HTTP library may show a token.
fn subscriber(
    level: Level,
    format: Format,
    write: impl Fn(&str) + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    let own_level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new()
        .with_default(own_level.min(LevelFilter::WARN))
        .with_target("myunisoft_exporter", own_level);
    Registry::default().with(Lines { format, write }.with_filter(filter))
}

/// Writes each event as one line.
struct Lines<W> {
    format: Format,
    write: W,
}

impl<S: Subscriber, W: Fn(&str) + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let now = rfc3339::millis(SystemTime::now()).to_string();
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let head = [("ts", now), ("level", level), ("msg", fields.message)].map(|(k, v)| (k, Value::from(v)));
        let all = head.into_iter().chain(fields.others);
        (self.write)(&match self.format {
            Format::Logfmt => logfmt(all),
            Format::Json => json(all),
        });
    }
}

fn json(fields: impl Iterator<Item = (&'static str, Value)>) -> String {
    let object: Map<String, Value> = fields.map(|(key, value)| (key.to_owned(), value)).collect();
    format!("{}\n", Value::Object(object))
}

fn logfmt(fields: impl Iterator<Item = (&'static str, Value)>) -> String {
    let mut line = String::new();
    for (key, value) in fields {
        let space = if line.is_empty() { "" } else { " " };
        let plain = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_.:/+".contains(c))
        };
        // Readers of logfmt expect quoting as in JSON. With it, a name can't end its value or its line.
        let _ = match &value {
            Value::String(text) if plain(text) => write!(line, "{space}{key}={text}"),
            value => write!(line, "{space}{key}={value}"),
        };
    }
    line.push('\n');
    line
}

/// The fields of one event, without those that are `None`.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, replace_unsafe(&format!("{value:?}")).into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, replace_unsafe(value).into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}

/// Replaces characters that could harm a terminal. Line breaks are kept, because both formats write them as
/// `\n`.
fn replace_unsafe(text: &str) -> String {
    text.replace(|c| c != '\n' && is_harmful(c), "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{debug, info, warn};

    use super::*;

    fn logged(level: Level, format: Format, log: impl FnOnce()) -> String {
        let lines = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&lines);
        let write = move |line: &str| written.lock().unwrap().push_str(line);
        tracing::subscriber::with_default(subscriber(level, format, write), log);
        lines.lock().unwrap().clone()
    }

    #[test]
    fn a_hostile_name_cannot_break_a_line() {
        for &format in Format::value_variants() {
            let hostile = "a\"b\nlevel=error msg=forged\u{1b}[31m";
            let text = logged(Level::Info, format, || info!(partner = hostile, name = %hostile, "x"));
            assert_eq!(text.lines().count(), 1, "{format:?}: {text}");
            assert!(!text.contains('\u{1b}'), "{format:?}: {text:?}");
            let turned = logged(Level::Info, format, || info!(partner = "a\u{202e}b\u{2028}c", "x"));
            assert!(turned.contains("a\u{fffd}b\u{fffd}c"), "{format:?}: {turned:?}");
        }
    }

    #[test]
    fn an_accent_or_an_apostrophe_is_not_escaped() {
        let text =
            logged(Level::Info, Format::Logfmt, || info!(partner = "Société d'Études", key = "été", "x"));
        assert!(text.ends_with("partner=\"Société d'Études\" key=été\n"), "{text}");
    }

    #[test]
    fn a_line_has_its_fields_without_those_that_are_none() {
        let log = || {
            let (code, request_id) = (None::<&str>, Some("req-9k4i"));
            warn!(partner = "acme", code, request_id, keys = 3, share = 0.5, "key state changed");
        };
        let text = logged(Level::Info, Format::Logfmt, log);
        assert!(text.starts_with("ts=2"), "{text}");
        let rest = "level=warn msg=\"key state changed\" partner=acme request_id=req-9k4i keys=3 share=0.5\n";
        assert!(text.ends_with(rest), "{text}");
        let json: Value = serde_json::from_str(&logged(Level::Info, Format::Json, log)).unwrap();
        assert_eq!((&json["level"], &json["msg"]), (&"warn".into(), &"key state changed".into()));
        assert_eq!((&json["request_id"], &json["keys"]), (&"req-9k4i".into(), &3.into()));
        assert!(json.get("code").is_none());
    }

    #[test]
    fn the_level_applies_only_to_this_crate() {
        let text = logged(Level::Trace, Format::Logfmt, || {
            debug!("ours");
            debug!(target: "hyper::proto", "authorization: Bearer canary");
            warn!(target: "hyper::proto", "theirs");
        });
        assert!(text.contains("ours") && text.contains("theirs") && !text.contains("canary"), "{text}");
        let text = logged(Level::Error, Format::Logfmt, || warn!(target: "hyper::proto", "theirs"));
        assert_eq!(text, "");
    }
}
