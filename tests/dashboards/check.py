"""Checks Grafana dashboards against Grafana's own schema, and their panels against our own rules.

    check.py DASHBOARD.json...

Grafana's official SDK reads each file into its types and writes it again. It drops every field that it
does not know. A field that is in the file but not in the rewritten version is therefore a fault: it is
misspelt or in the wrong place. The SDK does not check values, so this script compares them with the SDK's
type hints. Each fault is one line with the JSON path. The exit code is 0 if there is no fault, otherwise 1.
"""

import enum
import json
import pathlib
import re
import sys
import types
import typing

from grafana_foundation_sdk.cog import plugins, runtime
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as schema
from grafana_foundation_sdk.models import prometheus, units

WIDTH = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Options that the SDK does not type, because plugins define them. The types here are those of Grafana's own
# source code. A record is written as a dictionary, a list as a list with one element.
TRANSFORMATIONS = {
    "limit": {"limitField": int},
    "merge": {},
    "organize": {
        "excludeByName": dict[str, bool],
        "includeByName": dict[str, bool],
        "indexByName": dict[str, int],
        "renameByName": dict[str, str],
    },
    "sortBy": {"fields": {}, "sort": [{"field": str, "desc": bool}]},
}
MATCHERS = ("byFrameRefID", "byName", "byRegexp", "byType")
# Values that Grafana's types accept as any string, but Grafana itself does not.
UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_")}
COLORS = {"panel-bg", "text", "transparent"} | {
    shade + hue
    for shade in ("", "dark-", "light-", "semi-dark-", "super-light-")
    for hue in ("blue", "green", "orange", "purple", "red", "yellow")
}
VARIABLE_QUERY = {"qryType": int, "query": str, "refId": str}


def rewritten(thing):
    """The SDK object written back as plain JSON."""
    return json.loads(json.dumps(thing, cls=JSONEncoder))


