//! The dashboards: Grafana's schema, what links and people rely on, and the rules that they draw.
//!
//! They are held against the code and the alerts; Grafana's schema is read by `tests/dashboards/check.py`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use myunisoft_exporter::key_state::{KeyState, SecretState};
use myunisoft_exporter::metrics::{FAMILIES, Kind};
use serde_json::{Value, json};

const SETTINGS: &str = include_str!("../../alerts/settings.rules.yml");
const RECORDING: &str = include_str!("../../alerts/recording.rules.yml");
const ALERTS: &str = include_str!("../../alerts/alerts.rules.yml");

const OVERVIEW: &str = include_str!("../../dashboards/overview.json");
const KEY: &str = include_str!("../../dashboards/key.json");
const EXPORTER: &str = include_str!("../../dashboards/exporter.json");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(dashboard: &str) -> Value {
    serde_json::from_str(dashboard).unwrap()
}

fn dashboards() -> [Value; 3] {
    [OVERVIEW, KEY, EXPORTER].map(read)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The panels that show something: rows apart.
fn panels(dashboard: &Value) -> Vec<&Value> {
    list(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row").collect()
}

/// Every query of every panel, with its panel's title.
fn queries(dashboard: &Value) -> Vec<(&str, &str)> {
    panels(dashboard)
        .into_iter()
        .flat_map(|panel| {
            list(&panel["targets"]).iter().map(|target| (text(&panel["title"]), text(&target["expr"])))
        })
        .collect()
}

/// Everything in a dashboard, and everything in that.
fn nested(value: &Value) -> Vec<&Value> {
    let within: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    [vec![value], within.into_iter().flat_map(nested).collect()].concat()
}

// Grafana's schema

/// What check.py says, and whether it found no fault.
fn check(files: &[PathBuf]) -> (bool, String) {
    let python = root().join("target/venv/bin/python");
    assert!(python.exists(), "{} is missing: run `make test`", python.display());
    let output =
        Command::new(python).arg(root().join("tests/dashboards/check.py")).args(files).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn every_dashboard_agrees_with_grafanas_own_schema() {
    let folder = root().join("dashboards");
    let (good, said) = check(&["overview.json", "key.json", "exporter.json"].map(|name| folder.join(name)));
    assert!(good, "{said}");
}

/// A dashboard with one mistake has exactly that fault.
fn assert_fault(mistake: impl FnOnce(&mut Value), fault: &str) {
    let mut dashboard = read(EXPORTER);
    mistake(&mut dashboard);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exporter.json");
    std::fs::write(&file, dashboard.to_string()).unwrap();
    let (good, said) = check(std::slice::from_ref(&file));
    assert!(!good, "no fault was found; expected {fault}");
    assert_eq!(said.trim_end(), format!("{}: {fault}", file.display()));
}

fn rename(fields: &mut Value, from: &str, to: &str) {
    let value = fields.as_object_mut().unwrap().remove(from).unwrap();
    fields[to] = value;
}

/// Where in the dashboard the first panel of a type stands.
fn first(dashboard: &Value, kind: &str) -> usize {
    list(&dashboard["panels"]).iter().position(|panel| panel["type"] == kind).unwrap()
}

#[test]
fn a_misspelt_field_of_a_dashboard_is_named_with_its_path() {
    let misspell = |dashboard: &mut Value| rename(dashboard, "graphTooltip", "graphToolTip");
    assert_fault(misspell, "$.graphToolTip: Grafana's schema does not know this field here");
}

#[test]
fn a_misspelt_field_of_a_panels_own_kind_is_named_with_its_path() {
    let at = first(&read(EXPORTER), "timeseries");
    assert_fault(
        |dashboard| {
            rename(
                &mut dashboard["panels"][at]["fieldConfig"]["defaults"]["custom"],
                "lineWidth",
                "lineWidht",
            );
        },
        &format!(
            "$.panels[{at}].fieldConfig.defaults.custom.lineWidht: \
             Grafana's schema does not know this field here"
        ),
    );
}

#[test]
fn a_misspelt_field_of_a_panels_options_is_named_with_its_path() {
    let at = first(&read(EXPORTER), "stat");
    assert_fault(
        |dashboard| rename(&mut dashboard["panels"][at]["options"], "colorMode", "colourMode"),
        &format!("$.panels[{at}].options.colourMode: Grafana's schema does not know this field here"),
    );
}

#[test]
fn a_misspelt_field_of_a_query_is_named_with_its_path() {
    let at = first(&read(EXPORTER), "stat");
    assert_fault(
        |dashboard| rename(&mut dashboard["panels"][at]["targets"][0], "legendFormat", "legend"),
        &format!("$.panels[{at}].targets[0].legend: Grafana's schema does not know this field here"),
    );
}

#[test]
fn a_misspelt_option_of_a_transformation_is_named_with_its_path() {
    let at = first(&read(EXPORTER), "table");
    assert_fault(
        |dashboard| {
            let options = &mut dashboard["panels"][at]["transformations"][1]["options"];
            rename(options, "renameByName", "renamedByName");
        },
        &format!("$.panels[{at}].transformations[1].options.renamedByName: there is no such field"),
    );
}

#[test]
fn a_misspelt_override_is_named_with_its_path() {
    let at = first(&read(EXPORTER), "table");
    assert_fault(
        |dashboard| {
            dashboard["panels"][at]["fieldConfig"]["overrides"][1]["properties"][0]["id"] = "units".into();
        },
        &format!(
            "$.panels[{at}].fieldConfig.overrides[1].properties[0].units: \
             Grafana's schema does not know this field here"
        ),
    );
}

#[test]
fn a_value_that_grafana_does_not_know_is_named_with_its_path() {
    let at = first(&read(EXPORTER), "stat");
    assert_fault(
        |dashboard| dashboard["panels"][at]["options"]["colorMode"] = "backgruond".into(),
        &format!("$.panels[{at}].options.colorMode: \"backgruond\" is no value that Grafana's schema allows"),
    );
}

#[test]
fn a_panel_that_lies_on_its_neighbour_is_named() {
    assert_fault(
        |dashboard| {
            dashboard["panels"][2]["gridPos"]["x"] = 3.into();
            dashboard["panels"][2]["gridPos"]["w"] = 5.into();
        },
        "$.panels[2].gridPos.x: 3, an overlap: 4 is where it belongs",
    );
}

#[test]
fn a_gap_beside_a_panel_is_named() {
    assert_fault(
        |dashboard| {
            dashboard["panels"][2]["gridPos"]["x"] = 5.into();
            dashboard["panels"][2]["gridPos"]["w"] = 3.into();
        },
        "$.panels[2].gridPos.x: 5, a gap: 4 is where it belongs",
    );
}

#[test]
fn a_gap_below_the_last_band_is_named() {
    assert_fault(
        |dashboard| {
            let panels = dashboard["panels"].as_array_mut().unwrap();
            let bottom = panels.last().unwrap()["gridPos"]["y"].clone();
            let lowered = bottom.as_u64().unwrap() + 1;
            for panel in panels.iter_mut().filter(|panel| panel["gridPos"]["y"] == bottom) {
                panel["gridPos"]["y"] = lowered.into();
            }
        },
        &{
            let dashboard = read(EXPORTER);
            let panels = list(&dashboard["panels"]);
            let y = panels.last().unwrap()["gridPos"]["y"].as_u64().unwrap();
            let at = panels.iter().position(|panel| panel["gridPos"]["y"] == y).unwrap();
            format!("$.panels[{at}].gridPos.y: {}, a gap: {y} is where it belongs", y + 1)
        },
    );
}

#[test]
fn a_panel_without_a_description_is_named() {
    let at = first(&read(EXPORTER), "stat");
    assert_fault(
        |dashboard| drop(dashboard["panels"][at].as_object_mut().unwrap().remove("description")),
        &format!("$.panels[{at}].description: a panel needs one"),
    );
}

// What links and people rely on

#[test]
fn uids_titles_and_tags_are_those_that_links_and_people_rely_on() {
    let names: Vec<_> = dashboards().iter().map(|board| json!([board["uid"], board["title"]])).collect();
    assert_eq!(
        json!(names),
        json!([
            ["myunisoft-overview", "MyUnisoft / Overview"],
            ["myunisoft-key", "MyUnisoft / Key"],
            ["myunisoft-exporter", "MyUnisoft / Exporter"],
        ])
    );
    for board in dashboards() {
        assert_eq!(board["tags"], json!(["myunisoft"]));
        assert_eq!(board["timezone"], "browser");
        assert_eq!(board["refresh"], "1m");
        assert_eq!(board.get("id"), None, "an id belongs to one Grafana");
        assert_eq!(board.get("__inputs"), None, "inputs can't be provisioned");
    }
}

/// A variable's name, label, query, and what All stands for.
fn variable(variable: &Value) -> [&str; 4] {
    let query = variable["query"].as_str().or_else(|| variable["query"]["query"].as_str()).unwrap();
    let all = variable["allValue"].as_str().unwrap_or_default();
    [text(&variable["name"]), text(&variable["label"]), query, all]
}

#[test]
fn each_variable_is_chosen_from_what_those_before_it_leave() {
    let expected = [
        ["datasource", "Data source", "prometheus", ""],
        ["job", "Job", "label_values(myunisoft_exporter_build_info, job)", ""],
        ["instance", "Instance", r#"label_values(myunisoft_exporter_build_info{job=~"$job"}, instance)"#, ""],
        [
            "partner",
            "Partner",
            r#"label_values(myunisoft_key_state{job=~"$job", instance=~"$instance"}, partner)"#,
            ".*",
        ],
        [
            "key",
            "Key",
            r#"label_values(myunisoft_key_state{job=~"$job", instance=~"$instance", partner=~"$partner"}, key)"#,
            ".*",
        ],
    ];
    for dashboard in dashboards() {
        let variables = list(&dashboard["templating"]["list"]);
        assert_eq!(variables.iter().map(variable).collect::<Vec<_>>(), expected);
        for query in &variables[1..] {
            assert_eq!(query["multi"], true);
            assert_eq!(query["includeAll"], true);
            assert_eq!(query["refresh"], 2, "keys come and go with the chosen time");
        }
    }
}

#[test]
fn each_dashboard_leads_to_the_others_with_the_same_time_and_choice() {
    for dashboard in dashboards() {
        let [link] = list(&dashboard["links"]) else { panic!("one link, by tag") };
        assert_eq!(link["tags"], json!(["myunisoft"]));
        assert_eq!((&link["keepTime"], &link["includeVars"]), (&json!(true), &json!(true)));
    }
}

#[test]
fn a_key_in_a_table_leads_to_its_own_dashboard() {
    for dashboard in [OVERVIEW, EXPORTER].map(read) {
        let tables: Vec<_> = panels(&dashboard)
            .into_iter()
            .filter(|panel| nested(panel).iter().any(|part| part["indexByName"].get("key").is_some()))
            .collect();
        assert!(!tables.is_empty());
        for table in tables {
            let link = list(&table["fieldConfig"]["overrides"])
                .iter()
                .find(|change| change["matcher"]["options"] == "key")
                .map(|change| text(&change["properties"][0]["value"][0]["url"]));
            assert_eq!(
                link,
                Some(
                    "/d/myunisoft-key?${datasource:queryparam}&${job:queryparam}&${instance:queryparam}\
                     &var-partner=${__data.fields.partner:percentencode}\
                     &var-key=${__data.fields.key:percentencode}&${__url_time_range}"
                ),
                "{}",
                table["title"]
            );
        }
    }
}

#[test]
fn every_alert_leads_to_a_dashboard_and_variables_that_exist() {
    let known: BTreeMap<_, BTreeSet<_>> = dashboards()
        .iter()
        .map(|board| {
            let names = list(&board["templating"]["list"]).iter().map(|it| text(&it["name"]).to_owned());
            (text(&board["uid"]).to_owned(), names.collect())
        })
        .collect();
    let links: Vec<_> = ALERTS.split("}}/d/").skip(1).map(|rest| rest.lines().next().unwrap()).collect();
    assert!(!links.is_empty());
    for link in links {
        let (uid, choices) = link.split_once('?').unwrap_or((link, ""));
        let variables = known.get(uid).unwrap_or_else(|| panic!("there is no dashboard {uid}"));
        for choice in choices.split('&').filter(|choice| !choice.is_empty()) {
            let name = choice.split('=').next().unwrap().trim_start_matches("var-");
            assert!(variables.contains(name), "{uid} has no variable {name}");
        }
    }
}

// Queries

/// The names of the metrics in an expression: what is left of its words without strings, selectors,
/// durations, functions, operators and lists of labels.
fn metrics_in(expr: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut rest = expr;
    while let Some(begin) = rest.chars().next() {
        rest = if begin == '{' {
            after_selector(rest)
        } else if begin == '[' {
            rest.split_once(']').unwrap().1
        } else if begin.is_alphanumeric() || "_:$".contains(begin) {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || "_:.$".contains(c)));
            let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
            after_word(word, behind, &mut found)
        } else {
            &rest[begin.len_utf8()..]
        };
    }
    found
}

/// Behind `{…}`, whose strings may hold anything.
fn after_selector(rest: &str) -> &str {
    let mut quoted = false;
    for (at, c) in rest.char_indices() {
        quoted ^= c == '"';
        if c == '}' && !quoted {
            return &rest[at + 1..];
        }
    }
    panic!("a selector without end: {rest}")
}

/// Takes a word that is a metric's name, and gives what is to be read next.
fn after_word<'a>(word: &'a str, behind: &'a str, found: &mut BTreeSet<&'a str>) -> &'a str {
    let called = ["(", "by (", "without ("].iter().any(|next| behind.trim_start().starts_with(next));
    if ["by", "on", "ignoring", "without", "group_left", "group_right"].contains(&word) {
        return if called { behind.split_once(')').unwrap().1 } else { behind };
    }
    let operator = ["and", "or", "unless", "offset", "bool"].contains(&word);
    if !called && !operator && !word.starts_with(|c: char| c.is_numeric() || c == '$') {
        found.insert(word);
    }
    behind
}

