"""Holds Grafana dashboards against Grafana's own schema, and their panels against our rules.

    check.py DASHBOARD.json...

Grafana's official SDK reads each file into its types and writes it again. It drops what it does not
know, so whatever the file says and the second version does not is a fault: a field misspelt, or put
in the wrong place. The SDK does not look at values, so those are compared with its types' hints here.
Each fault is one line, with the JSON path. The exit code is 0 if there is none, else 1.
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
# What the SDK takes as it comes, because plugins decide on it: as Grafana's own source has it. A record
# is written as a dictionary, a list as a list of one.
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
# Words that Grafana's types take for any text, and Grafana itself does not.
UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_")}
COLORS = {"panel-bg", "text", "transparent"} | {
    shade + hue
    for shade in ("", "dark-", "light-", "semi-dark-", "super-light-")
    for hue in ("blue", "green", "orange", "purple", "red", "yellow")
}
VARIABLE_QUERY = {"qryType": int, "query": str, "refId": str}


def rewritten(thing):
    """What the SDK makes of it, as plain JSON."""
    return json.loads(json.dumps(thing, cls=JSONEncoder))


def missing(ours, theirs, path):
    """Whatever `ours` says and `theirs` does not say."""
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
    """Whether a value is of the type that the SDK's hint names, or of the form we wrote down above."""
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
    """The field's name in JSON: `id_val` is `id`, `grid_pos` is `gridPos`."""
    return re.sub("_([a-z])", lambda found: found[1].upper(), attribute.removesuffix("_val"))


def mistyped(thing, path):
    """Values in the SDK's objects that are not of the type they are to be."""
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
                yield f"{here}: {json.dumps(value, cls=JSONEncoder)} is no value that Grafana's schema allows"
            yield from mistyped(value, here)


def against(read, ours, path):
    """The faults of one part of a file, which the SDK's `read` turns into a type."""
    try:
        theirs = read(ours)
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        return [f"{path}: Grafana's schema can't read it: {fault!r}"]
    return [*missing(ours, rewritten(theirs), path), *mistyped(theirs, path)]


def record_faults(ours, known, path):
    """The faults of a record that only we know the form of."""
    for name, value in ours.items():
        if name not in known:
            yield f"{path}.{name}: there is no such field"
        elif not fits(value, known[name]):
            yield f"{path}.{name}: {json.dumps(value)} is not of its form"


def read_dashboard(board):
    """The dashboard in the SDK's types; it forgets to read transformations, so that is done here."""
    read = schema.Dashboard.from_json(board)
    for panel in read.panels or []:
        steps = getattr(panel, "transformations", None) or []
        if steps:
            panel.transformations = [schema.DataTransformerConfig.from_json(step) for step in steps]
    return read


def override_faults(panel, path):
    """Overrides: the SDK keeps their values as they come, so each is read as the default it overrides."""
    custom = runtime.panelcfg_config(panel["type"]).field_config_from_json_hook
    overrides = panel.get("fieldConfig", {}).get("overrides", [])
    for index, override in enumerate(overrides):
        here = f"{path}.fieldConfig.overrides[{index}]"
        matcher = override.get("matcher", {})
        if matcher.get("id") not in MATCHERS or not isinstance(matcher.get("options"), str):
            yield f"{here}.matcher: {json.dumps(matcher)} matches nothing"
        for at, entry in enumerate(override.get("properties", [])):
            there = f"{here}.properties[{at}]"
            name, value = entry.get("id", ""), entry.get("value")
            read = schema.FieldConfig.from_json
            if name.startswith("custom."):
                name, read = name.removeprefix("custom."), custom or read
            yield from against(read, {name: value}, there)


def panel_type_faults(panel, path):
    """What the SDK would keep as it comes, and so could not judge: nothing of it may be in use."""
    kind = runtime.panelcfg_config(panel["type"])
    if kind is None or kind.options_from_json_hook is None:
        yield f"{path}.type: the SDK has no types for a {panel['type']} panel"
        return
    if kind.field_config_from_json_hook is None and "custom" in panel["fieldConfig"]["defaults"]:
        yield f"{path}.fieldConfig.defaults.custom: a {panel['type']} panel has no fields of its own"
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
    """Units and colours that Grafana does not know: it would show bare numbers, and grey."""
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
    """What we ask of every panel, whatever Grafana's schema allows."""
    for name in ("title", "description"):
        if not panel.get(name):
            yield f"{path}.{name}: a panel needs one"
    if panel["type"] not in ("text", "logs") and not panel["fieldConfig"]["defaults"].get("unit"):
        yield f"{path}.fieldConfig.defaults.unit: a panel needs one"
    if panel["type"] != "text" and not panel.get("targets"):
        yield f"{path}.targets: a panel needs a query"
    places = [(path, panel), *((f"{path}.targets[{i}]", t) for i, t in enumerate(panel.get("targets", [])))]
    for place, thing in places:
        if thing.get("datasource") != DATASOURCE:
            yield f"{place}.datasource: is to be {json.dumps(DATASOURCE)}"
    refs = [target.get("refId") for target in panel.get("targets", [])]
    if len(set(refs)) != len(refs) or None in refs:
        yield f"{path}.targets: each needs a refId of its own, not {refs}"


def band_faults(panels):
    """Panels that begin at one height: of one height, side by side, without overlap or gap."""
    panels.sort(key=lambda placed: placed[1]["x"])
    first, x = panels[0][1], 0
    for path, at in panels:
        if at["h"] != first["h"]:
            yield f"{path}.gridPos.h: {at['h']}, but the panels beside it are {first['h']} high"
        if at["x"] != x:
            yield f"{path}.gridPos.x: {at['x']}, {'an overlap' if at['x'] < x else 'a gap'}: {x} is where it belongs"
        x = max(x, at["x"] + at["w"])
    if x != WIDTH:
        yield f"{panels[-1][0]}.gridPos.w: its band ends at {x}, not at {WIDTH}"


def layout_faults(panels):
    """The grid is filled from the top, band by band."""
    bands = {}
    for index, panel in enumerate(panels):
        bands.setdefault(panel["gridPos"]["y"], []).append((f"$.panels[{index}]", panel["gridPos"]))
    bottom = 0
    for y, band in sorted(bands.items()):
        if y != bottom:
            yield f"{band[0][0]}.gridPos.y: {y}, {'an overlap' if y < bottom else 'a gap'}: {bottom} is where it belongs"
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
            yield f"{path}.id: {panel.get('id')} is no id of its own"
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
            faults.append(f"{file}: not a dashboard as we write them: {fault!r}")
    print("\n".join(dict.fromkeys(faults)) or f"{len(files)} dashboards, no fault")
    return 1 if faults or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
