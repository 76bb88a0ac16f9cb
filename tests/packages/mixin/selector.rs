//! Another selector.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::json;

use super::{DEFAULT, Mixin, mixin, promtool, rule_tests};
use crate::support::monitoring::alerts_folder;

static WATCHED: LazyLock<Mixin> = LazyLock::new(|| mixin(r#"myunisoftSelector: 'job="watched"'"#));

/// The recorded series that have no labels of a target.
fn constants(plain: &Mixin) -> BTreeSet<&str> {
    let rules = plain.all_rules().into_iter();
    let constants = rules.filter(|rule| rule["expr"].as_str().unwrap().starts_with("vector("));
    constants.filter_map(|rule| rule["record"].as_str()).collect()
}

/// The number of words in an expression that are names of series of a target.
fn metrics_in(expr: &str, plain: &Mixin) -> usize {
    let constants = constants(plain);
    let is_metric = |word: &&str| {
        let served = word.starts_with("myunisoft_");
        let standard = *word == "up" || word.starts_with("process_") || word.starts_with("scrape_");
        // Recorded series have a level, which is followed by a colon.
        (served || standard || word.contains(":myunisoft_") || word.contains(":up:"))
            && !constants.contains(*word)
    };
    expr.split(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c))).filter(is_metric).count()
}

/// Checks that `after` is `before` with the selector at every metric, and nothing else.
fn assert_selected(before: &str, after: &str, at_least: usize) {
    let added = after.matches(r#"{job="watched""#).count();
    let undone = after.replace(r#"{job="watched"}"#, "").replace(r#"{job="watched", "#, "{");
    assert_eq!(undone, before, "more than the selector has changed");
    assert_eq!(added, at_least, "{after}");
}

#[test]
fn another_selector_is_added_to_every_metric_of_every_rule_and_panel() {
    let (plain, selected) = (Mixin::plain(), &*WATCHED);
    for (before, after) in plain.all_rules().into_iter().zip(selected.all_rules()) {
        let [before, after] = [before, after].map(|rule| rule["expr"].as_str().unwrap());
        // Unlike other metrics of Prometheus, `ALERTS` is always followed by matchers.
        assert_selected(before, after, metrics_in(before, &plain) + before.matches("ALERTS{").count());
    }
    for ((_, before), (_, after)) in plain.queries().into_iter().zip(selected.queries()) {
        assert_selected(before, after, metrics_in(before, &plain));
    }
    for (file, board) in selected.dashboards.as_object().unwrap() {
        for variable in &board["templating"]["list"].as_array().unwrap()[1..] {
            let query = variable["query"]["query"].as_str().unwrap();
            assert!(query.contains(r#"{job="watched""#), "{file}: {query}");
        }
    }
    let query = &selected.dashboards["key.json"]["templating"]["list"][2]["query"]["query"];
    assert_eq!(query, r#"label_values(myunisoft_exporter_build_info{job="watched", job=~"$job"}, instance)"#);
}

/// The tests of the plain rules hold. (Every series in them has a job.)
#[test]
fn rules_with_a_selector_pass_the_tests_of_the_plain_rules() {
    let selected = mixin(r#"myunisoftSelector: 'job=~".+"'"#);
    let folder = tempfile::tempdir().unwrap();
    selected.write_rules(folder.path());
    let tests = folder.path().join("tests");
    std::fs::create_dir(&tests).unwrap();
    std::thread::scope(|scope| {
        // `settings.yml` is about a missing file; the mixin has all.
        for file in rule_tests().iter().filter(|file| !file.ends_with("settings.yml")) {
            let copy = tests.join(file.file_name().unwrap());
            std::fs::copy(file, &copy).unwrap();
            scope.spawn(move || {
                let (success, output) =
                    promtool(&alerts_folder(), &["test", "rules", copy.to_str().unwrap()]);
                assert!(success, "{output}");
            });
        }
    });
}

/// Two jobs have the same faults: a revoked key and an API that is down.
#[test]
fn only_the_selected_job_gives_alerts_and_recorded_series() {
    let series = |job: &str| {
        let target = format!(r#"job="{job}",instance="{job}:10698""#);
        let key = format!(r#"{target},partner="acme",key="dupont""#);
        [
            (format!("up{{{target}}}"), "1x60"),
            (format!(r#"myunisoft_exporter_build_info{{{target},version="0.1.0"}}"#), "1x60"),
            (format!("myunisoft_exporter_clock_timestamp_seconds{{{target}}}"), "0+60x60"),
            (format!(r#"myunisoft_probe_up{{{target},probe="health"}}"#), "0x60"),
            (format!(r#"myunisoft_probes_total{{{target},probe="health"}}"#), "4+4x60"),
            (format!(r#"myunisoft_probe_failures_total{{{target},probe="health",reason="dns"}}"#), "4+4x60"),
            (
                format!(r#"myunisoft_probe_error_info{{{target},probe="health",reason="dns",code="other",request_id=""}}"#),
                "1x60",
            ),
            (format!(r#"myunisoft_key_state{{{key},state="revoked"}}"#), "1x60"),
            (format!("myunisoft_key_state_since_timestamp_seconds{{{key}}}"), "0x60"),
            (format!("myunisoft_exporter_configured_keys{{{target},partner=\"acme\"}}"), "1x60"),
        ]
        .map(|(series, values)| json!({"series": series, "values": values}))
    };
    let series = [series("watched"), series("other")].concat();
    let firing = |job: &str| {
        let sample = |alert: &str| {
            let labels = format!(r#"{{alertname="{alert}",job="{job}"}}"#);
            json!({"labels": labels, "value": 1})
        };
        [sample("MyUnisoftApiDown"), sample("MyUnisoftKeyRevoked")]
    };
    let test = |jobs: &[&str]| {
        let alerts: Vec<_> = jobs.iter().flat_map(|job| firing(job)).collect();
        let recorded: Vec<_> =
            jobs.iter().map(|job| json!({"labels": format!(r#"{{job="{job}"}}"#), "value": 1})).collect();
        json!({
            "interval": "1m",
            "input_series": series,
            "promql_expr_test": [
                {
                    "eval_time": "30m",
                    "expr": r#"count by (alertname, job) (ALERTS{alertstate="firing",alertname=~".*(ApiDown|KeyRevoked)"})"#,
                    "exp_samples": alerts,
                },
                {
                    "eval_time": "30m",
                    "expr": r#"group by (job) ({__name__=~".+:.+:.+",__name__!~"myunisoft:.*"})"#,
                    "exp_samples": recorded,
                },
            ],
        })
    };
    let (success, output) = DEFAULT.test(&test(&["watched", "other"]));
    assert!(success, "{output}");
    let (success, output) = WATCHED.test(&test(&["watched"]));
    assert!(success, "{output}");
}
