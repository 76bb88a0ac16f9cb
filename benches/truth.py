"""Compares what the exporter says with what a server knows: the phases of probes, and revocations.

The server (`benches/api.rs`) delays each phase, measures the delay with its own clock, and prints it with the ID of the
request. The exporter logs each probe with its phases and the same ID.
"""

import collections.abc
import contextlib
import dataclasses
import datetime
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import threading
import time

import fleet_files

PORT = 18444
DNS_ADDRESS = "127.0.0.153"
PHASES = ["resolve", "connect", "tls", "processing", "transfer"]


def quantile(values, share):
    """The smallest value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def can_answer_dns():
    """Whether the exporter can get a name server of its own: its view of /etc/resolv.conf needs root."""
    return is_root() and shutil.which("unshare") is not None


def is_root():
    return os.geteuid() == 0


@dataclasses.dataclass(frozen=True)
class Exporter:
    """How to run one: `started` starts a command with a log, and the others ask the exporter on this port."""

    started: collections.abc.Callable
    port: int
    fetch_metrics: collections.abc.Callable
    wait_until_ready: collections.abc.Callable

    def run(self, binary, fleet, level):
        command = command_of_exporter(binary, fleet, self.port, level)
        return self.started(command, fleet / "log")


class Api:
    """The server. What it prints is in a file."""

    def __init__(self, program, world):
        self.log = world.directory / "api.log"
        command = [program, str(PORT), world.directory / "server.pem", world.directory / "server.key"]
        if can_answer_dns():
            command.append(f"{DNS_ADDRESS}:53")
        if is_root():
            # What the server measures must not contain the time that it waits for a processor.
            command = ["chrt", "--rr", "1", *command]
        self.command = [str(part) for part in command]

    def __enter__(self):
        with self.log.open("w") as output:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=output, text=True)
        while not self.log.read_text():
            if self.process.poll() is not None:
                raise RuntimeError("the server with delays does not start")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def revoke(self, token):
        self.process.stdin.write(f"revoke {token}\n")
        self.process.stdin.flush()

    def lines(self):
        text = self.log.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def write_fleet(world, name, keys, interval):
    fleet = world.directory / name
    proxy = "proxy.bench" if can_answer_dns() else "localhost"
    timing = f"interval: {interval}s, timeout: 5s"
    settings = f"""
api: {{base_url: "https://localhost:{PORT}", ca_file: {world.directory}/ca.pem, proxy_url: "http://{proxy}:{PORT}"}}
health: {{interval: 250ms, timeout: 250ms}}
key_info: {{{timing}}}
canaries:
  exercices: {{{timing}}}
"""
    fleet_files.write(fleet, settings, keys)
    (fleet / "resolv.conf").write_text(f"nameserver {DNS_ADDRESS}\noptions attempts:1 timeout:2\n")
    return fleet


def command_of_exporter(binary, fleet, port, level):
    command = [str(binary), f"--config.file={fleet}/exporter.yml", f"--storage.path={fleet}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", f"--log.level={level}", "--log.format=json"]
    if not can_answer_dns():
        return command
    script = f'mount --bind {fleet}/resolv.conf /etc/resolv.conf && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh", *command]


@contextlib.contextmanager
def scraped_each_second(fetch_metrics):
    """Scrapes as Prometheus does, at fixed times. Yields a list of the last scrape: when it ended, and its text."""
    scrapes, stop = [], threading.Event()

    def scrape():
        # Prometheus runs on another machine.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        due = time.monotonic()
        while not stop.is_set():
            text = fetch_metrics()
            scrapes.append((time.time(), text))
            del scrapes[:-1]
            due = max(due + 1, time.monotonic())
            stop.wait(due - time.monotonic())

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield scrapes
    finally:
        stop.set()
        thread.join()


def logged_probes(log):
    """The probes in the log of the exporter, with phases in microseconds."""
    probes = []
    with log.open() as lines:
        for line in lines:
            if '"msg":"probe finished"' not in line:
                continue
            entry = json.loads(line)
            phases = re.findall(r"(\w+)=([0-9.]+)s", entry["phases"])
            entry["phases"] = {name: float(seconds) * 1e6 for name, seconds in phases}
            probes.append(entry)
    return probes


def errors_of_phases(probes, facts):
    """Measured minus true, in microseconds, for each phase."""
    truth = {fact["id"]: fact for fact in facts if "id" in fact}
    errors = {phase: [] for phase in PHASES}
    for probe in probes:
        fact = truth.get(probe.get("request_id"))
        if fact:
            for phase in PHASES[1:]:
                errors[phase].append(probe["phases"][phase] - fact[phase])
    errors["resolve"] = errors_of_look_ups(probes, facts)
    return errors


def errors_of_look_ups(probes, facts):
    """Each health probe looks up. It is compared with the answers of the DNS server that it waited for: both clocks are this
    machine's. A probe that shares a look-up that began earlier is left out."""
    # The client asks for both families at once, from one port.
    look_ups = {}
    for fact in facts:
        if "dns" in fact:
            asked = fact["at"] - fact["dns"] / 1e6
            of_client = look_ups.setdefault(fact["client"], [])
            if of_client and asked < of_client[-1][1]:
                of_client[-1] = (min(of_client[-1][0], asked), max(of_client[-1][1], fact["at"]))
            else:
                of_client.append((asked, fact["at"]))
    look_ups = [times for of_client in look_ups.values() for times in of_client]
    errors = []
    for probe in probes:
        if probe["probe"] != "health" or "resolve" not in probe["phases"]:
            continue
        end = datetime.datetime.fromisoformat(probe["ts"]).timestamp()
        begin = end - probe["seconds"]
        asked, answered = min(look_ups, key=lambda times: abs(times[0] - begin), default=(0, 0))
        if -0.005 < asked - begin < 0.015:
            errors.append(probe["phases"]["resolve"] - (answered - asked) * 1e6)
    return errors


