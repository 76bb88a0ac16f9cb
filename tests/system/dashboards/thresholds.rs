//! The thresholds on the panels are those of the alerts.

use std::collections::BTreeSet;

use myunisoft_exporter::reference;

use super::{ALERTS, EXPORTER, KEY, OVERVIEW, SETTINGS, list, nested, panels, read};

/// The value of a setting, which can be a product: `vector(14 * 86400)`.
fn setting(name: &str) -> f64 {
    let rule = SETTINGS.split_once(&format!("record: {name}\n")).unwrap_or_else(|| panic!("no {name}")).1;
    let product = rule.split_once("vector(").unwrap().1.split_once(')').unwrap().0;
    product.split('*').map(|factor| factor.trim().parse::<f64>().unwrap()).product()
}

/// The thresholds of a panel and its columns, in order.
fn thresholds(dashboard: &str, title: &str) -> Vec<f64> {
    let dashboard = read(dashboard);
    let panel = panels(&dashboard).into_iter().find(|panel| panel["title"] == title);
    let panel = panel.unwrap_or_else(|| panic!("there is no panel {title}"));
    nested(panel)
        .iter()
        .flat_map(|part| list(&part["steps"]))
        .filter_map(|step| step["value"].as_f64())
        .collect()
}

#[test]
fn panels_show_the_thresholds_of_the_alerts() {
    let shown = [
        (OVERVIEW, "Availability", vec!["myunisoft:api_availability_objective:ratio"]),
        (
            OVERVIEW,
            "Certificates expire in",
            vec!["myunisoft:certificate_critical:seconds", "myunisoft:certificate_warning:seconds"],
        ),
        (OVERVIEW, "Probe duration", vec!["myunisoft:slow_probe:seconds"]),
        (OVERVIEW, "Lowest budgets", vec!["myunisoft:low_budget:requests"]),
        (KEY, "Last duration", vec!["myunisoft:slow_probe:seconds"]),
        (KEY, "Probe duration", vec!["myunisoft:slow_probe:seconds"]),
        (KEY, "Requests left", vec!["myunisoft:low_budget:requests"]),
        (KEY, "Request budget", vec!["myunisoft:low_budget:requests"]),
        (KEY, "Probes skipped for the budget", vec!["myunisoft:low_budget_skips:ratio"]),
        (EXPORTER, "Longest time since last run", vec!["myunisoft:stale_probe:seconds"]),
        (EXPORTER, "Longest time since last run, in intervals", vec!["myunisoft:stale_probe:intervals"]),
    ];
    for (dashboard, title, settings) in &shown {
        let expected: Vec<_> = settings.iter().map(|name| setting(name)).collect();
        assert_eq!(thresholds(dashboard, title), expected, "{title}");
    }
    let settings = SETTINGS.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
    // These settings are not thresholds of a panel.
    let not_shown = [
        "myunisoft:links:info",
        "myunisoft:maintenance:ratio",
        "myunisoft:clock_skew:seconds",
        "myunisoft:keys_lost:ratio",
    ];
    for name in settings.filter(|name| !not_shown.contains(name)) {
        assert!(shown.iter().any(|(.., names)| names.contains(&name)), "no panel shows {name}");
    }
}

#[test]
fn the_burn_rate_panel_shows_the_factors_of_its_alerts() {
    let factors: BTreeSet<_> = ALERTS
        .split("* (1 - scalar(max(myunisoft:api_availability_objective:ratio)))")
        .filter_map(|before| before.trim_end().rsplit_once("> "))
        .map(|(_, factor)| factor)
        .filter(|factor| factor.parse::<f64>().is_ok())
        .collect();
    let mut factors: Vec<f64> = factors.iter().map(|factor| factor.parse().unwrap()).collect();
    factors.sort_by(f64::total_cmp);
    assert_eq!(factors.len(), 4, "{factors:?}");
    assert_eq!(thresholds(OVERVIEW, "Burn rate"), factors);
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn the_probes_in_flight_panel_shows_the_concurrency_limit() {
    assert_eq!(thresholds(EXPORTER, "Probes in flight"), [reference::MAX_PROBES_IN_FLIGHT as f64]);
}