def missing(ours, theirs, path):
    """Every difference: what is in `ours` and missing or changed in `theirs`."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            if name in theirs:
                yield from missing(value, theirs[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}: Grafana's schema does not know this field here"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs)):
            yield from missing(one, other, f"{path}[{index}]")
    elif ours != theirs or isinstance(ours, bool) != isinstance(theirs, bool):
        yield f"{path}: {json.dumps(ours)} becomes {json.dumps(theirs)} in Grafana's schema"


def fits(value, hint):
    """Whether a value has the type of the SDK's hint, or the form defined in the constants above."""
    if isinstance(hint, dict):
        known = isinstance(value, dict) and set(value) <= set(hint)
        return known and all(fits(item, hint[name]) for name, item in value.items())
    if isinstance(hint, list):
        return isinstance(value, list) and all(fits(item, hint[0]) for item in value)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in (object, typing.Any):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, arg) for arg in args)
    if origin is typing.Literal:
        return value in args
    if origin is list:
        return isinstance(value, list) and all(fits(item, args[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(item, args[1]) for item in value.values())
    if issubclass(hint, enum.Enum):
        return value in [member.value for member in hint]
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint)


def json_name(attribute):
    """The name of an SDK attribute in JSON: `id_val` becomes `id`, `grid_pos` becomes `gridPos`."""
    return re.sub("_([a-z])", lambda found: found[1].upper(), attribute.removesuffix("_val"))


def mistyped(thing, path):
    """Values in the SDK's objects that do not have the type of their hint."""
    if isinstance(thing, list):
        for index, item in enumerate(thing):
            yield from mistyped(item, f"{path}[{index}]")
    elif isinstance(thing, dict):
        for name, item in thing.items():
            yield from mistyped(item, f"{path}.{name}")
    elif hasattr(thing, "to_json") and not isinstance(thing, runtime.UnknownDataquery):
        hints = typing.get_type_hints(type(thing))
        for attribute, value in vars(thing).items():
            here = f"{path}.{json_name(attribute)}"
            if not fits(value, hints.get(attribute, object)):
                yield f"{here}: {json.dumps(value, cls=JSONEncoder)} is not a value that Grafana's schema allows"
            yield from mistyped(value, here)


def against(read, ours, path):
    """The faults of one part of a file. `read` is the SDK function that parses this part."""
    try:
        theirs = read(ours)
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        return [f"{path}: Grafana's schema cannot read it: {fault!r}"]
    return [*missing(ours, rewritten(theirs), path), *mistyped(theirs, path)]


def record_faults(ours, known, path):
    """The faults of a record whose form is defined only in this script."""
    for name, value in ours.items():
        if name not in known:
            yield f"{path}.{name}: there is no such field"
        elif not fits(value, known[name]):
            yield f"{path}.{name}: {json.dumps(value)} does not have the expected form"


def read_dashboard(board):
    """The dashboard in the SDK's types. The SDK does not read transformations, so they are read here."""
    read = schema.Dashboard.from_json(board)
    for panel in read.panels or []:
        steps = getattr(panel, "transformations", None) or []
        if steps:
            panel.transformations = [schema.DataTransformerConfig.from_json(step) for step in steps]
    return read


def override_faults(panel, path):
    """Overrides: the SDK does not type their values, so each one is read as the default that it overrides."""
    custom = runtime.panelcfg_config(panel["type"]).field_config_from_json_hook
    overrides = panel.get("fieldConfig", {}).get("overrides", [])
    for index, override in enumerate(overrides):
        here = f"{path}.fieldConfig.overrides[{index}]"
        matcher = override.get("matcher", {})
        if matcher.get("id") not in MATCHERS or not isinstance(matcher.get("options"), str):
            yield f"{here}.matcher: {json.dumps(matcher)} is not a known matcher"
        for at, entry in enumerate(override.get("properties", [])):
            there = f"{here}.properties[{at}]"
            name, value = entry.get("id", ""), entry.get("value")
            read = schema.FieldConfig.from_json
            if name.startswith("custom."):
                name, read = name.removeprefix("custom."), custom or read
            yield from against(read, {name: value}, there)


def panel_type_faults(panel, path):
    """Parts that the SDK does not type and therefore cannot check: a dashboard must not use them."""
    kind = runtime.panelcfg_config(panel["type"])
    if kind is None or kind.options_from_json_hook is None:
        yield f"{path}.type: the SDK has no types for a {panel['type']} panel"
        return
    if kind.field_config_from_json_hook is None and "custom" in panel["fieldConfig"]["defaults"]:
        yield f"{path}.fieldConfig.defaults.custom: a {panel['type']} panel has no custom fields"
    yield from override_faults(panel, path)
    for index, target in enumerate(panel.get("targets", [])):
        yield from against(prometheus.Dataquery.from_json, target, f"{path}.targets[{index}]")
    for index, step in enumerate(panel.get("transformations", [])):
        here, known = f"{path}.transformations[{index}]", TRANSFORMATIONS.get(step["id"])
        if known is None:
            yield f"{here}.id: {step['id']} is not one of {', '.join(TRANSFORMATIONS)}"
        else:
            yield from record_faults(step["options"], known, f"{here}.options")


def word_faults(thing, path):
    """Units and colours that Grafana does not know: it would show numbers without a unit, and grey."""
    if isinstance(thing, list):
        for index, item in enumerate(thing):
            yield from word_faults(item, f"{path}[{index}]")
    if not isinstance(thing, dict):
        return
    for name, value in thing.items():
        here = f"{path}.{name}"
        if (name == "unit" or name == "value" and thing.get("id") == "unit") and value not in UNITS:
            yield f"{here}: {json.dumps(value)} is not one of Grafana's units"
        colour = name in ("color", "fixedColor") and isinstance(value, str)
        if colour and value not in COLORS and not value.startswith(("#", "rgb")):
            yield f"{here}: {json.dumps(value)} is not one of Grafana's colours"
        yield from word_faults(value, here)


def rule_faults(panel, path):
    """Our own rules for every panel, in addition to Grafana's schema."""
    for name in ("title", "description"):
        if not panel.get(name):
            yield f"{path}.{name}: the panel has no {name}"
    if panel["type"] not in ("text", "logs") and not panel["fieldConfig"]["defaults"].get("unit"):
        yield f"{path}.fieldConfig.defaults.unit: the panel has no unit"
    if panel["type"] != "text" and not panel.get("targets"):
        yield f"{path}.targets: the panel has no query"
    places = [(path, panel), *((f"{path}.targets[{i}]", t) for i, t in enumerate(panel.get("targets", [])))]
    for place, thing in places:
        if thing.get("datasource") != DATASOURCE:
            yield f"{place}.datasource: must be {json.dumps(DATASOURCE)}"
    refs = [target.get("refId") for target in panel.get("targets", [])]
    if len(set(refs)) != len(refs) or None in refs:
        yield f"{path}.targets: each query needs its own refId, got {refs}"


def misplaced(axis, value, expected):
    """The fault of a panel that is not at the expected position of an axis."""
    problem = "the panels overlap" if value < expected else "there is a gap"
    return f"{axis} is {value} but must be {expected}: {problem}"


def band_faults(panels):
    """Panels at the same y position must have the same height and stand side by side, without overlap or gap."""
    panels.sort(key=lambda placed: placed[1]["x"])
    first, x = panels[0][1], 0
    for path, at in panels:
        if at["h"] != first["h"]:
            yield f"{path}.gridPos.h: {at['h']}, but the panels beside it are {first['h']} high"
        if at["x"] != x:
            yield f"{path}.gridPos.x: {misplaced('x', at['x'], x)}"
        x = max(x, at["x"] + at["w"])
    if x != WIDTH:
        yield f"{panels[-1][0]}.gridPos.w: its band ends at {x}, not at {WIDTH}"


def layout_faults(panels):
    """The grid must be filled from the top, band by band. A band is all panels at the same y position."""
    bands = {}
    for index, panel in enumerate(panels):
        bands.setdefault(panel["gridPos"]["y"], []).append((f"$.panels[{index}]", panel["gridPos"]))
    bottom = 0
    for y, band in sorted(bands.items()):
        if y != bottom:
            yield f"{band[0][0]}.gridPos.y: {misplaced('y', y, bottom)}"
        yield from band_faults(band)
        bottom = max(bottom, y + max(at["h"] for _, at in band))


def dashboard_faults(board):
    """Every fault of one dashboard."""
    yield from against(read_dashboard, board, "$")
    for index, variable in enumerate(board["templating"]["list"]):
        if variable["type"] == "query":
            yield from record_faults(variable["query"], VARIABLE_QUERY, f"$.templating.list[{index}].query")
    seen = set()
    for index, panel in enumerate(board["panels"]):
        path = f"$.panels[{index}]"
        if panel.get("id") in seen or panel.get("id") is None:
            yield f"{path}.id: {panel.get('id')} is missing or used twice"
        seen.add(panel.get("id"))
        if panel["type"] != "row":
            yield from panel_type_faults(panel, path)
            yield from rule_faults(panel, path)
            yield from word_faults(panel, path)
    yield from layout_faults(board["panels"])


def main(files):
    plugins.register_default_plugins()
    faults = []
    for file in files:
        board = json.loads(pathlib.Path(file).read_text(encoding="utf-8"))
        try:
            faults += [f"{file}: {fault}" for fault in dashboard_faults(board)]
        except (AttributeError, KeyError, TypeError) as fault:
            faults.append(f"{file}: not a dashboard of the expected form: {fault!r}")
    print("\n".join(dict.fromkeys(faults)) or f"{len(files)} dashboards, no fault")
    return 1 if faults or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
