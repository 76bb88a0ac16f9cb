"""Holds a document on standard input against docs/status.schema.json.

    validate.py SCHEMA [DEFINITION]

Prints what does not fit, and exits with 1 then.
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
except fastjsonschema.JsonSchemaException as misfit:
    sys.exit(misfit.message)