/// What the exporter serves, what the rules record, and what Prometheus itself knows of a target.
fn known_metrics() -> BTreeSet<String> {
    let served = FAMILIES.iter().flat_map(|family| match family.kind {
        Kind::Histogram => ["_bucket", "_count", "_sum"].map(|end| format!("{}{end}", family.name)).to_vec(),
        Kind::Counter | Kind::Gauge => vec![family.name.to_owned()],
    });
    let recorded = [SETTINGS, RECORDING, ALERTS]
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| Some(line.trim().strip_prefix("- record: ")?.to_owned()));
    let of_prometheus = ["ALERTS", "ALERTS_FOR_STATE", "up"].map(str::to_owned);
    served.chain(recorded).chain(of_prometheus).collect()
}

#[test]
fn the_names_of_metrics_are_found_in_an_expression() {
    let expr = r#"max by (job, key) (a_total{x=~"}|b"}) * on (key) group_left () clamp_min(c:d, 1e3)
        or 1000 * (rate(e[$__rate_interval]) > 0 unless f offset $__range)"#;
    assert_eq!(metrics_in(expr), BTreeSet::from(["a_total", "c:d", "e", "f"]));
}

#[test]
fn every_query_reads_metrics_that_exist() {
    let known = known_metrics();
    for dashboard in dashboards() {
        for (panel, expr) in queries(&dashboard) {
            let read = metrics_in(expr);
            assert!(!read.is_empty(), "{panel} reads nothing");
            for name in read {
                let usual = name.starts_with("process_") || name.starts_with("scrape_");
                assert!(usual || known.contains(name), "{panel} reads {name}, which nobody provides");
            }
        }
    }
}

