"""Measures the exporter beside blackbox_exporter and a bare HTTP client, and writes docs/performance.md.

All of them probe the same nginx over TLS on this machine, one after the other, several times. Processor time is what the
kernel accounts to a process. Only ratios within one run are compared: other work on the machine changes the figures.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import gzip
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request

import document
import fleet_files
import truth

TICKS = os.sysconf("SC_CLK_TCK")
# Probes per second.
RATE = 300
# How many keys are probed while phases are measured.
TRUTH_KEYS = 10_000
TLS_PORT, STATUS_PORT, EXPORTER_PORT, BLACKBOX_PORT = 18443, 18080, 18698, 18115
CANARY = "/api/v1/mad/exercices?version=1.0.0"
KEY_INFO = {
    "target": {"type": "api", "schemaId": 80, "thirdPartyId": 101, "societyId": 127},
    "version": {"current": 1, "latest": 1, "beta": False},
    "canBeActivated": True,
    "isActivated": True,
    "routes": [{"path": "/api/v1/society", "method": "get"}],
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much to measure."""

    rounds: int
    cost_seconds: int
    sizes: tuple
    fleet_seconds: int
    truth_seconds: int
    # The number of keys, their interval in seconds, and how many of them are revoked.
    revocations: tuple


FULL = Plan(3, 15, (1_000, 10_000, 50_000), 60, 60, (10_000, 60, 1_000))
QUICK = Plan(1, 5, (10_000,), 10, 15, (1_000, 10, 200))


def run(*command, **options):
    subprocess.run([str(part) for part in command], check=True, **options)


def fetch(url, timeout=60, **options):
    request = urllib.request.Request(url, **options)
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return response.read()


