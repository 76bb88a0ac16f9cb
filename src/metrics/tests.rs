//! `/metrics`: its text and names, and the document that describes it.

use std::sync::Arc;
use std::time::Duration;
use strum::VariantArray as _;

use super::{Metrics, descriptions};
use crate::clock_steps::Step;
use crate::config::Settings;
use crate::key_state::{KeyState, PersistedKeyState, PersistedSecretState, SecretState};
use crate::partner_api::Access;
use crate::partner_api::budget::Budget;
use crate::partner_api::error::DocumentedCode;
use crate::partner_api::failure::{Failure, Reason};
use crate::partner_api::key_info::Version;
use crate::report::{Phase, Phases, ProbeReport};
use crate::state::{Inventory, KeyStatus, MonitoredKey, MonitoredPartner, ProbeStatus, SharedState, Skip};
use crate::test_support::{self, at};

const DOCUMENT: &str = include_str!("../../docs/metrics.md");

fn settings(request_ids: bool) -> Arc<Settings> {
    Arc::new(Settings { request_ids, ..Settings::default() })
}

fn probe(name: &str) -> ProbeStatus {
    ProbeStatus::new(name.into(), Duration::from_mins(1))
}

fn rendered(metrics: &Metrics, shared_state: &Arc<SharedState>) -> String {
    metrics.render(shared_state).map(|piece| String::from_utf8(piece.to_vec()).unwrap()).collect()
}

/// A report of 50 ms at 1,700,000,000.25 s.
fn report(outcome: Result<(), Failure>) -> ProbeReport {
    let status = Some(if outcome.is_ok() { 200 } else { 401 });
    let phases = Phases::new([1, 2, 3, 40, 4].map(Duration::from_millis));
    let finished = at(1_700_000_000) + Duration::from_millis(250);
    ProbeReport { phases, status, ..test_support::report(finished, outcome) }
}

/// The shared state of one key. Its only probe has run twice, and failed the second time.
fn shared_state(partner: &str, key: &str, request_ids: bool) -> Arc<SharedState> {
    let partner = Arc::new(MonitoredPartner::new(partner.into(), PersistedSecretState::new(at(5))));
    let persisted =
        PersistedKeyState { state: KeyState::Active, has_been_active: true, ..PersistedKeyState::new(at(7)) };
    let mut status = KeyStatus::new(persisted, [probe("exercices")]);
    status.probes[0].record(&report(Ok(())));
    let code = Some(DocumentedCode::ApiTokenNotFound.into());
    status.probes[0].record(&report(Err(Failure { code, ..Failure::new(Reason::Token, "") })));
    let key = Arc::new(MonitoredKey::new(Arc::clone(&partner), key.into(), Access::Society, status));
    let shared_state = Arc::new(SharedState::default());
    shared_state.set_inventory(Inventory {
        settings: settings(request_ids),
        partners: vec![partner],
        keys: vec![key],
        ..Inventory::default()
    });
    let api = shared_state.inventory().settings.api.base_url.clone();
    shared_state.record_certificate(&api, at(9));
    shared_state
}

#[test]
fn every_metric_has_help_and_type_from_the_first_scrape() {
    let text = rendered(&Metrics::new().unwrap(), &Arc::new(SharedState::default()));
    // It exists only if something is restored.
    for family in descriptions().filter(|it| it.name != "myunisoft_exporter_restore_success") {
        assert!(text.contains(&format!("# TYPE {} {}\n", family.name, family.kind)), "{}", family.name);
        assert!(text.contains(&format!("# HELP {} {}\n", family.name, family.help)), "{}", family.name);
    }
}

#[test]
fn histograms_and_the_counters_of_the_health_probe_start_at_zero() {
    let metrics = Metrics::new().unwrap();
    metrics.set_probes(&["health", "exercices"]);
    let text = rendered(&metrics, &Arc::new(SharedState::default()));
    for line in [
        "myunisoft_probe_duration_seconds_count{probe=\"exercices\"} 0\n",
        "myunisoft_probes_total{probe=\"health\"} 0\n",
        "myunisoft_probe_successes_total{probe=\"health\"} 0\n",
        "myunisoft_probe_failures_total{probe=\"health\",reason=\"maintenance\"} 0\n",
        "myunisoft_probes_skipped_total{probe=\"health\",reason=\"rate_limit\"} 0\n",
    ] {
        assert!(text.contains(line), "{line}");
    }
    for phase in Phase::VARIANTS {
        let count = "myunisoft_probe_phase_duration_seconds_count";
        assert!(text.contains(&format!("{count}{{phase=\"{phase}\",probe=\"exercices\"}} 0\n")), "{phase}");
    }
    assert!(text.contains("myunisoft_probe_interval_seconds{probe=\"health\"}"));
    assert!(!text.contains("myunisoft_probe_up{"), "a probe that has not run is neither up nor down");
    metrics.set_probes(&["health"]);
    assert!(!rendered(&metrics, &Arc::new(SharedState::default())).contains("exercices"));
}