#[test]
fn every_metric_is_drawn_or_known_not_to_be() {
    let drawn: BTreeSet<_> = dashboards()
        .iter()
        .flat_map(|dashboard| {
            queries(dashboard)
                .into_iter()
                .flat_map(|(_, expr)| metrics_in(expr))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    for family in FAMILIES {
        let shown = drawn.iter().any(|name| name.starts_with(family.name));
        let recorded = RECORDING.contains(family.name);
        assert!(shown || recorded || NOT_DRAWN.contains(&family.name), "{} is on no dashboard", family.name);
    }
}

/// What no panel needs: a secret's alert says since when, and a budget starts anew every few seconds.
const NOT_DRAWN: [&str; 2] =
    ["myunisoft_secret_state_since_timestamp_seconds", "myunisoft_rate_limit_reset_timestamp_seconds"];

#[test]
fn every_query_keeps_to_the_chosen_job_and_instance() {
    for dashboard in dashboards() {
        for (panel, expr) in queries(&dashboard) {
            let setting = metrics_in(expr).iter().all(|name| SETTINGS.contains(&format!("record: {name}\n")));
            assert!(setting || expr.contains(r#"job=~"$job"#), "{panel} shows every job: {expr}");
            assert!(
                setting || expr.contains(r#"instance=~"$instance"#),
                "{panel} shows every instance: {expr}"
            );
            assert!(!expr.contains("job=\""), "{panel} knows the job's name: {expr}");
        }
    }
}

// Thresholds

/// A setting's value: `vector(14 * 86400)` is a product.
fn setting(name: &str) -> f64 {
    let rule = SETTINGS.split_once(&format!("record: {name}\n")).unwrap_or_else(|| panic!("no {name}")).1;
    let product = rule.split_once("vector(").unwrap().1.split_once(')').unwrap().0;
    product.split('*').map(|factor| factor.trim().parse::<f64>().unwrap()).product()
}

/// The thresholds that a panel draws, its columns' included, in order.
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
fn panels_draw_the_thresholds_that_the_alerts_compare_with() {
    let drawn = [
        (OVERVIEW, "Availability", vec!["myunisoft:api_availability_objective:ratio"]),
        (
            OVERVIEW,
            "Certificates end in",
            vec!["myunisoft:certificate_critical:seconds", "myunisoft:certificate_warning:seconds"],
        ),
        (OVERVIEW, "How long probes take", vec!["myunisoft:slow_probe:seconds"]),
        (OVERVIEW, "Lowest budgets", vec!["myunisoft:low_budget:requests"]),
        (OVERVIEW, "Worst keys", vec!["myunisoft:low_budget:requests"]),
        (KEY, "Last duration", vec!["myunisoft:slow_probe:seconds"]),
        (KEY, "How long probes took", vec!["myunisoft:slow_probe:seconds"]),
        (KEY, "Requests left", vec!["myunisoft:low_budget:requests"]),
        (KEY, "Request budget", vec!["myunisoft:low_budget:requests"]),
        (KEY, "Left out for the budget", vec!["myunisoft:low_budget_skips:ratio"]),
        (EXPORTER, "Oldest probe", vec!["myunisoft:stale_probe:seconds"]),
        (EXPORTER, "Oldest probe, in its intervals", vec!["myunisoft:stale_probe:intervals"]),
    ];
    for (dashboard, title, settings) in &drawn {
        let expected: Vec<_> = settings.iter().map(|name| setting(name)).collect();
        assert_eq!(thresholds(dashboard, title), expected, "{title}");
    }
    let settings = SETTINGS.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
    for name in settings.filter(|name| *name != "myunisoft:links:info") {
        assert!(drawn.iter().any(|(.., names)| names.contains(&name)), "no panel draws {name}");
    }
}

#[test]
fn the_burn_rate_is_drawn_with_the_factors_of_its_alerts() {
    let factors: BTreeSet<_> = ALERTS
        .split("* (1 - scalar(myunisoft:api_availability_objective:ratio))")
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
fn the_places_for_probes_are_drawn_where_they_end() {
    let source = include_str!("../../src/watch.rs");
    let most = source.split_once("const MOST_IN_FLIGHT: usize = ").unwrap().1.split_once(';').unwrap().0;
    assert_eq!(thresholds(EXPORTER, "Probes in flight"), [most.parse::<f64>().unwrap()]);
}

// States

fn states() -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let keys = KeyState::ALL.iter().map(|state| state.as_str()).collect();
    (keys, SecretState::ALL.iter().map(|state| state.as_str()).collect())
}

/// The colours that one panel gives to states: by mapped values, or to series of their names.
fn colours(panel: &Value) -> Vec<BTreeMap<&str, &str>> {
    let mapped = nested(panel).into_iter().filter(|part| part["type"] == "value").map(|mapping| {
        let results = mapping["options"].as_object().unwrap().values();
        results.map(|result| (text(&result["text"]), text(&result["color"]))).collect()
    });
    let named = list(&panel["fieldConfig"]["overrides"]).iter().filter_map(|change| {
        let colour = nested(change).into_iter().find_map(|part| part["fixedColor"].as_str())?;
        Some((text(&change["matcher"]["options"]), colour))
    });
    let (keys, _) = states();
    mapped
        .chain([named.collect()])
        .filter(|colours: &BTreeMap<_, _>| colours.keys().any(|name| keys.contains(name)))
        .collect()
}

#[test]
fn a_state_has_the_same_colour_everywhere_and_none_is_forgotten() {
    let (keys, secrets) = states();
    let both = keys.union(&secrets).copied().collect();
    let boards = dashboards();
    let palettes: Vec<_> = boards.iter().flat_map(panels).flat_map(colours).collect();
    assert!(palettes.len() >= 8, "{palettes:?}");
    let all: BTreeMap<_, _> = palettes.iter().flatten().collect();
    for palette in &palettes {
        let named: BTreeSet<_> = palette.keys().copied().collect();
        assert!([&keys, &secrets, &both].contains(&&named), "not every state: {named:?}");
        assert!(
            palette.iter().all(|(state, colour)| all[state] == colour),
            "{palette:?} differs from {all:?}"
        );
    }
    let distinct: BTreeSet<_> =
        all.iter().filter(|(state, _)| keys.contains(**state)).map(|(_, c)| c).collect();
    assert_eq!(distinct.len(), keys.len(), "two states of a key look alike: {all:?}");
}

/// A query that turns states into numbers: `3 * myunisoft_key_state{…, state="not_found"}`.
fn assert_codes(dashboard: &str, title: &str, states: &[&str]) {
    let dashboard = read(dashboard);
    let panel = panels(&dashboard).into_iter().find(|panel| panel["title"] == title).unwrap();
    let expr = text(&panel["targets"][0]["expr"]);
    let texts = &panel["fieldConfig"]["defaults"]["mappings"][0]["options"];
    for (code, state) in states.iter().enumerate() {
        assert_eq!(texts[code.to_string()]["text"], *state, "{title}");
        let term = expr.split(" or\n").find(|term| term.contains(&format!("state=\"{state}\"")));
        match code {
            // The first is what is left if none of the others is 1.
            0 => assert_eq!(term, None),
            1 => assert!(term.is_some_and(|term| !term.contains(" * ")), "{title}: {state}"),
            _ => assert!(term.is_some_and(|term| term.contains(&format!("{code} * "))), "{title}: {state}"),
        }
    }
}

#[test]
fn a_state_that_is_drawn_as_a_number_is_named_as_that_state() {
    let keys: Vec<_> = KeyState::ALL.iter().map(|state| state.as_str()).collect();
    let secrets: Vec<_> = SecretState::ALL.iter().map(|state| state.as_str()).collect();
    assert_codes(KEY, "State", &keys);
    assert_codes(KEY, "The key's life", &keys);
    assert_codes(OVERVIEW, "Secrets", &secrets);
}
