//! The scrapes of the story at the times of the story.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;

use super::fleet::{Chapter, PACE};
use super::{
    DISCONNECTED, FORBIDDEN, INSTANCE, JOB, KeyName, MENDED, REVOKED, SCRAPE_INTERVAL, STORY, Scrape,
    name_of, promtool,
};

/// The duration of a block of Prometheus, in seconds.
const BLOCK: u64 = 7200;

/// What the values of a metric mean, which says how they are stretched.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Gauge,
    /// A counter, which grows at the pace of the story.
    Counter,
    /// The time of the scrape.
    Clock,
    /// The time of something that happens again and again: it is so long before the scrape.
    Recurring,
    /// The time of something that happened once.
    Once,
    /// A duration that is set in the configuration.
    Interval,
}

impl Kind {
    fn of(metric: &str) -> Self {
        let ends = |ends: &[&str]| ends.iter().any(|end| metric.ends_with(end));
        if metric == "myunisoft_exporter_clock_timestamp_seconds" {
            Self::Clock
        } else if ends(&[
            "_last_timestamp_seconds",
            "_last_success_timestamp_seconds",
            "_reset_timestamp_seconds",
        ]) {
            Self::Recurring
        } else if ends(&["_timestamp_seconds", "_start_time_seconds"]) {
            Self::Once
        } else if ends(&["_interval_seconds"]) {
            Self::Interval
        } else if ends(&["_total", "_bucket", "_count", "_sum"]) {
            Self::Counter
        } else {
            Self::Gauge
        }
    }
}

/// The story with its end at a time.
struct Timeline<'a> {
    chapters: &'a [Chapter],
    end: f64,
}

impl Timeline<'_> {
    fn begin(&self, chapter: usize) -> f64 {
        self.chapters.get(chapter).map_or(self.end, |chapter| self.end - chapter.before_the_end)
    }

    /// The time in the story of a time of the exporter. Times after the last scrape are in the future: they stay.
    fn time(&self, at: f64) -> f64 {
        if at > self.chapters.last().unwrap().last().at {
            return at;
        }
        let chapter = self.chapters.iter().rposition(|chapter| at >= chapter.began).unwrap_or_default();
        let since = (at - self.chapters[chapter].began).max(0.0) * PACE;
        (self.begin(chapter) + since).min(self.begin(chapter + 1))
    }

    /// The time in the story of something that happens again and again, and last happened at `at`. What does not happen
    /// again in the chapter has ended: at its beginning, or at the end of an earlier chapter.
    fn recurring(&self, chapter: usize, series: &str, (scrape_at, at): (f64, f64), now: f64) -> f64 {
        let (first, last) = (self.chapters[chapter].first(), self.chapters[chapter].last());
        // A time in the future is that of a reset.
        if at > scrape_at || first.samples.get(series) != last.samples.get(series) {
            return now - (scrape_at - at) * PACE;
        }
        let ended = self.chapters[..=chapter].iter().rposition(|it| at >= it.began).unwrap_or_default();
        if ended == chapter {
            return self.time(at);
        }
        let until = self.chapters[ended + 1].began;
        (self.begin(ended + 1) - (until - at) * PACE).max(self.begin(ended))
    }

    /// The value of a counter at the beginning and at the end of each chapter.
    fn counts(&self, series: &str) -> Vec<(f64, f64)> {
        let count = |scrape: &Scrape| scrape.samples.get(series).copied().unwrap_or_default();
        let mut total = 0.0;
        let mut before = 0.0;
        let chapters = self.chapters.iter().enumerate();
        chapters
            .map(|(index, chapter)| {
                let (first, last) = (chapter.first(), chapter.last());
                let duration = self.begin(index + 1) - self.begin(index);
                // A series that ends counts nothing any more.
                let begin = total + (count(first) - before).max(0.0);
                let more = (count(last) - count(first)).max(0.0);
                total = begin + more * duration / ((last.at - first.at) * PACE);
                before = count(last).max(before);
                (begin, total)
            })
            .collect()
    }

    /// The samples of a series, as times and values.
    fn samples(&self, series: &str, times: &[u64]) -> Vec<(u64, f64)> {
        let kind = Kind::of(name_of(series));
        let counts = if kind == Kind::Counter { self.counts(series) } else { Vec::new() };
        let mut samples = Vec::new();
        for (number, time) in times.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "a time of this century")]
            let now = *time as f64;
            let chapter =
                self.chapters.iter().rposition(|it| self.end - it.before_the_end <= now).unwrap_or_default();
            let scrapes = &self.chapters[chapter].scrapes;
            let scrape = &scrapes[number % scrapes.len()];
            let Some(&value) = scrape.samples.get(series) else { continue };
            let stretched = match kind {
                Kind::Gauge => value,
                Kind::Interval => value * PACE,
                Kind::Clock => now,
                Kind::Once => self.time(value),
                Kind::Recurring => self.recurring(chapter, series, (scrape.at, value), now),
                Kind::Counter => {
                    let (begin, end) = counts[chapter];
                    let share = (now - self.begin(chapter)) / (self.begin(chapter + 1) - self.begin(chapter));
                    begin + (end - begin) * share
                }
            };
            samples.push((*time, stretched));
        }
        samples
    }
}