#[test]
fn one_key_has_exactly_these_samples() {
    let text = rendered(&Metrics::new().unwrap(), &shared_state("acme", "dupont", true));
    let of_key: Vec<_> = text.lines().filter(|line| line.contains("partner=\"acme\"")).collect();
    let expected = "\
myunisoft_probe_up{probe=\"exercices\",partner=\"acme\",key=\"dupont\"} 0
myunisoft_probes_total{probe=\"exercices\",partner=\"acme\",key=\"dupont\"} 2
myunisoft_probe_successes_total{probe=\"exercices\",partner=\"acme\",key=\"dupont\"} 1
myunisoft_probe_failures_total{probe=\"exercices\",partner=\"acme\",key=\"dupont\",reason=\"token\"} 1
myunisoft_probe_last_duration_seconds{probe=\"exercices\",partner=\"acme\",key=\"dupont\"} 0.05
myunisoft_probe_last_timestamp_seconds{probe=\"exercices\",partner=\"acme\",key=\"dupont\"} 1700000000.250
myunisoft_probe_last_success_timestamp_seconds{probe=\"exercices\",partner=\"acme\",key=\"dupont\"} 1700000000.250
myunisoft_probe_http_status_code{probe=\"exercices\",partner=\"acme\",key=\"dupont\"} 401
myunisoft_probe_error_info{probe=\"exercices\",partner=\"acme\",key=\"dupont\",reason=\"token\",code=\"ERR-API-TOKEN-NOT-FOUND\",request_id=\"\"} 1
myunisoft_key_refused_probes{partner=\"acme\",key=\"dupont\"} 1
myunisoft_key_state{partner=\"acme\",key=\"dupont\",state=\"unknown\"} 0
myunisoft_key_state{partner=\"acme\",key=\"dupont\",state=\"pending\"} 0
myunisoft_key_state{partner=\"acme\",key=\"dupont\",state=\"active\"} 1
myunisoft_key_state{partner=\"acme\",key=\"dupont\",state=\"not_found\"} 0
myunisoft_key_state{partner=\"acme\",key=\"dupont\",state=\"revoked\"} 0
myunisoft_key_state{partner=\"acme\",key=\"dupont\",state=\"disconnected\"} 0
myunisoft_key_state{partner=\"acme\",key=\"dupont\",state=\"folder_not_found\"} 0
myunisoft_key_state{partner=\"acme\",key=\"dupont\",state=\"invalid\"} 0
myunisoft_key_state{partner=\"acme\",key=\"dupont\",state=\"forbidden\"} 0
myunisoft_key_state_since_timestamp_seconds{partner=\"acme\",key=\"dupont\"} 7.000
myunisoft_key_info{partner=\"acme\",key=\"dupont\",access=\"society\",schema_id=\"\",third_party_id=\"\",society_id=\"\"} 1
myunisoft_secret_state{partner=\"acme\",state=\"unknown\"} 1
myunisoft_secret_state{partner=\"acme\",state=\"pending\"} 0
myunisoft_secret_state{partner=\"acme\",state=\"active\"} 0
myunisoft_secret_state{partner=\"acme\",state=\"rejected\"} 0
myunisoft_secret_state_since_timestamp_seconds{partner=\"acme\"} 5.000
myunisoft_exporter_configured_keys{partner=\"acme\"} 1";
    assert_eq!(of_key, expected.lines().collect::<Vec<_>>());
    assert!(
        text.contains(
            "myunisoft_tls_certificate_expiry_timestamp_seconds{host=\"api.myunisoft.fr\"} 9.000\n"
        )
    );
}

/// A fleet whose keys all work, and have everything that the API can say about a key.
fn working_fleet(keys: usize) -> Arc<SharedState> {
    let partner = Arc::new(MonitoredPartner::new("acme".into(), PersistedSecretState::new(at(5))));
    let key = |number: usize| {
        let persisted = PersistedKeyState {
            state: KeyState::Active,
            has_been_active: true,
            ..PersistedKeyState::new(at(1_700_000_000))
        };
        let mut status = KeyStatus::new(persisted, [probe("key_info"), probe("exercices")]);
        for index in [0, 1] {
            status.record(index, &report(Ok(())));
        }
        status.version = Some(Version { current: 1, latest: 1 });
        status.routes = Some(40);
        let reset = Some(at(1_700_000_000));
        status.budget =
            Some(Budget { total: Some(20), remaining: Some(19), reset, holds_for: Duration::ZERO });
        let name = format!("customer-{number:05}").into();
        Arc::new(MonitoredKey::new(Arc::clone(&partner), name, Access::Society, status))
    };
    let keys = (0..keys).map(key).collect();
    let shared_state = Arc::new(SharedState::default());
    shared_state.set_inventory(Inventory {
        partners: vec![Arc::clone(&partner)],
        keys,
        ..Inventory::default()
    });
    shared_state
}

/// Series and bytes are what a key costs Prometheus and the network.
#[test]
fn a_working_key_has_31_series() {
    let size = |keys| {
        let text = rendered(&Metrics::new().unwrap(), &working_fleet(keys));
        (text.lines().filter(|line| !line.starts_with('#')).count(), text.len())
    };
    let ((series, bytes), (series_of_more, bytes_of_more)) = (size(10), size(110));
    assert_eq!((series_of_more - series) / 100, 31);
    // When this was written: 2,660 bytes.
    assert!((bytes_of_more - bytes) / 100 <= 2_800, "{} bytes per key", (bytes_of_more - bytes) / 100);
    assert!(DOCUMENT.contains("a working key has 31 series"));
}

#[test]
fn the_interval_of_a_probe_is_written_once_and_again_for_each_key_that_differs() {
    let partner = Arc::new(MonitoredPartner::new("acme".into(), PersistedSecretState::new(at(5))));
    let key = |name: &str, minutes: &[u64]| {
        let probes = ["key_info", "exercices"].into_iter().zip(minutes);
        let probes =
            probes.map(|(name, minutes)| ProbeStatus::new(name.into(), Duration::from_mins(*minutes)));
        let status = KeyStatus::new(PersistedKeyState::new(at(7)), probes);
        Arc::new(MonitoredKey::new(Arc::clone(&partner), name.into(), Access::Society, status))
    };
    let shared_state = Arc::new(SharedState::default());
    shared_state.set_inventory(Inventory {
        settings: settings(true),
        partners: vec![Arc::clone(&partner)],
        keys: vec![key("dupont", &[1, 5]), key("martin", &[1, 2]), key("durand", &[3, 5])],
        ..Inventory::default()
    });
    let text = rendered(&Metrics::new().unwrap(), &shared_state);
    let intervals: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("myunisoft_probe_interval_seconds")).collect();
    let expected = [
        "{probe=\"health\"} 0",
        "{probe=\"exercices\"} 300",
        "{probe=\"key_info\"} 60",
        "{probe=\"exercices\",partner=\"acme\",key=\"martin\"} 120",
        "{probe=\"key_info\",partner=\"acme\",key=\"durand\"} 180",
    ];
    assert_eq!(intervals, expected);
}

#[test]
fn the_refused_probes_are_those_of_the_present_and_not_of_the_start_of_the_episode() {
    let shared_state = shared_state("acme", "dupont", true);
    let metrics = Metrics::new().unwrap();
    let key = Arc::clone(&shared_state.inventory().keys[0]);
    let refused_after = |outcome| {
        key.status().probes[0].record(&report(outcome));
        let text = rendered(&metrics, &shared_state);
        let sample = "myunisoft_key_refused_probes{partner=\"acme\",key=\"dupont\"} ";
        text.lines().find_map(|line| line.strip_prefix(sample)).map(str::to_owned)
    };
    let refusal =
        |reason, code: DocumentedCode| Failure { code: Some(code.into()), ..Failure::new(reason, "") };
    let timeout = || Err(Failure::new(Reason::Timeout, ""));
    // The first failure of the episode was a refusal. Two timeouts leave it open, three do not.
    for refused in ["1", "1", "0", "0"] {
        assert_eq!(refused_after(timeout()).as_deref(), Some(refused));
    }
    assert_eq!(refused_after(Ok(())), None, "a working key has no sample");
    // The first failure of the episode is none, and then the key is refused.
    assert_eq!(refused_after(timeout()), None);
    let forbidden = refusal(Reason::Forbidden, DocumentedCode::ForbiddenAccess);
    assert_eq!(refused_after(Err(forbidden)).as_deref(), Some("1"));
    // Another probe is accepted, and the key works again: this one has not run since.
    let persisted = |state| PersistedKeyState { state, ..PersistedKeyState::new(at(70)) };
    for state in [KeyState::Forbidden, KeyState::Active] {
        key.status().set_persisted(persisted(state), None);
    }
    assert_eq!(refused_after(timeout()).as_deref(), Some("0"), "the key works again");
    let route = refusal(Reason::Forbidden, DocumentedCode::ForbiddenRoute);
    assert_eq!(refused_after(Err(route)), None, "the refusal of a route is an episode of its own");
}

#[test]
fn the_request_id_can_be_disabled() {
    let text = rendered(&Metrics::new().unwrap(), &shared_state("acme", "dupont", false));
    assert!(text.contains("code=\"ERR-API-TOKEN-NOT-FOUND\"} 1\n") && !text.contains("request_id=\""));
}

#[test]
fn special_characters_in_names_are_escaped() {
    let text =
        rendered(&Metrics::new().unwrap(), &shared_state("<script>\"a\\b\"", "Société d'Études\n", true));
    assert!(text.contains(r#"partner="<script>\"a\\b\"",key="Société d'Études\n""#), "{text}");
}

#[test]
fn a_partner_has_the_number_of_its_keys_and_no_series_after_it_is_removed() {
    let shared_state = shared_state("acme", "dupont", true);
    let metrics = Metrics::new().unwrap();
    let count = |shared_state| {
        let text = rendered(&metrics, shared_state);
        let lines = text.lines().filter_map(|line| line.strip_prefix("myunisoft_exporter_configured_keys"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let inventory = shared_state.inventory();
    let empty = Arc::new(MonitoredPartner::new("quai".into(), PersistedSecretState::new(at(5))));
    let key = |name: &str| {
        let status = KeyStatus::new(PersistedKeyState::new(at(7)), [probe("exercices")]);
        Arc::new(MonitoredKey::new(Arc::clone(&inventory.partners[0]), name.into(), Access::Firm, status))
    };
    shared_state.set_inventory(Inventory {
        settings: settings(true),
        partners: vec![Arc::clone(&inventory.partners[0]), empty],
        keys: vec![key("dupont"), key("martin")],
        ..Inventory::default()
    });
    assert_eq!(count(&shared_state), ["{partner=\"acme\"} 2", "{partner=\"quai\"} 0"]);
    shared_state.set_inventory(Inventory::default());
    assert!(count(&shared_state).is_empty());
}

#[test]
fn the_clock_of_the_exporter_is_read_at_each_scrape() {
    let metrics = Metrics::new().unwrap();
    let clock = || {
        let text = rendered(&metrics, &Arc::default());
        let value = text.lines().find_map(|l| l.strip_prefix("myunisoft_exporter_clock_timestamp_seconds "));
        Duration::from_secs_f64(value.unwrap().parse().unwrap())
    };
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    for _ in 0..2 {
        let before = now();
        let (scraped, after) = (clock(), now());
        let tolerance = Duration::from_millis(1);
        assert!(
            before <= scraped + tolerance && scraped <= after + tolerance,
            "{before:?} {scraped:?} {after:?}"
        );
    }
}

#[test]
fn the_times_of_the_last_probes_and_of_the_last_reload_follow_a_clock_that_was_set() {
    let (metrics, shared_state) = (Metrics::new().unwrap(), shared_state("acme", "dupont", false));
    metrics.config_reloaded(true, at(1_000));
    let times = || {
        let text = rendered(&metrics, &shared_state);
        let value = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.rsplit(' ').next()?.parse().ok())
        };
        ["last_timestamp", "last_success_timestamp"]
            .map(|name| value(&format!("myunisoft_probe_{name}_seconds{{probe=\"exercices\"")))
            .into_iter()
            .chain([value("myunisoft_exporter_config_last_reload_success_timestamp_seconds")])
            .collect::<Option<Vec<f64>>>()
            .unwrap()
    };
    let before = times();
    for (step, moved) in
        [(Step::Forward(Duration::from_secs(90)), 90.0), (Step::Back(Duration::from_mins(2)), -30.0)]
    {
        shared_state.correct_times(step);
        metrics.correct_times(step);
        assert_eq!(times(), before.iter().map(|time| time + moved).collect::<Vec<_>>());
    }
}

#[test]
fn only_a_key_with_labels_has_a_series_with_them() {
    let shared_state = shared_state("acme", "dupont", true);
    let text = || rendered(&Metrics::new().unwrap(), &shared_state);
    let without = text();
    assert!(!without.contains("myunisoft_key_labels{"));
    let labels = [("customer", "4711"), ("key", "a \"b\"")];
    let labels = labels.map(|(name, value)| (name.into(), value.into()));
    shared_state.inventory().keys[0].set_operator_labels(Arc::new(labels.into()));
    let line =
        r#"myunisoft_key_labels{partner="acme",key="dupont",label_customer="4711",label_key="a \"b\""} 1"#;
    let with = text();
    let added: Vec<_> = with.lines().filter(|line| line.contains("4711")).collect();
    assert_eq!(added, [line]);
    assert_eq!(with.matches("{partner=\"acme\"").count(), without.matches("{partner=\"acme\"").count() + 1);
}

#[test]
fn a_removed_key_has_no_series() {
    let shared_state = shared_state("acme", "dupont", true);
    shared_state.set_inventory(Inventory::default());
    assert!(!rendered(&Metrics::new().unwrap(), &shared_state).contains("acme"));
}

#[test]
fn the_text_of_a_large_fleet_is_sent_in_pieces_and_complete() {
    let partner = Arc::new(MonitoredPartner::new("acme".into(), PersistedSecretState::new(at(5))));
    let key = |number: u32| {
        let status = KeyStatus::new(PersistedKeyState::new(at(7)), [probe("key_info"), probe("exercices")]);
        Arc::new(MonitoredKey::new(
            Arc::clone(&partner),
            format!("key-{number}").into(),
            Access::Firm,
            status,
        ))
    };
    let keys = (0..2_000).map(key).collect();
    let shared_state = Arc::new(SharedState::default());
    shared_state.set_inventory(Inventory {
        partners: vec![Arc::clone(&partner)],
        keys,
        settings: settings(true),
        ..Inventory::default()
    });
    let metrics = Metrics::new().unwrap();
    let pieces: Vec<_> = metrics.render(&shared_state).collect();
    assert!(pieces.len() > 5 && pieces.iter().all(|piece| piece.len() < 200_000));
    let text = rendered(&metrics, &shared_state);
    assert_eq!(text.matches("# TYPE myunisoft_key_state gauge").count(), 1);
    let count = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!(count("myunisoft_key_state{"), 2_000 * KeyState::VARIANTS.len());
    assert_eq!(count("myunisoft_probes_total{"), 2_000 * 2 + 1);
    let mut lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), all, "each sample is unique");
}

#[test]
fn the_document_has_the_metrics_types_and_labels_of_the_code() {
    let types: Vec<_> = DOCUMENT.lines().filter(|line| line.starts_with("| `myunisoft_")).collect();
    let mut documented: Vec<_> = types
        .iter()
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let labels: Vec<_> = cells[2].split('`').skip(1).step_by(2).collect();
            (cells[0].trim_matches('`'), cells[1], labels)
        })
        .collect();
    let mut known: Vec<_> = descriptions()
        .map(|metric| (metric.name, metric.kind.into_str(), [metric.subject, metric.labels].concat()))
        .collect();
    documented.sort_unstable();
    known.sort_unstable();
    assert_eq!(documented, known);
}

#[test]
fn the_document_has_the_label_values_of_the_code() {
    let section = |title: &str| -> Vec<&str> {
        let start = DOCUMENT.split_once(&format!("## {title}\n")).expect(title).1;
        let section = start.split("\n## ").next().unwrap();
        section.lines().filter(|l| l.starts_with("| `")).map(|l| l.split('`').nth(1).unwrap()).collect()
    };
    assert_eq!(
        section("States of a key"),
        KeyState::VARIANTS.iter().map(KeyState::into_str).collect::<Vec<_>>()
    );
    assert_eq!(
        section("States of a secret"),
        SecretState::VARIANTS.iter().map(SecretState::into_str).collect::<Vec<_>>()
    );
    assert_eq!(
        section("Reasons of failures"),
        Reason::VARIANTS.iter().map(Reason::into_str).collect::<Vec<_>>()
    );
    assert_eq!(
        section("Reasons of skipped probes"),
        Skip::VARIANTS.iter().map(Skip::into_str).collect::<Vec<_>>()
    );
    assert_eq!(section("Phases"), Phase::VARIANTS.iter().map(Phase::into_str).collect::<Vec<_>>());
}
