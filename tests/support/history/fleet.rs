//! The story: a fleet, and what happens to it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use partner_simulator::{EXERCICES, Fault, KeySpec, Limits, Refusal, Scope, Simulator};

use super::{DISCONNECTED, FORBIDDEN, KeyName, MENDED, REVOKED, STORY, Scrape, seconds};
use crate::support::SECRET;
use crate::support::server::{Exporter, until};

/// A second of the exporter is so many seconds of the story. Intervals of 0.6 seconds are one minute in the story.
pub(super) const PACE: f64 = 100.0;
/// The duration of the story, in seconds.
pub(super) const DURATION: f64 = 372.0 * 60.0;

/// How many keys of each partner the exporter really monitors, apart from those of the story. Each one stands for many
/// others, because 300 keys with an interval of a second keep a small machine busy.
const REAL_KEYS: usize = 2;

/// The partners, with the number of their keys.
const PARTNERS: [(&str, usize); 3] = [("valmy-logiciels", 160), ("atelier-nord", 100), ("quai-ouest", 40)];

const CUSTOMERS: [&str; 25] = [
    "garnier",
    "fontaine",
    "blanchet",
    "moreau",
    "dupont",
    "martin",
    "durand",
    "bernard",
    "roux",
    "girard",
    "lefebvre",
    "leroy",
    "petit",
    "chevalier",
    "lambert",
    "mercier",
    "faure",
    "rousseau",
    "vincent",
    "muller",
    "henry",
    "perrin",
    "morin",
    "gauthier",
    "robin",
];
const PLACES: [&str; 12] = [
    "lyon",
    "nantes",
    "lille",
    "paris",
    "bordeaux",
    "rennes",
    "toulouse",
    "strasbourg",
    "dijon",
    "tours",
    "nancy",
    "brest",
];

/// What happens at the beginning of a chapter.
struct Event {
    /// How long before the end, in minutes.
    minutes_before_the_end: f64,
    action: fn(&Simulator),
    /// A series of the exporter, and its value when it has seen the event.
    seen: (&'static str, f64),
}

const API_UP: &str = r#"myunisoft_probe_up{probe="health"}"#;

macro_rules! state {
    ($partner:literal, $key:literal, $state:literal) => {
        concat!("myunisoft_key_state{partner=\"", $partner, "\",key=\"", $key, "\",state=\"", $state, "\"}")
    };
}

const EVENTS: [Event; 9] = [
    Event { minutes_before_the_end: 372.0, action: |_| {}, seen: (API_UP, 1.0) },
    Event { minutes_before_the_end: 325.0, action: Simulator::begin_maintenance, seen: (API_UP, 0.0) },
    Event { minutes_before_the_end: 300.0, action: heal, seen: (API_UP, 1.0) },
    Event {
        minutes_before_the_end: 270.0,
        action: |api| key(api, MENDED).revoke(),
        seen: (state!("atelier-nord", "moreau-paris", "revoked"), 1.0),
    },
    Event {
        minutes_before_the_end: 215.0,
        action: |api| key(api, MENDED).restore(),
        seen: (state!("atelier-nord", "moreau-paris", "active"), 1.0),
    },
    Event {
        minutes_before_the_end: 190.0,
        action: |api| key(api, DISCONNECTED).disconnect("suspended at the request of the firm"),
        seen: (state!("atelier-nord", "fontaine-nantes", "disconnected"), 1.0),
    },
    Event {
        minutes_before_the_end: 125.0,
        action: |api| api.inject(Scope::Everything, Fault::edge(StatusCode::BAD_GATEWAY)),
        seen: (API_UP, 0.0),
    },
    Event { minutes_before_the_end: 118.0, action: heal, seen: (API_UP, 1.0) },
    Event {
        minutes_before_the_end: 42.0,
        action: |api| {
            key(api, REVOKED).revoke();
            key(api, FORBIDDEN).forbid(EXERCICES, Refusal::new("ERR-FORBIDDEN-ROUTE"));
        },
        seen: (state!("valmy-logiciels", "garnier-lyon", "revoked"), 1.0),
    },
];

fn heal(api: &Simulator) {
    api.heal(&Scope::Everything);
}

fn key(api: &Simulator, (_, name): KeyName) -> partner_simulator::Key {
    api.key(name).unwrap()
}

/// A chapter of the story, with the scrapes that it gave.
pub(super) struct Chapter {
    /// When it begins, in seconds before the end of the story.
    pub(super) before_the_end: f64,
    /// When the exporter saw it begin, in seconds since the Unix epoch.
    pub(super) began: f64,
    pub(super) scrapes: Vec<Scrape>,
}

impl Chapter {
    pub(super) fn first(&self) -> &Scrape {
        self.scrapes.first().unwrap()
    }

    pub(super) fn last(&self) -> &Scrape {
        self.scrapes.last().unwrap()
    }
}

/// The keys of the story, and for each partner a few keys that work.
fn real_keys() -> Vec<KeyName> {
    let partners = PARTNERS.iter().flat_map(|(partner, _)| std::iter::repeat_n(*partner, REAL_KEYS));
    let working = partners.zip(names());
    STORY.into_iter().chain(working).collect()
}

/// The names of the keys without a part in the story.
fn names() -> impl Iterator<Item = &'static str> {
    CUSTOMERS
        .iter()
        .flat_map(|customer| {
            // The tests are one process, so these few names may stay in memory.
            PLACES.map(|place| &*format!("{customer}-{place}").leak())
        })
        .filter(|name| STORY.iter().all(|(_, key)| key != name))
}

