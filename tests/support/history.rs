//! Six hours of a fleet of 300 keys in a real Prometheus, made in seconds: three keys are broken at the end.
//!
//! A real exporter monitors a simulated API through the chapters of a story. Each chapter gives a few scrapes of
//! `/metrics`. The history repeats them at the times of the story, with counters and timestamps stretched to these
//! times. Prometheus imports the history, and records the series of the shipped rules from it.

mod fleet;
mod rules;
mod stretched;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::monitoring::Prometheus;
use super::server::{Exporter, run_tool, until};

/// The exporter of the story, as Prometheus knows it.
pub(crate) const JOB: &str = "myunisoft";
pub(crate) const INSTANCE: &str = "exporter.example:10698";
/// The time between two scrapes of the story.
pub(crate) const SCRAPE_INTERVAL: Duration = Duration::from_mins(2);

/// The partner and the name of a key.
pub(crate) type KeyName = (&'static str, &'static str);

/// The keys that are broken at the end, and the key that was mended.
pub(crate) const REVOKED: KeyName = ("valmy-logiciels", "garnier-lyon");
pub(crate) const DISCONNECTED: KeyName = ("atelier-nord", "fontaine-nantes");
pub(crate) const FORBIDDEN: KeyName = ("valmy-logiciels", "blanchet-lille");
pub(crate) const MENDED: KeyName = ("atelier-nord", "moreau-paris");

/// All keys with a part in the story.
const STORY: [KeyName; 4] = [REVOKED, DISCONNECTED, FORBIDDEN, MENDED];

/// A Prometheus with the history, and the end of the history, in seconds since the Unix epoch.
pub(crate) async fn start(folder: &Path) -> (Prometheus, u64) {
    let story = fleet::play().await;
    let now = seconds(SystemTime::now());
    let blocks = folder.join("tsdb");
    std::fs::create_dir(&blocks).unwrap();
    stretched::write(&story, now, folder, &blocks);
    rules::record(folder, &blocks, now - fleet::DURATION, now).await;
    let prometheus = Prometheus::start(folder, &rules::live_configuration(folder)).await;
    // The latest evaluation of all groups: this series needs several of them.
    until("the recorded series", || prometheus.query("probe:myunisoft_probe_failing:unexplained")).await;
    until("the availability", || prometheus.query("instance:myunisoft_api_availability:ratio_rate30d")).await;
    until("the long windows", || prometheus.query("key:myunisoft_canary_availability:avg30d")).await;
    // Its group reads no other one, so it can be the last to start.
    until("the settings", || prometheus.query("myunisoft:links:info")).await;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of this century")]
    let at = seconds(SystemTime::now()).ceil() as u64;
    (prometheus, at)
}

/// The time in seconds since the Unix epoch.
fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Runs promtool. Its errors fail the test.
fn promtool(command: &mut Command) {
    let output = run_tool(command);
    assert!(output.status.success(), "promtool: {}", String::from_utf8_lossy(&output.stderr));
}

/// One scrape of the exporter: when it was, in seconds since the Unix epoch, and its series with their values.
struct Scrape {
    at: f64,
    samples: HashMap<String, f64>,
}

impl Scrape {
    async fn of(exporter: &Exporter) -> Self {
        let text = exporter.metrics().await;
        let at = seconds(SystemTime::now());
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            (!line.starts_with('#')).then(|| (with_a_long_request_id(series), value.parse().unwrap()))
        };
        Self { at, samples: text.lines().filter_map(sample).collect() }
    }

    /// The values of a metric, by series.
    fn values<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.samples
            .iter()
            .filter(move |(series, _)| name_of(series) == metric)
            .map(|(series, value)| (series.as_str(), *value))
    }
}

/// The longest form of a request ID. What is drawn must not depend on which of its forms the API chose.
const REQUEST_ID: &str = "req-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

fn with_a_long_request_id(series: &str) -> String {
    let Some((before, rest)) = series.split_once("request_id=\"req-") else { return series.to_owned() };
    let (id, after) = rest.split_once('"').unwrap();
    // A digit is narrower than some letters of the short form.
    let digit = |c: char| char::from_digit(u32::from(c) % 16, 16).unwrap();
    let mut digits = id.chars().filter(char::is_ascii_alphanumeric).map(digit).cycle();
    let long: String =
        REQUEST_ID.chars().map(|c| if c == 'x' { digits.next().unwrap() } else { c }).collect();
    format!("{before}request_id=\"{long}\"{after}")
}

/// The name of the metric of a series.
fn name_of(series: &str) -> &str {
    series.split('{').next().unwrap_or_default()
}
