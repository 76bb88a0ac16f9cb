//! Log lines, in logfmt or JSON, on standard error.

use std::io;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;

use crate::words::words;

words! {
    /// `--log.level`
    pub enum Level {
        /// What will need someone.
        Error => "error",
        /// What may need someone: a probe that begins to fail, a key that is lost.
        Warn => "warn",
        /// What an operator wants to find afterwards.
        Info => "info",
        /// What helps to find a fault.
        Debug => "debug",
        /// Everything.
        Trace => "trace",
    }
}

words! {
    /// `--log.format`
    pub enum Format {
        /// `ts=… level=… message="…" key=value`
        Logfmt => "logfmt",
        /// One flat object a line.
        Json => "json",
    }
}

/// Logs to standard error from now on. Only the first call has an effect.
pub fn start(level: Level, format: Format) {
    let _ = tracing::subscriber::set_global_default(subscriber(level, format, io::stderr));
}

/// The level is this crate's alone: what a transport's finer lines would show is not in our hands.
fn subscriber<W>(level: Level, format: Format, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let own = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let filter =
        Targets::new().with_default(own.min(LevelFilter::WARN)).with_target("myunisoft_exporter", own);
    let layer = match format {
        Format::Logfmt => tracing_logfmt::builder()
            .with_target(false)
            .with_span_name(false)
            .layer()
            .with_writer(writer)
            .with_filter(filter)
            .boxed(),
        Format::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_target(false)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(writer)
            .with_filter(filter)
            .boxed(),
    };
    Box::new(Registry::default().with(layer))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{debug, info, warn};

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: Level, format: Format, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing::subscriber::with_default(subscriber(level, format, move || writer.clone()), log);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    const HOSTILE: &str = "a\"b\nlevel=error message=forged\u{1b}[31m";

    #[test]
    fn a_hostile_name_can_not_break_a_line() {
        for &format in Format::ALL {
            let text = logged(Level::Info, format, || info!(partner = HOSTILE, "x"));
            assert_eq!(text.lines().count(), 1, "{format}: {text}");
            assert!(!text.contains('\u{1b}'), "{format}: {text:?}");
        }
    }

    #[test]
    fn a_line_carries_its_fields_and_absent_ones_are_left_out() {
        let log = || {
            warn!(partner = "acme", code = None::<&str>, request_id = Some("req-9k4i"), "key state changed");
        };
        let text = logged(Level::Info, Format::Logfmt, log);
        assert!(text.starts_with("ts="), "{text}");
        for part in ["level=warn", "message=\"key state changed\"", "partner=acme", "request_id=req-9k4i"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("code"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&logged(Level::Info, Format::Json, log)).unwrap();
        assert_eq!((&json["level"], &json["request_id"]), (&"WARN".into(), &"req-9k4i".into()));
    }

    #[test]
    fn the_level_is_this_crate_s_alone() {
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
