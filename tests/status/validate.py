"""Validates a document on standard input against docs/status.schema.json, or one definition of it.

    validate.py SCHEMA [DEFINITION]

Prints the first violation and exits with 1, or exits with 0.
"""

import json
import sys

import fastjsonschema

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
if len(sys.argv) > 2:
    schema = {"definitions": schema["definitions"], "$ref": f"#/definitions/{sys.argv[2]}"}
try:
    fastjsonschema.compile(schema)(json.load(sys.stdin))
except fastjsonschema.JsonSchemaException as violation:
    sys.exit(violation.message)
