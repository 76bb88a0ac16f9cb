"""Makes the French rule file from the English one: expressions, labels and templates are the same, only texts differ.

    translate.py RULES MESSAGES OUT

MESSAGES says for each alert what the texts between its templates are in French. A text that is missing there, or that no
alert has any more, is an error.
"""

import pathlib
import re
import sys

import yaml

WIDTH = 118
ACTION = re.compile(r"(\{\{.*?\}\})", re.DOTALL)
ASSIGNED = re.compile(r'(\$window :?= )"([a-z ]+)"')
# Prometheus writes times, durations and percentages in the English way.
FORMATS = {
    "humanizeTimestamp": (
        'humanizeTimestamp | reReplaceAll "^([0-9]+)-([0-9]+)-([0-9]+) ([0-9:]+).*$" "${3}/${2}/${1} à ${4} UTC"'
    ),
    "humanizeDuration": 'humanizeDuration | reReplaceAll "([0-9])d" "${1}j" | reReplaceAll "[.]" ","',
    "humanizePercentage": 'humanizePercentage | reReplaceAll "[.]" "," | reReplaceAll "%" "\u00a0%"',
}
RUNBOOKS = '''{{ with query "myunisoft:links:info" }}{{ . | first | label "runbooks" }}{{ end }}'''
FRENCH_RUNBOOKS = RUNBOOKS.replace('"runbooks"', '"runbooks" | reReplaceAll "runbooks[.]md$" "runbooks.fr.md"')


class Messages:
    def __init__(self, path):
        self.texts = yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8"))
        self.unused = {(alert, pair["en"]) for alert, pairs in self.texts.items() for pair in pairs}
        self.missing = []

    def french(self, alert, english):
        """The French text for an English one: first that of the alert, then that of all alerts."""
        for section in (alert, "all"):
            for pair in self.texts.get(section, []):
                if pair["en"] == english:
                    self.unused.discard((section, english))
                    return pair["fr"]
        self.missing.append(f"{alert}: no French for {english!r}")
        return english

    def faults(self):
        return self.missing + [f"{alert}: no alert says {english!r}" for alert, english in sorted(self.unused)]


def action(messages, alert, text):
    for name, french in FORMATS.items():
        text = re.sub(rf"\b{name}\b", lambda _: french, text)
    return ASSIGNED.sub(lambda found: f'{found[1]}"{messages.french(alert, found[2])}"', text)


def translated(messages, alert, english):
    """A whole annotation. Spaces at the ends of the texts belong to the templates."""
    parts = []
    for part in ACTION.split(english):
        text = part.strip()
        if part.startswith("{{"):
            parts.append(action(messages, alert, part))
        elif any(c.isalpha() for c in text):
            before, after = part[: len(part) - len(part.lstrip())], part[len(part.rstrip()) :]
            french = messages.french(alert, text)
            # A mark of punctuation that follows a template has no ordinary space before it.
            parts.append(("" if french[0] in "\u00a0.," else before) + french + after)
        else:
            parts.append(part)
    return "".join(parts)


def folded(indent, text):
    """The lines of a folded block. A line breaks only at a single space."""
    lines, line = [], ""
    words = text.split(" ")
    for place, word in enumerate(words):
        can_break = line and word and words[place - 1]
        if can_break and len(indent) + len(line) + 1 + len(word) > WIDTH:
            lines.append(indent + line)
            line = word
        else:
            line = word if place == 0 else f"{line} {word}"
    return lines + [indent + line]


def french_rules(rules, messages):
    head = ["# Made from alerts/alerts.rules.yml and alerts/fr/messages.yml by `make manifests`. Load one of both languages."]
    alert, lines, source = "", [], iter(rules.splitlines())
    pending = next(source, None)
    while pending is not None:
        line, pending = pending, next(source, None)
        if found := re.match(r"\s*- alert: (\w+)$", line):
            alert = found[1]
        if found := re.match(r"(\s*)(summary|description|runbook_url): (.*)$", line):
            indent, name, text = found.groups()
            if text == ">-":
                words = []
                while pending is not None and pending.startswith(f"{indent}  "):
                    words.append(pending.strip())
                    pending = next(source, None)
                text = " ".join(words)
            else:
                text = yaml.safe_load(text)
            if name == "runbook_url":
                text = text.replace(RUNBOOKS, FRENCH_RUNBOOKS)
            else:
                text = translated(messages, alert, text)
            lines += [f"{indent}{name}: >-", *folded(f"{indent}  ", text)]
        elif line.lstrip().startswith("#"):
            continue
        else:
            lines.append(line)
    return "\n".join(head + lines) + "\n"


def main(rules, messages, out):
    known = Messages(messages)
    text = french_rules(pathlib.Path(rules).read_text(encoding="utf-8"), known)
    if faults := known.faults():
        sys.exit("\n".join(faults))
    pathlib.Path(out).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