def until(condition, seconds, what):
    """Waits, and returns how long it took."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        with contextlib.suppress(OSError):
            if condition():
                return time.monotonic() - start
        time.sleep(0.02)
    raise TimeoutError(what)


@contextlib.contextmanager
def started(command, log):
    """A process that is stopped at the end. What it prints is in a file."""
    with open(log, "w") as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output)
    try:
        yield process
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended early; see {log}")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_megabytes(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


class World:
    """The directory of a run: certificates, the configuration of nginx, and a fleet for each size."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)

    def make_certificates(self):
        quiet = {"cwd": self.directory, "stderr": subprocess.DEVNULL}
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        run("openssl", "req", "-x509", *key, "-days", 30, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=bench", **quiet)
        run("openssl", "req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost", **quiet)
        (self.directory / "names").write_text("subjectAltName=DNS:localhost\n")
        sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", 30, "-extfile", "names"]
        run("openssl", "x509", "-req", "-in", "server.csr", *sign, "-out", "server.pem", **quiet)

    def nginx(self):
        temporary = "\n".join(
            f"{module}_temp_path {self.directory}/{module};"
            for module in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self.directory / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {self.directory}/nginx.pid; error_log {self.directory}/nginx.error;
events {{ worker_connections 8192; }}
http {{
  access_log off; default_type application/json; keepalive_requests 100000000; {temporary}
  add_header request-id $request_id always;
  add_header X-Rate-Limit-Limit 20; add_header X-Rate-Limit-Remaining 19; add_header X-Rate-Limit-Reset 10;
  server {{
    listen 127.0.0.1:{TLS_PORT} ssl backlog=4096;
    ssl_certificate {self.directory}/server.pem; ssl_certificate_key {self.directory}/server.key;
    ssl_protocols TLSv1.3;
    location = /api/partners/health {{ return 200 '{{"status":"UP"}}'; }}
    location = /api/v1/key/info {{ return 200 '{json.dumps(KEY_INFO)}'; }}
    location = /api/v1/mad/exercices {{ return 200 '[{{"id":1,"start_date":"2026-01-01"}}]'; }}
  }}
  server {{ listen 127.0.0.1:{STATUS_PORT}; location = /status {{ stub_status; }} }}
}}
""")
        return started(["nginx", "-c", self.directory / "nginx.conf"], self.directory / "nginx.log")

    def fleet(self, keys, interval, connection="fresh", key_info="extended"):
        """A directory with the configuration of so many keys."""
        fleet = self.directory / f"fleet-{keys}-{connection}-{key_info}"
        timing = f"interval: {interval}s, timeout: 5s"
        settings = f"""
api: {{base_url: "https://localhost:{TLS_PORT}", ca_file: {self.directory}/ca.pem}}
key_info: {{{timing}, mode: {key_info}}}
canaries:
  exercices: {{{timing}, connection: {connection}}}
"""
        fleet_files.write(fleet, settings, keys)
        return fleet


def nginx_requests():
    return int(fetch(f"http://127.0.0.1:{STATUS_PORT}/status").decode().split("\n")[2].split()[2])


def exporter(binary, fleet):
    shutil.rmtree(fleet / "data", ignore_errors=True)
    options = [f"--config.file={fleet}/exporter.yml", f"--storage.path={fleet}/data", "--log.level=error"]
    options += [f"--web.listen-address=127.0.0.1:{EXPORTER_PORT}", "--web.enable-lifecycle"]
    return started([binary, *options], fleet / "log")


def exporter_url(path):
    return f"http://127.0.0.1:{EXPORTER_PORT}{path}"


def wait_until_ready():
    return until(lambda: fetch(exporter_url("/-/ready"), timeout=5), 120, "the exporter is ready")


def cost(process, seconds):
    """Microseconds of processor time per request, while the process runs for so long."""
    cpu, requests = cpu_seconds(process), nginx_requests()
    time.sleep(seconds)
    return (cpu_seconds(process) - cpu) / max(1, nginx_requests() - requests) * 1e6


def cost_of_exporter(binary, fleet, warm_up, seconds):
    with exporter(binary, fleet) as process:
        wait_until_ready()
        time.sleep(warm_up)
        return cost(process, seconds)


def cost_of_peer(binary, world, seconds):
    url, ca_file = f"https://localhost:{TLS_PORT}{CANARY}", world.directory / "ca.pem"
    with started([binary, url, ca_file, RATE, seconds + 4], world.directory / "peer.log") as process:
        time.sleep(2)
        return cost(process, seconds)


async def drive_blackbox(seconds):
    """Asks for `RATE` probes a second, over eight connections that stay open."""
    target = f"https://localhost:{TLS_PORT}{CANARY.replace('?', '%3F')}"
    connections = asyncio.Queue()
    for _ in range(8):
        connections.put_nowait(await asyncio.open_connection("127.0.0.1", BLACKBOX_PORT))

    async def probe():
        reader, writer = await connections.get()
        writer.write(f"GET /probe?module=key&target={target} HTTP/1.1\r\nHost: blackbox\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"content-length: (\d+)", head)
        if length:
            body = await reader.readexactly(int(length[1]))
        else:
            body = await reader.readuntil(b"\r\n0\r\n\r\n")
        if b"probe_success 1" not in body:
            raise RuntimeError("a probe of blackbox_exporter failed")
        connections.put_nowait((reader, writer))

    start = time.monotonic()
    probes = []
    for number in range(int(seconds * RATE)):
        await asyncio.sleep(start + number / RATE - time.monotonic())
        probes.append(asyncio.create_task(probe()))
    await asyncio.gather(*probes)


def cost_of_blackbox(world, seconds):
    configuration = world.directory / "blackbox.yml"
    configuration.write_text(f"""
modules:
  key:
    prober: http
    timeout: 5s
    http:
      headers: {{X-Third-Party-Secret: "{fleet_files.SECRET}"}}
      authorization: {{credentials: "{'a' * 42}"}}
      fail_if_body_not_matches_regexp: ['^\\[']
      tls_config: {{ca_file: {world.directory}/ca.pem}}
""")
    address = f"127.0.0.1:{BLACKBOX_PORT}"
    command = ["prometheus-blackbox-exporter", f"--config.file={configuration}", f"--web.listen-address={address}"]
    with started(command, world.directory / "blackbox.log") as process:
        until(lambda: fetch(f"http://{address}/-/healthy"), 30, "blackbox_exporter is ready")
        asyncio.run(drive_blackbox(2))
        before = cpu_seconds(process)
        asyncio.run(drive_blackbox(seconds))
        return (cpu_seconds(process) - before) / (seconds * RATE) * 1e6


def measure_costs(options, world, rounds, seconds):
    """The cost of a probe, in rounds: each measures everybody once, so the ratios of a round share its conditions."""
    interval = 5
    keys = RATE * interval
    fresh = world.fleet(keys, interval, "fresh", "off")
    reuse = world.fleet(keys, interval, "reuse", "off")
    measured = []
    for _ in range(rounds):
        measured.append({
            "blackbox_exporter": cost_of_blackbox(world, seconds),
            "bare reqwest": cost_of_peer(options.peer, world, seconds),
            "exporter, fresh": cost_of_exporter(options.exporter, fresh, 2 * interval, seconds),
            "exporter, reuse": cost_of_exporter(options.exporter, reuse, 2 * interval, seconds),
        })
    return measured


def samples(text, name):
    return [line for line in text.splitlines() if line.startswith((name + "{", name + " "))]


def lateness_bucket(text, quantile, before=None):
    """The upper limit, in milliseconds, of the bucket that contains this share of the probes."""

    def buckets(text):
        lines = samples(text, "myunisoft_exporter_probe_lateness_seconds_bucket")
        return [(re.search('le="([^"]+)"', line)[1], float(line.rsplit(" ", 1)[1])) for line in lines]

    earlier = dict(buckets(before)) if before else {}
    counts = [(limit, count - earlier.get(limit, 0)) for limit, count in buckets(text)]
    total = counts[-1][1]
    return next((float(limit) * 1e3 for limit, count in counts if count >= quantile * total), float("inf"))


def metrics():
    return fetch(exporter_url("/metrics")).decode()


def timed(action, rounds):
    """How long each round took, in milliseconds, and the last result."""
    times = []
    for _ in range(rounds):
        start = time.monotonic()
        result = action()
        times.append((time.monotonic() - start) * 1e3)
    return times, result


def rates(seconds):
    """How many requests nginx got in each second."""
    counts, start = [nginx_requests()], time.monotonic()
    for second in range(1, seconds + 1):
        time.sleep(max(0, start + second - time.monotonic()))
        counts.append(nginx_requests())
    return [later - earlier for earlier, later in zip(counts, counts[1:])]


def measure_fleet(options, world, keys, seconds):
    fleet = world.fleet(keys, 60)
    with exporter(options.exporter, fleet) as process:
        start_up = wait_until_ready()
        first_minute = rates(60)
        first = metrics()
        cpu, requests = cpu_seconds(process), nginx_requests()
        time.sleep(seconds)
        spent, sent = cpu_seconds(process) - cpu, nginx_requests() - requests
        memory = resident_megabytes(process)
        later = metrics()
        plain_ms, plain = timed(lambda: fetch(exporter_url("/metrics")), 5)
        zipped = {"headers": {"Accept-Encoding": "gzip"}}
        gzip_ms, compressed = timed(lambda: fetch(exporter_url("/metrics"), **zipped), 5)
        page_ms, page = timed(lambda: fetch(exporter_url("/")), 5)
        reload_ms, _ = timed(lambda: fetch(exporter_url("/-/reload"), method="POST"), 3)
        after_reload = resident_megabytes(process)
        time.sleep(30)
        if gzip.decompress(compressed)[:6] != b"# HELP":
            raise RuntimeError("/metrics is not what it should be")
        return {
            "keys": keys,
            "CPU (% of one core)": spent / seconds * 100,
            "CPU per probe (µs)": spent / max(1, sent) * 1e6,
            "memory (MB)": memory,
            "memory after scrapes, page and reload (MB)": after_reload,
            "memory 30 s later (MB)": resident_megabytes(process),
            "series": sum(1 for line in plain.splitlines() if not line.startswith(b"#")),
            "/metrics (ms)": plain_ms,
            "/metrics (MB)": len(plain) / 1e6,
            "/metrics, gzip (ms)": gzip_ms,
            "/metrics, gzip (MB)": len(compressed) / 1e6,
            "page (ms)": page_ms,
            "page (kB)": len(page) / 1e3,
            "start (ms)": start_up * 1e3,
            "reload (ms)": reload_ms,
            "lateness p99, first minute (ms, at most)": lateness_bucket(first, 0.99),
            "lateness p99, then (ms, at most)": lateness_bucket(later, 0.99, first),
            "busiest second / mean, first minute": max(first_minute) / max(1, statistics.mean(first_minute)),
        }


def exporter_with_delays():
    """What the measurements with the server that delays need to know about an exporter."""
    return truth.Exporter(started, EXPORTER_PORT, metrics, wait_until_ready)


def measure_phases(options, world, plan):
    return truth.measure_phases(options, world, exporter_with_delays(), TRUTH_KEYS, plan.truth_seconds)


def measure_revocations(options, world, plan):
    keys, interval, revoked = plan.revocations
    return truth.measure_revocations(options, world, exporter_with_delays(), keys, interval, revoked)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exporter", required=True, help="the program to measure")
    parser.add_argument("--peer", required=True, help="the bare HTTP client: benches/peer.rs")
    parser.add_argument("--api", required=True, help="the server that delays phases: benches/api.rs")
    parser.add_argument("--only", choices=["truth", "revocation"], help="print this part, and write nothing")
    parser.add_argument("--quick", action="store_true", help="four minutes, for a try")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    plan = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        world = World(directory)
        world.make_certificates()
        if options.only:
            print(document.phases_table(measure_phases(options, world, plan)) if options.only == "truth" else
                  document.revocations_table(measure_revocations(options, world, plan)))
            return
        with world.nginx():
            until(nginx_requests, 10, "nginx is ready")
            costs = measure_costs(options, world, plan.rounds, plan.cost_seconds)
            fleets = [measure_fleet(options, world, keys, plan.fleet_seconds) for keys in plan.sizes]
        phases = measure_phases(options, world, plan)
        revocations = measure_revocations(options, world, plan)
    text = document.report(options, document.Measured(RATE, TRUTH_KEYS, costs, fleets, phases, revocations), load)
    document.write(text)
    print(text)


if __name__ == "__main__":
    main()