def measure_phases(options, world, exporter, keys, seconds):
    """The errors of the phases while so many keys are probed and /metrics is scraped each second."""
    fleet = write_fleet(world, f"truth-{keys}", keys, 60)
    with Api(options.api, world) as api:
        with exporter.run(options.exporter, fleet, "debug"):
            exporter.wait_until_ready()
            time.sleep(5)
            begin = datetime.datetime.now(datetime.UTC).isoformat()
            with scraped_each_second(exporter.fetch_metrics):
                time.sleep(seconds)
            probes = [probe for probe in logged_probes(fleet / "log") if probe["ts"] >= begin]
        errors = errors_of_phases(probes, api.lines())
    return {
        phase: {
            "probes": len(values),
            "median": statistics.median(values) / 1e3,
            "p99": quantile([abs(value) for value in values], 0.99) / 1e3,
            "most": max(abs(value) for value in values) / 1e3,
        }
        for phase, values in errors.items()
        if values
    }


def measure_revocations(options, world, exporter, keys, interval, revoked):
    """How long after its revocation a key is `revoked` in /metrics, which is scraped each second. In seconds."""
    fleet = write_fleet(world, f"revocations-{keys}", keys, interval)
    chosen = random.Random(17).sample(range(keys), revoked)
    at, seen = {}, {}
    with Api(options.api, world) as api:
        with exporter.run(options.exporter, fleet, "error"):
            exporter.wait_until_ready()
            time.sleep(interval + 3)
            with scraped_each_second(exporter.fetch_metrics) as scrapes:
                begin = time.monotonic()
                # Over a whole interval, so that the moments are anywhere between two probes.
                for place, number in enumerate(chosen):
                    time.sleep(max(0, begin + interval * place / revoked - time.monotonic()))
                    at[number] = time.time()
                    api.revoke(fleet_files.token_of(number))
                    note(seen, scrapes)
                deadline = time.monotonic() + 2 * interval + 10
                while len(seen) < revoked and time.monotonic() < deadline:
                    time.sleep(0.1)
                    note(seen, scrapes)
    never = [number for number in chosen if number not in seen]
    if never:
        raise RuntimeError(f"{len(never)} revocations were never seen in /metrics")
    took = [seen[number] - at[number] for number in chosen]
    wrong = set(seen) - set(chosen)
    if wrong:
        raise RuntimeError(f"{len(wrong)} keys are shown as revoked, and are not")
    return {"keys": keys, "interval": interval, "took": took}


def note(seen, scrapes):
    """When each key was first seen as revoked. A search for a text is fast enough for a scrape of 10,000 keys each second."""
    if not scrapes:
        return
    at, text = scrapes.pop()
    line_end = 'state="revoked"} 1\n'
    place = text.find(line_end)
    while place != -1:
        line = text[text.rfind("\n", 0, place) + 1 : place]
        number = re.search(r'^myunisoft_key_state\{partner="acme",key="customer-(\d+)",$', line)
        if number:
            seen.setdefault(int(number[1]), at)
        place = text.find(line_end, place + 1)
