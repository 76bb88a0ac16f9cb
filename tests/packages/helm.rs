//! The Helm chart and the plain manifests, rendered by Helm's own code. There is no cluster: what Kubernetes would do
//! with the objects is checked against its schemas, and `pod` runs the exporter as the `StatefulSet` says.

mod manifests;
mod monitoring;
mod objects;
mod pod;
mod values;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::support::server::run_tool_with_input;

/// The chart with each of the configurations in `deploy/helm/ci`.
static CONFIGURATIONS: LazyLock<Vec<(String, Chart)>> = LazyLock::new(|| {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("deploy/helm/ci"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let rendered = files.iter().map(|file| {
        let name = file.file_name().unwrap().to_string_lossy().replace("-values.yaml", "");
        (name, Chart::render(&read_yaml(file)))
    });
    rendered.collect()
});

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read_text(file: impl AsRef<Path>) -> String {
    let file = root().join(file);
    std::fs::read_to_string(&file).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()))
}

fn parse_yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|cause| panic!("{cause}\n{text}"))
}

fn read_yaml(file: impl AsRef<Path>) -> Value {
    parse_yaml(&read_text(file))
}

/// The items of a list, or none if there is no list.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not text"))
}

/// Runs `chart.py`; returns its output, or what it says is wrong.
fn chart_py(arguments: &[&str], input: &Value) -> Result<String, String> {
    let mut command = Command::new(root().join("target/venv/bin/python"));
    command.arg(root().join("tests/packages/chart.py")).args(arguments);
    let output = run_tool_with_input(&mut command, &input.to_string());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn chart_folder() -> String {
    root().join("deploy/helm").display().to_string()
}

/// The objects of the chart with certain values.
struct Chart {
    notes: String,
    objects: Vec<Value>,
}

impl Chart {
    fn render(values: &Value) -> Self {
        Self::try_render(values).unwrap_or_else(|fault| panic!("{values}: {fault}"))
    }

    fn try_render(values: &Value) -> Result<Self, String> {
        Self::try_render_request(&chart_folder(), &json!({"values": values}))
    }

    fn try_render_request(chart: &str, request: &Value) -> Result<Self, String> {
        let output: Value = serde_json::from_str(&chart_py(&["render", chart], request)?).unwrap();
        let objects = list(&output["objects"]).iter().map(|item| item["object"].clone()).collect();
        Ok(Self { notes: text(&output["notes"]).to_owned(), objects })
    }

    /// All objects of a kind.
    fn of_kind<'a, 'k>(&'a self, kind: &'k str) -> impl Iterator<Item = &'a Value> + use<'a, 'k> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// The only object of a kind.
    fn only(&self, kind: &str) -> &Value {
        let objects: Vec<_> = self.of_kind(kind).collect();
        let [object] = objects.as_slice() else { panic!("{} objects of kind {kind}", objects.len()) };
        object
    }

    fn named(&self, kind: &str, name: &str) -> &Value {
        let found = self.of_kind(kind).find(|object| object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} with the name {name}"))
    }

    /// The exporter's container.
    fn container(&self) -> &Value {
        &self.only("StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    }

    fn arguments(&self) -> Vec<&str> {
        list(&self.container()["args"]).iter().map(text).collect()
    }

    /// The value of a variable of the exporter's container.
    fn variable(&self, name: &str) -> &Value {
        let found = list(&self.container()["env"]).iter().find(|variable| variable["name"] == name);
        found.map_or(&Value::Null, |variable| &variable["value"])
    }
}

/// The pods that objects describe: their specifications.
fn pods(chart: &Chart) -> impl Iterator<Item = &Value> {
    let of_sets = chart.of_kind("StatefulSet").map(|set| &set["spec"]["template"]["spec"]);
    of_sets.chain(chart.of_kind("Pod").map(|pod| &pod["spec"]))
}

/// All containers of a pod.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    list(&pod["containers"]).iter().chain(list(&pod["initContainers"]))
}
