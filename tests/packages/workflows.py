"""Validates workflow files against the schema of GitHub's workflows, and prints their jobs as JSON."""

import importlib.util
import json
import pathlib
import sys

import jsonschema
import yaml


class Loader(yaml.SafeLoader):
    """YAML 1.1 reads the key `on` as a boolean. GitHub reads YAML 1.2."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

# The package is not imported, because what its code needs is not installed.
package = pathlib.Path(importlib.util.find_spec("check_jsonschema").submodule_search_locations[0])
schema_file = package / "builtin_schemas/vendor/github-workflows.json"
validator = jsonschema.Draft7Validator(json.loads(schema_file.read_text()))
documents = {}
failed = False
for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as file:
        documents[name] = yaml.load(file, Loader)
    for error in validator.iter_errors(documents[name]):
        failed = True
        print(f"{name}: {error.json_path}: {error.message}", file=sys.stderr)
if failed:
    sys.exit(1)
json.dump(documents, sys.stdout)
