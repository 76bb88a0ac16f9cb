//! Several clusters.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{Mixin, mixin};

static CLUSTERS: LazyLock<Mixin> = LazyLock::new(|| {
    mixin(r#"showMultiCluster: true, clusterLabel: 'k8s', myunisoftSelector: 'job!="other"'"#)
});

#[test]
fn without_several_clusters_the_label_changes_nothing() {
    let changed = mixin("clusterLabel: 'k8s'");
    assert_eq!(changed.alerts, Mixin::plain().alerts);
    assert_eq!(changed.dashboards, Mixin::plain().dashboards);
}

#[test]
fn the_cluster_is_a_variable_of_each_dashboard_and_filters_each_query() {
    let changed = &*CLUSTERS;
    for (file, board) in changed.dashboards.as_object().unwrap() {
        let variables = board["templating"]["list"].as_array().unwrap();
        let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["datasource", "cluster", "job", "instance", "partner", "key"], "{file}");
        assert_eq!(
            variables[1]["query"]["query"],
            r#"label_values(myunisoft_exporter_build_info{job!="other"}, k8s)"#,
            "{file}"
        );
        for variable in &variables[2..] {
            let query = variable["query"]["query"].as_str().unwrap();
            assert!(query.contains(r#"{job!="other", k8s=~"$cluster""#), "{file}: {query}");
        }
    }
    for ((title, before), (_, after)) in Mixin::plain().queries().into_iter().zip(changed.queries()) {
        let settings = before.starts_with("myunisoft:");
        let selectors = before.matches(r#"job=~"$job"#).count();
        assert!(
            settings || after.matches(r#"k8s=~"$cluster"#).count() >= selectors.max(1),
            "{title}: {after}"
        );
    }
    let links = changed.dashboards.to_string();
    assert_eq!(
        links.matches("${job:queryparam}").count(),
        links.matches("${cluster:queryparam}&${job:queryparam}").count()
    );
    assert!(links.contains("${cluster:queryparam}"));
}

#[test]
fn each_alert_links_to_its_cluster() {
    for rule in CLUSTERS.all_rules() {
        let url = rule["annotations"]["dashboard_url"].as_str().unwrap_or_default();
        let cluster = url.contains("var-cluster={{ $labels.k8s | urlquery }}");
        assert_eq!(cluster, url.contains("var-job="), "{}: {url}", rule["alert"]);
    }
}

/// The same job, instance, partner and key in two clusters.
fn two_clusters() -> Vec<Value> {
    let series = |cluster: &str| {
        let target = format!(r#"k8s="{cluster}",job="myunisoft",instance="exporter:10698""#);
        let key = format!(r#"{target},partner="acme",key="dupont""#);
        [
            (format!("up{{{target}}}"), "1x60"),
            (format!(r#"myunisoft_exporter_build_info{{{target},version="0.1.0"}}"#), "1x60"),
            (format!("process_start_time_seconds{{{target}}}"), "0x60"),
            (format!("scrape_duration_seconds{{{target}}}"), "0x60"),
            (format!(r#"myunisoft_probe_up{{{key},probe="exercices"}}"#), "0x60"),
            (
                format!(r#"myunisoft_probe_error_info{{{key},probe="exercices",reason="dns",code="other",request_id=""}}"#),
                "1x60",
            ),
            (format!(r#"myunisoft_key_state{{{key},state="active"}}"#), "1x60"),
            (format!("myunisoft_key_state_since_timestamp_seconds{{{key}}}"), "0x60"),
            (format!("myunisoft_rate_limit_remaining_requests{{{key}}}"), "9x60"),
        ]
        .map(|(series, values)| json!({"series": series, "values": values}))
    };
    [series("east"), series("west")].concat()
}

/// Runs every query of every panel on two clusters, and returns the errors.
fn errors(mixin: &Mixin) -> Vec<String> {
    let queries = mixin.queries();
    let tests: Vec<_> = queries
        .iter()
        .map(|(_, expr)| {
            let expr = [
                ("$__rate_interval", "5m"),
                ("$__range_s", "3600"),
                ("$__range", "1h"),
                ("$cluster", ".+"),
                ("$job", ".+"),
                ("$instance", ".+"),
                ("$partner", ".*"),
                ("$key", ".*"),
            ]
            .iter()
            .fold((*expr).to_owned(), |expr, (name, value)| expr.replace(name, value));
            json!({"eval_time": "30m", "expr": expr, "exp_samples": []})
        })
        .collect();
    let test = json!({"interval": "1m", "input_series": two_clusters(), "promql_expr_test": tests});
    let (_, output) = mixin.test(&test);
    assert!(output.contains("FAILED"), "no query found a sample: {output}");
    output.lines().filter(|line| line.contains("err:")).map(str::to_owned).collect()
}

#[test]
fn every_query_works_if_two_clusters_have_the_same_job_and_instance() {
    assert_eq!(errors(&CLUSTERS), Vec::<String>::new());
    assert!(!errors(&Mixin::plain()).is_empty(), "the test finds no error in the plain files either");
}

/// In the east, the job is one of exporters. In the west, a job with the same name has other targets.
#[test]
fn a_target_is_not_taken_for_an_exporter_because_of_another_cluster() {
    let series = [
        (r#"up{k8s="east",job="pods",instance="exporter:10698"}"#, "1x60"),
        (r#"myunisoft_exporter_build_info{k8s="east",job="pods",instance="exporter:10698",version="0.1.0"}"#, "1x60"),
        (r#"up{k8s="west",job="pods",instance="db:9187"}"#, "0x60"),
    ]
    .map(|(series, values)| json!({"series": series, "values": values}));
    let test = json!({
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [{
            "eval_time": "30m",
            "expr": r#"count by (k8s) (ALERTS{alertname="MyUnisoftExporterDown"})"#,
            "exp_samples": [],
        }],
    });
    let (success, output) = CLUSTERS.test(&test);
    assert!(success, "{output}");
    assert!(!Mixin::plain().test(&test).0, "the plain rules join the clusters");
}
