//! Titles, variables and links of the dashboards.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{ALERTS, EXPORTER, OVERVIEW, dashboards, list, nested, panels, read, text};

#[test]
fn uids_titles_and_tags_are_stable() {
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
        assert_eq!(board.get("id"), None, "an id is valid in only one Grafana");
        assert_eq!(board.get("__inputs"), None, "a dashboard with inputs cannot be provisioned");
    }
}

/// The name, the label, the query and the value of "All" of a variable.
fn variable(variable: &Value) -> [&str; 4] {
    let query = variable["query"].as_str().or_else(|| variable["query"]["query"].as_str()).unwrap();
    let all = variable["allValue"].as_str().unwrap_or_default();
    [text(&variable["name"]), text(&variable["label"]), query, all]
}

#[test]
fn each_variable_is_filtered_by_the_variables_before_it() {
    let expected = [
        ["datasource", "Data source", "prometheus", ""],
        ["job", "Job", "label_values(myunisoft_exporter_build_info, job)", ".+"],
        [
            "instance",
            "Instance",
            r#"label_values(myunisoft_exporter_build_info{job=~"$job"}, instance)"#,
            ".+",
        ],
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
        // "All" of thousands of keys would overload the browser, so the dashboard of one key does not offer it.
        let one_key = dashboard["uid"] == "myunisoft-key";
        let mut expected = expected;
        if one_key {
            expected[4][3] = "";
        }
        assert_eq!(variables.iter().map(variable).collect::<Vec<_>>(), expected);
        for query in &variables[1..] {
            assert_eq!(query["multi"], true);
            assert_eq!(query["includeAll"], !(one_key && query["name"] == "key"));
            assert_eq!(query["refresh"], 2, "the keys depend on the selected time range");
        }
    }
}

#[test]
fn each_dashboard_links_to_the_others_with_the_same_time_range_and_variables() {
    for dashboard in dashboards() {
        let [link] = list(&dashboard["links"]) else { panic!("a dashboard needs exactly one link, by tag") };
        assert_eq!(link["tags"], json!(["myunisoft"]));
        assert_eq!((&link["keepTime"], &link["includeVars"]), (&json!(true), &json!(true)));
    }
}

#[test]
fn a_key_in_a_table_links_to_its_dashboard() {
    for dashboard in [OVERVIEW, EXPORTER].map(read) {
        let tables: Vec<_> = panels(&dashboard)
            .into_iter()
            .filter(|panel| nested(panel).iter().any(|part| part["indexByName"].get("key").is_some()))
            .collect();
        assert!(!tables.is_empty());
        for table in tables {
            let link = list(&table["fieldConfig"]["overrides"])
                .iter()
                .filter(|change| change["matcher"]["options"] == "key")
                .flat_map(|change| list(&change["properties"]))
                .find(|property| property["id"] == "links")
                .map(|property| text(&property["value"][0]["url"]));
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
fn every_alert_links_to_an_existing_dashboard_with_existing_variables() {
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
        let (uid, query) = link.split_once('?').unwrap_or((link, ""));
        let variables = known.get(uid).unwrap_or_else(|| panic!("there is no dashboard {uid}"));
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let name = parameter.split('=').next().unwrap().trim_start_matches("var-");
            assert!(variables.contains(name), "{uid} has no variable {name}");
        }
    }
}