/// Whether a series is 0 all the time, and belongs to a key without a part in the story. There are thousands of them.
fn is_left_out(series: &str, chapters: &[Chapter]) -> bool {
    let of = |(_, name): KeyName| series.contains(&format!("key=\"{name}\""));
    let zero = |chapter: &Chapter| {
        chapter.scrapes.iter().all(|it| it.samples.get(series).is_none_or(|it| *it == 0.0))
    };
    series.contains("key=\"") && !STORY.into_iter().any(of) && chapters.iter().all(zero)
}

/// The series with the labels of its target.
fn with_target(series: &str) -> String {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let comma = if labels == "}" { "" } else { "," };
    format!("{name}{{job=\"{JOB}\",instance=\"{INSTANCE}\"{comma}{labels}")
}

/// The series that Prometheus itself adds to each scrape.
fn of_prometheus(timeline: &Timeline, times: &[u64]) -> BTreeMap<String, Vec<(u64, f64)>> {
    let series = timeline.chapters[0].last().samples.len();
    let constant = |value: f64| times.iter().map(|time| (*time, value)).collect::<Vec<_>>();
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let values = [("up", 1.0), ("scrape_duration_seconds", 0.021), ("scrape_samples_scraped", series as f64)];
    let targets = values.map(|(name, value)| (with_target(name), constant(value)));
    targets.into_iter().chain(alerts(timeline, times)).collect()
}

/// The alerts of the story: its Prometheus evaluates no alerts, because their waiting times are those of a clock.
fn alerts(timeline: &Timeline, times: &[u64]) -> Vec<(String, Vec<(u64, f64)>)> {
    let firing = [
        ("MyUnisoftKeyRevoked", "critical", "", MENDED, 270.0, 215.0),
        ("MyUnisoftKeyRevoked", "critical", "", DISCONNECTED, 190.0, 0.0),
        ("MyUnisoftKeyRevoked", "critical", "", REVOKED, 42.0, 0.0),
        ("MyUnisoftCanaryFailing", "warning", ",probe=\"exercices\"", FORBIDDEN, 32.0, 0.0),
    ];
    let series = firing.map(|(name, severity, more, (partner, key), from, until)| {
        let labels = format!(
            "alertname=\"{name}\",job=\"{JOB}\",key=\"{key}\",partner=\"{partner}\",severity=\"{severity}\"{more}"
        );
        let since = timeline.end - from * 60.0;
        #[expect(clippy::cast_precision_loss, reason = "a time of this century")]
        let is_firing = |time: u64| time as f64 >= since && time as f64 <= timeline.end - until * 60.0;
        let samples = |value: f64| times.iter().filter(|it| is_firing(**it)).map(|it| (*it, value)).collect();
        [
            (format!("ALERTS{{{labels},alertstate=\"firing\"}}"), samples(1.0)),
            (format!("ALERTS_FOR_STATE{{{labels}}}"), samples(since)),
        ]
    });
    series.into_iter().flatten().collect()
}

/// Writes the story as blocks of Prometheus. It ends at `end`, in seconds since the Unix epoch.
pub(super) fn write(chapters: &[Chapter], end: f64, folder: &Path, blocks: &Path) {
    let timeline = Timeline { chapters, end };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of this century")]
    let (first, last) = (timeline.begin(0) as u64 + 1, end as u64);
    let step = usize::try_from(SCRAPE_INTERVAL.as_secs()).unwrap();
    let times: Vec<_> = (first..=last).rev().step_by(step).collect::<Vec<_>>().into_iter().rev().collect();
    let names: BTreeSet<_> =
        chapters.iter().flat_map(|it| &it.scrapes).flat_map(|scrape| scrape.samples.keys()).collect();
    let mut files: BTreeMap<u64, BufWriter<File>> = BTreeMap::new();
    let mut put = |series: &str, samples: &[(u64, f64)]| {
        for (time, value) in samples {
            let block = time / BLOCK;
            let file = files.entry(block).or_insert_with(|| {
                BufWriter::new(File::create(folder.join(format!("{block}.txt"))).unwrap())
            });
            writeln!(file, "{series} {value} {time}").unwrap();
        }
    };
    for name in names.into_iter().filter(|name| !is_left_out(name, chapters)) {
        put(&with_target(name), &timeline.samples(name, &times));
    }
    for (series, samples) in of_prometheus(&timeline, &times) {
        put(&series, &samples);
    }
    for (block, mut file) in files {
        writeln!(file, "# EOF").unwrap();
        file.flush().unwrap();
        let text = folder.join(format!("{block}.txt"));
        let create = ["tsdb", "create-blocks-from", "openmetrics"];
        promtool(Command::new("promtool").args(create).args([&*text, blocks]));
        std::fs::remove_file(text).unwrap();
    }
}
