"""Writes what `benches/report.py` measured into docs/performance.md, as tables and charts."""

import dataclasses
import datetime
import os
import pathlib
import platform
import re
import statistics
import subprocess

import leather
import truth

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- begin of the report -->", "<!-- end of the report -->"


@dataclasses.dataclass(frozen=True)
class Measured:
    # Probes per second while the cost of a probe was measured.
    rate: int
    # Keys that were probed while phases were measured.
    truth_keys: int
    costs: list
    fleets: list
    phases: dict
    revocations: dict


def figure(value):
    if value == float("inf"):
        return "more"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def spread(values):
    return f"{figure(statistics.median(values))} ({figure(min(values))} to {figure(max(values))})"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def costs_table(costs):
    def values(name):
        return [once[name] for once in costs]

    def ratio(name, peer):
        return spread([once[name] / once[peer] for once in costs])

    rows = []
    for name in costs[0]:
        rows.append([name, spread(values(name)), ratio(name, "blackbox_exporter"), ratio(name, "bare reqwest")])
    return table(["", "CPU per probe (µs)", "ratio to blackbox_exporter", "ratio to bare reqwest"], rows)


def fleets_table(fleets):
    names = [name for name in fleets[0] if name != "keys"]

    def cell(value):
        return spread(value) if isinstance(value, list) else figure(value)

    rows = [[name, *(cell(fleet[name]) for fleet in fleets)] for name in names]
    return table(["", *(f"{fleet['keys']:,} keys" for fleet in fleets)], rows)


def phases_table(phases):
    rows = [
        [name, figure(found["probes"]), *(f"{found[column]:.3f}" for column in ("median", "p99", "most"))]
        for name, found in phases.items()
    ]
    head = ["phase", "probes", "measured − true, median (ms)", "difference, p99 (ms)", "largest difference (ms)"]
    return table(head, rows)


def revocations_table(found):
    took, interval = found["took"], found["interval"]
    shares = [("median", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("slowest", 1)]
    rows = [
        [name, figure(truth.quantile(took, share)), figure(max(0, truth.quantile(took, share) - interval))]
        for name, share in shares
    ]
    rows.append(["limit", figure(interval + 1), "1"])
    return table(["", "from the revocation to a scrape that shows it (s)", "more than one interval (s)"], rows)


def histogram(took, interval):
    """How many revocations took how long, in eight steps."""
    step = (interval + 1) / 8
    counts = [sum(1 for one in took if step * place <= one < step * (place + 1)) for place in range(8)]
    counts[-1] += sum(1 for one in took if one >= interval + 1)
    return [(count, f"{step * place:.0f} to {step * (place + 1):.0f} s") for place, count in enumerate(counts)]


def draw(title, unit, bars, path):
    chart = leather.Chart(title)
    chart.add_x_scale(0, max(value for value, _ in bars) * 1.05)
    chart.add_x_axis(name=unit)
    chart.add_bars(bars)
    chart.to_svg(str(path))


def versions(options):
    def first_line(*command):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        return (result.stdout + result.stderr).strip().splitlines()[0]

    processor = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return [
        f"- {first_line(options.exporter, '--version')}",
        f"- {first_line('prometheus-blackbox-exporter', '--version')}",
        f"- {first_line('nginx', '-v')}",
        f"- {first_line('rustc', '--version')}",
        f"- {os.cpu_count()} processors ({processor[1] if processor else platform.machine()}), Linux {platform.release()}",
    ]


def draw_all(measured):
    costs, fleets, phases, revocations = measured.costs, measured.fleets, measured.phases, measured.revocations
    images = ROOT / "docs" / "images"
    median = {name: statistics.median(once[name] for once in costs) for name in costs[0]}
    bars = [(round(value), name) for name, value in median.items()]
    draw("Processor time per probe", "µs", bars, images / "performance-cost.svg")
    per_key = [(round(fleet["memory (MB)"] * 1e3 / fleet["keys"], 1), f"{fleet['keys']:,} keys") for fleet in fleets]
    draw("Memory per key", "kB", per_key, images / "performance-memory.svg")
    per_probe = [(round(fleet["CPU per probe (µs)"]), f"{fleet['keys']:,} keys") for fleet in fleets]
    draw("Processor time per probe of a fleet", "µs", per_probe, images / "performance-fleet.svg")
    scrape = [(round(statistics.median(fleet["/metrics (ms)"]) * 1e3 / fleet["keys"], 2), f"{fleet['keys']:,} keys") for fleet in fleets]
    draw("/metrics per key", "µs", scrape, images / "performance-metrics.svg")
    errors = [(round(found["p99"], 3), name) for name, found in phases.items()]
    draw("Difference between measured and true phase, p99", "ms", errors, images / "performance-truth.svg")
    steps = histogram(revocations["took"], revocations["interval"])
    draw("Revocations by the time until /metrics shows them", "revocations", steps, images / "performance-revocation.svg")


def report(options, measured, load):
    draw_all(measured)
    costs, fleets, phases, revocations = measured.costs, measured.fleets, measured.phases, measured.revocations
    date = datetime.datetime.now(datetime.UTC).date()
    command = "make bench" if not options.quick else "make bench BENCH_QUICK=1"
    return "\n\n".join([
        f"Written by `{command}` on {date}. Load of the machine (1 minute): {load:.1f} before the run.",
        "\n".join(versions(options)),
        f"### The cost of a probe\n\nAt {measured.rate} probes a second; median of {len(costs)} rounds (lowest to highest).",
        costs_table(costs),
        "![Processor time per probe](images/performance-cost.svg)",
        "### The size of a fleet\n\nEach key has two probes a minute, each on a new connection.",
        fleets_table(fleets),
        "![Processor time per probe of a fleet](images/performance-fleet.svg)",
        "![Memory per key](images/performance-memory.svg)",
        "![/metrics per key](images/performance-metrics.svg)",
        f"### The truth of the phases\n\nWhile {measured.truth_keys:,} keys are probed, and `/metrics` is scraped each second.",
        phases_table(phases),
        "![Difference between measured and true phase](images/performance-truth.svg)",
        f"### From a revocation to `/metrics`\n\n{len(revocations['took']):,} of {revocations['keys']:,} keys are revoked, at moments "
        f"that are spread over an interval of {revocations['interval']} s. `/metrics` is scraped each second.",
        revocations_table(revocations),
        "![Revocations by the time until /metrics shows them](images/performance-revocation.svg)",
    ])


def write(text):
    document = ROOT / "docs" / "performance.md"
    before, _, rest = document.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
