//! `tests/dashboards/check.py` accepts the dashboards, and finds each kind of fault in them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{EXPORTER, list, read};
use crate::support::server::run_tool;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs check.py; returns whether it found no fault, and its output.
fn check(files: &[PathBuf]) -> (bool, String) {
    let python = root().join("target/venv/bin/python");
    let output = run_tool(Command::new(python).arg(root().join("tests/dashboards/check.py")).args(files));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn every_dashboard_matches_the_schema_of_grafana() {
    let folder = root().join("dashboards");
    let (valid, output) =
        check(&["overview.json", "key.json", "exporter.json"].map(|name| folder.join(name)));
    assert!(valid, "{output}");
}

/// check.py reports exactly this error for a dashboard with one mistake.
fn assert_fault(mistake: impl FnOnce(&mut Value), fault: &str) {
    let mut dashboard = read(EXPORTER);
    mistake(&mut dashboard);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exporter.json");
    std::fs::write(&file, dashboard.to_string()).unwrap();
    let (valid, output) = check(std::slice::from_ref(&file));
    assert!(!valid, "no fault was found; expected {fault}");
    assert_eq!(output.trim_end(), format!("{}: {fault}", file.display()));
}

fn rename(fields: &mut Value, from: &str, to: &str) {
    let value = fields.as_object_mut().unwrap().remove(from).unwrap();
    fields[to] = value;
}

/// The index of the first panel of a type.
fn first_panel_of_type(dashboard: &Value, kind: &str) -> usize {
    list(&dashboard["panels"]).iter().position(|panel| panel["type"] == kind).unwrap()
}

#[test]
fn a_misspelt_field_of_a_dashboard_is_reported_with_its_path() {
    let misspell = |dashboard: &mut Value| rename(dashboard, "graphTooltip", "graphToolTip");
    assert_fault(misspell, "$.graphToolTip: Grafana's schema does not know this field here");
}

#[test]
fn a_misspelt_field_of_a_panel_type_is_reported_with_its_path() {
    let index = first_panel_of_type(&read(EXPORTER), "timeseries");
    assert_fault(
        |dashboard| {
            rename(
                &mut dashboard["panels"][index]["fieldConfig"]["defaults"]["custom"],
                "lineWidth",
                "lineWidht",
            );
        },
        &format!(
            "$.panels[{index}].fieldConfig.defaults.custom.lineWidht: \
             Grafana's schema does not know this field here"
        ),
    );
}

#[test]
fn a_misspelt_panel_option_is_reported_with_its_path() {
    let index = first_panel_of_type(&read(EXPORTER), "stat");
    assert_fault(
        |dashboard| rename(&mut dashboard["panels"][index]["options"], "colorMode", "colourMode"),
        &format!("$.panels[{index}].options.colourMode: Grafana's schema does not know this field here"),
    );
}

#[test]
fn a_misspelt_field_of_a_query_is_reported_with_its_path() {
    let index = first_panel_of_type(&read(EXPORTER), "stat");
    assert_fault(
        |dashboard| rename(&mut dashboard["panels"][index]["targets"][0], "legendFormat", "legend"),
        &format!("$.panels[{index}].targets[0].legend: Grafana's schema does not know this field here"),
    );
}

#[test]
fn a_misspelt_option_of_a_transformation_is_reported_with_its_path() {
    let index = first_panel_of_type(&read(EXPORTER), "table");
    assert_fault(
        |dashboard| {
            let options = &mut dashboard["panels"][index]["transformations"][1]["options"];
            rename(options, "renameByName", "renamedByName");
        },
        &format!("$.panels[{index}].transformations[1].options.renamedByName: there is no such field"),
    );
}

#[test]
fn a_misspelt_override_is_reported_with_its_path() {
    let index = first_panel_of_type(&read(EXPORTER), "table");
    assert_fault(
        |dashboard| {
            dashboard["panels"][index]["fieldConfig"]["overrides"][1]["properties"][0]["id"] = "units".into();
        },
        &format!(
            "$.panels[{index}].fieldConfig.overrides[1].properties[0].units: \
             Grafana's schema does not know this field here"
        ),
    );
}

#[test]
fn a_value_unknown_to_grafana_is_reported_with_its_path() {
    let index = first_panel_of_type(&read(EXPORTER), "stat");
    assert_fault(
        |dashboard| dashboard["panels"][index]["options"]["colorMode"] = "backgruond".into(),
        &format!(
            "$.panels[{index}].options.colorMode: \"backgruond\" is not a value that Grafana's schema allows"
        ),
    );
}

#[test]
fn a_unit_unknown_to_grafana_is_reported_with_its_path() {
    let index = first_panel_of_type(&read(EXPORTER), "timeseries");
    assert_fault(
        |dashboard| dashboard["panels"][index]["fieldConfig"]["defaults"]["unit"] = "seconds".into(),
        &format!("$.panels[{index}].fieldConfig.defaults.unit: \"seconds\" is not one of Grafana's units"),
    );
}

#[test]
fn a_colour_unknown_to_grafana_is_reported_with_its_path() {
    let index = first_panel_of_type(&read(EXPORTER), "stat");
    let steps = format!("$.panels[{index}].fieldConfig.defaults.thresholds.steps");
    assert_fault(
        |dashboard| {
            dashboard["panels"][index]["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["color"] =
                "grey".into();
        },
        &format!("{steps}[0].color: \"grey\" is not one of Grafana's colours"),
    );
}

#[test]
fn an_overlap_of_two_panels_is_reported() {
    // Panel 2 has a neighbour on each side. Its right edge stays at 8, so only its left edge is wrong.
    assert_fault(
        |dashboard| {
            dashboard["panels"][2]["gridPos"]["x"] = 3.into();
            dashboard["panels"][2]["gridPos"]["w"] = 5.into();
        },
        "$.panels[2].gridPos.x: x is 3 but must be 4: the panels overlap",
    );
}

#[test]
fn a_gap_beside_a_panel_is_reported() {
    // Panel 2 has a neighbour on each side. Its right edge stays at 8, so only its left edge is wrong.
    assert_fault(
        |dashboard| {
            dashboard["panels"][2]["gridPos"]["x"] = 5.into();
            dashboard["panels"][2]["gridPos"]["w"] = 3.into();
        },
        "$.panels[2].gridPos.x: x is 5 but must be 4: there is a gap",
    );
}

#[test]
fn a_gap_above_the_last_row_of_panels_is_reported() {
    let dashboard = read(EXPORTER);
    let panels = list(&dashboard["panels"]);
    let y = panels.last().unwrap()["gridPos"]["y"].as_u64().unwrap();
    let index = panels.iter().position(|panel| panel["gridPos"]["y"] == y).unwrap();
    assert_fault(
        |dashboard| {
            let panels = dashboard["panels"].as_array_mut().unwrap();
            for panel in panels.iter_mut().filter(|panel| panel["gridPos"]["y"] == y) {
                panel["gridPos"]["y"] = (y + 1).into();
            }
        },
        &format!("$.panels[{index}].gridPos.y: y is {} but must be {y}: there is a gap", y + 1),
    );
}

#[test]
fn a_panel_without_a_description_is_reported() {
    let index = first_panel_of_type(&read(EXPORTER), "stat");
    assert_fault(
        |dashboard| drop(dashboard["panels"][index].as_object_mut().unwrap().remove("description")),
        &format!("$.panels[{index}].description: the panel has no description"),
    );
}
