"""Lints, renders and packages the Helm chart with Helm's own code, without a cluster.

    chart.py lint CHART                 reads values from standard input
    chart.py render CHART               reads a request from standard input; see `render`
    chart.py package CHART VERSION DIR  writes CHART-VERSION.tgz, and prints its path
    chart.py validate VERSION...        reads objects from standard input, and checks them against Kubernetes' schemas
    chart.py manifests CHART DIR        writes the plain manifests of deploy/kubernetes

Input and output are JSON. The exit code is 1 if something is wrong; standard error then says what.
"""

import json
import pathlib
import sys

import helm_python as helm
import kubernetes_validate
import yaml

# Labels that are true only for objects that Helm manages.
HELM_LABELS = ("helm.sh/chart:", "app.kubernetes.io/managed-by:")
# Kubernetes' schemas do not include the kinds of the Prometheus Operator.
OPERATOR = "monitoring.coreos.com/v1"
# The plain manifests: directory, values, and which objects go into which file.
SECRETS = "myunisoft-exporter-secrets"
MANIFESTS = {
    ".": {
        "values": {
            "existingSecrets": [{"name": SECRETS, "mountPath": "/run/secrets/myunisoft", "optional": True}],
        },
        "templates": ["configmap", "service", "serviceaccount", "statefulset"],
    },
    "monitoring": {
        "values": {
            "serviceMonitor": {"enabled": True},
            "prometheusRule": {"enabled": True},
            "dashboards": {"enabled": True},
        },
        "templates": ["dashboards", "prometheusrule", "servicemonitor"],
    },
}


def rendered(chart, request):
    """The notes, and every object with the template that it is from and its text."""
    with helm.Chart.load(chart) as loaded:
        values = request.get("values", {})
        loaded.validate_schema(values)
        templates = loaded.render(
            values,
            name=request.get("name", "myunisoft-exporter"),
            namespace=request.get("namespace", "monitoring"),
        )
    notes, objects = "", []
    for path, text in sorted(templates.items()):
        if path.endswith("NOTES.txt"):
            notes = text
            continue
        for part in text.split("\n---\n"):
            content = yaml.safe_load(part + "\n")
            if content is not None:
                template = pathlib.PurePath(path).stem
                objects.append({"template": template, "text": part.strip("-\n"), "object": content})
    return {"notes": notes, "objects": objects}


def lint(chart, values):
    """Everything that `helm lint --strict` reports."""
    return helm.lint(chart, values, strict=True)


def faults(objects, versions):
    """What Kubernetes' strict schemas do not accept: an unknown field is a fault, too."""
    for version in versions:
        for thing in objects:
            if thing["apiVersion"] == OPERATOR:
                continue
            name = f"{version}: {thing['kind']} {thing['metadata']['name']}"
            try:
                kubernetes_validate.validate(thing, version, strict=True)
            except kubernetes_validate.ValidationError as fault:
                yield f"{name}: {'.'.join(map(str, fault.path))}: {fault.message}"
            except kubernetes_validate.SchemaNotFoundError as fault:
                yield f"{name}: {fault.message}"


def plain(text):
    """An object without the labels of Helm."""
    lines = text.splitlines()
    return "\n".join(line for line in lines if not line.strip().startswith(HELM_LABELS))


def manifests(chart):
    """The plain manifests: path and text."""
    for directory, content in MANIFESTS.items():
        files = {}
        for item in rendered(chart, {"values": content["values"]})["objects"]:
            if item["template"] in content["templates"]:
                files.setdefault(f"{item['template']}.yaml", []).append(plain(item["text"]))
        for name, parts in files.items():
            head = "# Made from deploy/helm: change the chart, and run `make manifests`.\n"
            yield pathlib.PurePath(directory, name), head + "\n---\n".join(parts) + "\n"


def main(command, chart, *rest):
    if command == "lint":
        print(json.dumps(lint(chart, json.load(sys.stdin))))
    elif command == "render":
        print(json.dumps(rendered(chart, json.load(sys.stdin))))
    elif command == "package":
        print(helm.package(chart, version=rest[0], destination=rest[1]))
    elif command == "validate":
        print("\n".join(faults(json.load(sys.stdin), [chart, *rest])))
    elif command == "manifests":
        for path, text in manifests(chart):
            target = pathlib.Path(rest[0], path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except helm.HelmError as fault:
        sys.exit(str(fault))