/// For each of the other keys, the real key that it is like.
fn likenesses() -> Vec<(KeyName, &'static str)> {
    let real = real_keys();
    let mut names = names().skip(PARTNERS.len() * REAL_KEYS);
    let mut likenesses = Vec::new();
    for (partner, count) in PARTNERS {
        let own: Vec<_> = real.iter().filter(|(owner, _)| *owner == partner).collect();
        let working: Vec<_> = own.iter().copied().filter(|key| !STORY.contains(key)).collect();
        let others = names.by_ref().take(count - own.len()).enumerate();
        likenesses.extend(others.map(|(index, name)| (*working[index % working.len()], name)));
    }
    likenesses
}

/// Adds the series of the keys that are like a real key.
fn with_likenesses(mut scrape: Scrape, likenesses: &[(KeyName, &str)]) -> Scrape {
    let of_key = |series: &str, (partner, key): KeyName| {
        series.contains(&format!("partner=\"{partner}\",key=\"{key}\""))
    };
    let mut more = HashMap::new();
    for ((partner, key), name) in likenesses {
        for (series, value) in scrape.samples.iter().filter(|(series, _)| of_key(series, (partner, key))) {
            more.insert(series.replace(&format!("key=\"{key}\""), &format!("key=\"{name}\"")), *value);
        }
    }
    scrape.samples.extend(more);
    for (partner, count) in PARTNERS {
        let configured = format!("myunisoft_exporter_configured_keys{{partner=\"{partner}\"}}");
        *scrape.samples.get_mut(&configured).expect("the number of the partner's keys") =
            f64::from(u16::try_from(count).unwrap());
    }
    scrape
}

async fn api(keys: &[KeyName]) -> Simulator {
    let mut builder =
        Simulator::builder().tls().limits(Limits { window: Duration::from_secs(3), ..Limits::default() });
    for (partner, _) in PARTNERS {
        builder = builder.partner(partner, &format!("{SECRET}-of-{partner}"));
        for (society, (_, name)) in (1..).zip(keys.iter().filter(|(owner, _)| *owner == partner)) {
            builder = builder.key(KeySpec::society(name, 80, society));
        }
    }
    builder.start().await.unwrap()
}

fn configuration(api: &Simulator, keys: &[KeyName], folder: &std::path::Path) -> String {
    std::fs::write(folder.join("ca.pem"), api.ca_pem().unwrap()).unwrap();
    let mut text = format!(
        "api: {{base_url: \"{}\", auth_url: \"{}\", ca_file: ca.pem}}\n\
         health: {{interval: 600ms, timeout: 600ms}}\n\
         key_info: {{interval: 600ms, timeout: 600ms}}\n\
         canaries:\n  exercices: {{path: \"/api/v1/mad/exercices?version=1.0.0\", interval: 600ms, timeout: 600ms}}\n\
         partners:\n",
        api.base_url(),
        api.auth_url(),
    );
    for (partner, _) in PARTNERS {
        writeln!(text, "  - name: {partner}\n    secret: {SECRET}-of-{partner}\n    keys:").unwrap();
        for (_, name) in keys.iter().filter(|(owner, _)| *owner == partner) {
            let token = api.key(name).unwrap().token().unwrap();
            writeln!(text, "      - {{name: {name}, access: society, token: {token}}}").unwrap();
        }
    }
    text
}

/// Whether each probe has run so often since an earlier scrape.
fn has_run(runs: f64, earlier: &Scrape, now: &Scrape) -> bool {
    let before = |series: &str| earlier.samples.get(series).copied().unwrap_or_default();
    now.values("myunisoft_probes_total").all(|(series, total)| total >= before(series) + runs)
}

/// Whether nothing fails only because this machine is busy. While the whole API fails, it does not matter.
fn is_undisturbed(scrape: &Scrape, event: &Event) -> bool {
    event.seen == (API_UP, 0.0)
        || scrape
            .values("myunisoft_probe_error_info")
            .all(|(series, _)| !series.contains("reason=\"timeout\""))
}

/// The scrapes of a chapter: the first one when each probe has seen the event, the others when each probe has run again.
async fn scrapes(exporter: &Exporter, before: Scrape, event: &Event) -> Vec<Scrape> {
    let (series, value) = event.seen;
    let mut scrapes = vec![before];
    // A run that was under way when the event happened does not count: hence two.
    for runs in [2.0, 1.0, 1.0] {
        let earlier = scrapes.last().unwrap();
        let scrape = until(series, || async {
            let scrape = Scrape::of(exporter).await;
            let seen = scrape.samples.get(series) == Some(&value);
            (seen && has_run(runs, earlier, &scrape) && is_undisturbed(&scrape, event)).then_some(scrape)
        })
        .await;
        scrapes.push(scrape);
    }
    scrapes.split_off(1)
}

/// Plays the story, and returns its chapters.
pub(super) async fn play() -> Vec<Chapter> {
    let keys = real_keys();
    let likenesses = likenesses();
    let api = api(&keys).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("exporter.yml"), configuration(&api, &keys, folder.path())).unwrap();
    let exporter = Exporter::start(folder.path(), &[]).await;
    let mut chapters = Vec::new();
    for event in EVENTS {
        let began = seconds(SystemTime::now());
        let before = Scrape::of(&exporter).await;
        (event.action)(&api);
        let scrapes = scrapes(&exporter, before, &event).await;
        let scrapes = scrapes.into_iter().map(|scrape| with_likenesses(scrape, &likenesses)).collect();
        chapters.push(Chapter { before_the_end: event.minutes_before_the_end * 60.0, began, scrapes });
    }
    chapters
}
