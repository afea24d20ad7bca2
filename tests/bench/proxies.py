#!/usr/bin/env python3
"""What recording costs, beside proxies that people know:  wrk -> entrant -> nginx, on loopback.

Every cell (round, workload, entrant) starts its entrant fresh, loads it, ends it, and looks at what
it recorded. Rounds take the entrants in turn, each round in another order, and a ratio is the
median of the ratios taken inside the rounds: on a shared machine neighbours in time can be
compared, absolute figures cannot. README.md says how to read the tables.
"""
import argparse
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASELINE = "haproxy"
HOST = "127.0.0.1"
ANSWERS = 1000  # different answers of 1 KiB
IDLE_WARM = 1000  # opened before memory is looked at, so that fixed costs are not shared out
IDLE_CONNECTIONS = 4000


# ------------------------------------------------------------------------------- processes


class Process:
    """A child that is ended by pid; its CPU time is the kernel's final account of it."""

    def __init__(self, command, log):
        with open(log, "ab") as out:
            self.child = subprocess.Popen([str(word) for word in command], stdout=out, stderr=out,
                                          stdin=subprocess.DEVNULL)
        self.log = log
        self.cpu_s = None

    def alive(self):
        return self.cpu_s is None

    def end(self, patience_s=20):
        """SIGTERM, then SIGKILL; afterwards cpu_s is what it and its children used in all."""
        if self.alive():
            self.child.send_signal(signal.SIGTERM)
            if not self.reap(patience_s):
                self.child.kill()
                self.reap(patience_s)

    def reap(self, patience_s):
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            pid, status, usage = os.wait4(self.child.pid, os.WNOHANG)
            if pid:
                self.child.returncode = os.waitstatus_to_exitcode(status)
                self.cpu_s = usage.ru_utime + usage.ru_stime
                return True
            time.sleep(0.01)
        return False

    def pss_bytes(self):
        """User-space memory of the process and its children, shared pages by share."""
        return sum(pss_of(pid) for pid in [self.child.pid, *children_of(self.child.pid)])


def children_of(pid):
    pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in pids]


def pss_of(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def free_port():
    with socket.create_server((HOST, 0)) as listener:
        return listener.getsockname()[1]


def wait_for_port(port, process):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.child.poll() is None:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on {port}: {Path(process.log).read_text()[-500:]}")


# ------------------------------------------------------------------------------- the upstream


def answer(n):
    """1 KiB that looks like an API's answer and differs from the others as those would."""
    items = [{"id": n * 31 + i, "name": f"item-{(n * 7919 + i * 104729) % 1000003}",
              "price": (n * 17 + i * 13) % 9973 / 100, "stock": (n + i) % 50,
              "tags": ["new", "sale", "top"][(n + i) % 3]} for i in range(16)]
    return json.dumps({"page": n, "items": items})[:1000].replace("'", "") + "~" * 24


def start_nginx(folder, port):
    locations = "\n".join(f"location = /{n} {{ return 200 '{answer(n)}'; }}"
                          for n in range(ANSWERS))
    (folder / "large").write_bytes(b"".join(answer(n).encode() for n in range(1024)))
    (folder / "nginx.conf").write_text(f"""
        daemon off; worker_processes 1; user root; pid {folder}/nginx.pid;
        worker_rlimit_nofile {descriptors()};
        events {{ worker_connections {descriptors() - 100}; }}
        http {{
          access_log off; sendfile on; tcp_nodelay on; default_type application/json;
          keepalive_requests 1000000000; keepalive_timeout 600s; open_file_cache max=10;
          client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
          uwsgi_temp_path {folder}; scgi_temp_path {folder};
          server {{ listen {HOST}:{port} backlog=4096; root {folder}; {locations} }}
        }}""")
    nginx = Process(["nginx", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"],
                    folder / "nginx.log")
    wait_for_port(port, nginx)
    return nginx


def descriptors():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


# ------------------------------------------------------------------------------- the entrants


def haproxy(folder, listen, upstream, _):
    (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn {IDLE_WARM + IDLE_CONNECTIONS + 1000}
defaults
  mode tcp
  timeout connect 5s
  timeout client 600s
  timeout server 600s
listen relay
  bind {HOST}:{listen}
  server upstream {HOST}:{upstream}
""")
    return ["haproxy", "-db", "-f", folder / "haproxy.cfg"]


def wiretape(*flags):
    def command(folder, listen, upstream, program):
        return [program, "record", "--listen", f"{HOST}:{listen}", "--upstream",
                f"{HOST}:{upstream}", "-o", folder / "out.tape", *flags]
    return command


def sslsplit(folder, listen, upstream, _):
    return ["sslsplit", "-u", "root", "-X", folder / "out.pcap",
            "tcp", HOST, listen, HOST, upstream]


ENTRANTS = {
    "direct": None,
    "haproxy": haproxy,
    "wiretape --compress 0": wiretape("--compress", "0"),
    "wiretape": wiretape(),
    "wiretape --raw": wiretape("--raw"),
    "sslsplit -X": sslsplit,
}
PROGRAMS = {"haproxy": "haproxy", "sslsplit -X": "sslsplit"}


# ------------------------------------------------------------------------------- the loads

WRK_SCRIPT = """
local paths, n = {%(paths)s}, 0
local requests = {}
function init() for i, path in ipairs(paths) do requests[i] = wrk.format("GET", path) end end
function request() n = n %% #requests + 1; return requests[n] end
function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    '\\n{"duration_us": %%d, "requests": %%d, "bytes": %%d, "errors": %%d, "p50": %%d, "p99": %%d}',
    summary.duration, summary.requests, summary.bytes,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass
class Load:
    title: str
    connections: int
    paths: list
    headers: tuple = ()


LOADS = {
    "small": Load("1 KiB answers, 64 keep-alive connections", 64, range(ANSWERS)),
    "bulk": Load("1 MiB answers, 8 keep-alive connections", 8, ["large"]),
    "short": Load("1 KiB answers, a connection for each request, 64 at once", 64, range(ANSWERS),
                  ("-H", "Connection: close")),
    "idle": Load(f"{IDLE_CONNECTIONS} connections that did one request and stay open", 0, []),
}


def run_wrk(load, port, seconds, folder):
    script = folder / "load.lua"
    script.write_text(WRK_SCRIPT % {"paths": ", ".join(f'"/{p}"' for p in load.paths)})
    out = subprocess.run(["wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s", *load.headers,
                          "-s", script, f"http://{HOST}:{port}"],
                         capture_output=True, text=True, check=True).stdout
    return json.loads(out.splitlines()[-1])


def open_idle(port, count):
    """Connections that have each had one answer."""
    connections = []
    for n in range(count):
        connection = socket.create_connection((HOST, port), timeout=10)
        connection.sendall(b"GET /%d HTTP/1.1\r\nHost: bench\r\n\r\n" % (n % ANSWERS))
        connections.append(connection)
        if not connection.recv(65536):
            raise RuntimeError("an idle connection was closed")
    time.sleep(1)  # what is done once the connection is quiet
    return connections


# ------------------------------------------------------------------------------- a cell


@dataclass
class Cell:
    round: int
    load: str
    entrant: str
    cpu_us: float = None  # per request; bulk: per MB
    rate: float = None  # requests a second; bulk: MB a second
    p50_us: float = None
    p99_us: float = None
    disk_bytes: float = None  # per request
    recorded: float = None  # share of the answers that wrk saw
    idle_bytes: float = None  # user space, per pair
    errors: int = 0


def measure(cell, options, upstream, folder):
    make = ENTRANTS[cell.entrant]
    listen = free_port() if make else upstream
    process = None
    try:
        if make:
            process = Process(make(folder, listen, upstream, options.wiretape), folder / "log")
            wait_for_port(listen, process)
        if cell.load == "idle":
            measure_idle(cell, process, listen)
        else:
            seen = run_wrk(LOADS[cell.load], listen, options.seconds, folder)
            if process:
                process.end()
            fill_in(cell, seen, process, options, folder)
    finally:
        if process:
            process.end()
    return cell


def measure_idle(cell, process, port):
    connections = open_idle(port, IDLE_WARM)
    before = process.pss_bytes()
    connections += open_idle(port, IDLE_CONNECTIONS)
    cell.idle_bytes = (process.pss_bytes() - before) / IDLE_CONNECTIONS
    for connection in connections:
        connection.close()


def fill_in(cell, seen, process, options, folder):
    if not seen["requests"]:
        raise RuntimeError(f"nothing was answered: {(folder / 'log').read_text()[-500:]}")
    bulk = cell.load == "bulk"
    units = seen["bytes"] / 1e6 if bulk else seen["requests"]
    cell.rate = units / seen["duration_us"] * 1e6
    cell.p50_us, cell.p99_us, cell.errors = seen["p50"], seen["p99"], seen["errors"]
    if process:
        cell.cpu_us = process.cpu_s * 1e6 / units
    recording = next((folder / name for name in ("out.tape", "out.pcap")
                      if (folder / name).exists()), None)
    if recording:
        cell.disk_bytes = recording.stat().st_size / seen["requests"]
    if recording and recording.suffix == ".tape":
        cell.recorded = share_recorded(recording, seen, options.wiretape)


def share_recorded(tape, seen, program):
    """Of the answers that wrk saw whole; of its bytes where answers were not looked for."""
    stat = json.loads(subprocess.run([program, "stat", "--json", tape], check=True,
                                     capture_output=True, text=True).stdout)
    if stat["bytes_not_recorded"] or not stat["complete"]:
        return 0.0
    if stat["responses"]:
        return min(1.0, stat["responses"] / seen["requests"])
    return min(1.0, stat["bytes_server_to_client"] / seen["bytes"])


# ------------------------------------------------------------------------------- the tables

COLUMNS = [  # heading, field, how it is written
    ("CPU us/{unit}", "cpu_us", "{:.2f}"),
    ("{units}/s", "rate", "{:,.0f}"),
    ("p50 us", "p50_us", "{:,.0f}"),
    ("p99 us", "p99_us", "{:,.0f}"),
    ("disk B/request", "disk_bytes", "{:,.0f}"),
    ("user-space B/pair", "idle_bytes", "{:,.0f}"),
]
RATIOS = [("CPU", "cpu_us"), ("rate", "rate"), ("memory", "idle_bytes")]


def median(cells, field):
    values = [getattr(cell, field) for cell in cells if getattr(cell, field) is not None]
    return statistics.median(values) if values else None


def ratio(cells, baseline, field):
    """The median over the rounds of this entrant's figure by the baseline's of the same round."""
    base = {cell.round: getattr(cell, field) for cell in baseline}
    pairs = [(getattr(cell, field), base.get(cell.round)) for cell in cells]
    ratios = [a / b for a, b in pairs if a is not None and b]
    return statistics.median(ratios) if ratios else None


def table(load, cells):
    by_entrant = {name: [c for c in cells if c.entrant == name] for name in ENTRANTS}
    by_entrant = {name: found for name, found in by_entrant.items() if found}
    baseline = by_entrant.get(BASELINE, [])
    unit = {"bulk": "MB", "short": "connection"}.get(load, "request")
    units = unit if unit == "MB" else unit + "s"
    heads, columns = ["entrant"], []
    for head, field, form in COLUMNS:
        if any(getattr(c, field) is not None for c in cells):
            heads.append(head.format(unit=unit, units=units))
            columns.append((lambda found, f=field: median(found, f), form))
    for head, field in RATIOS:
        if any(getattr(c, field) is not None for c in baseline):
            heads.append(f"{head} / {BASELINE}")
            columns.append((lambda found, f=field: ratio(found, baseline, f), "{:.2f}"))
    if least_recorded(cells) is not None:
        heads.append("recorded, least")
        columns.append((least_recorded, "{:.2%}"))
    lines = [f"### {load}: {LOADS[load].title}", "", "| " + " | ".join(heads) + " |",
             "|---" + "|---:" * (len(heads) - 1) + "|"]
    for name, found in by_entrant.items():
        values = [(value(found), form) for value, form in columns]
        texts = ["" if v is None else form.format(v) for v, form in values]
        lines.append("| " + " | ".join([name, *texts]) + " |")
    errors = sum(cell.errors for cell in cells)
    return "\n".join(lines) + (f"\n\nwrk counted {errors} errors\n" if errors else "\n")


def least_recorded(cells):
    return min((cell.recorded for cell in cells if cell.recorded is not None), default=None)


# ------------------------------------------------------------------------------- main


def cells_to_measure(options):
    for number in range(options.rounds):
        for load in options.loads:
            names = options.entrants[number:] + options.entrants[:number]
            for name in names:
                if load != "idle" or name.startswith(("haproxy", "wiretape")):
                    yield Cell(number, load, name)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of load, for each cell")
    parser.add_argument("--loads", default=",".join(LOADS), help="of: %(default)s")
    parser.add_argument("--entrants", default=",".join(ENTRANTS), help="of: %(default)s")
    parser.add_argument("--wiretape", type=Path, default=ROOT / "build/release/wiretape")
    parser.add_argument("--json", type=Path, help="also write every cell to this file, one a line")
    options = parser.parse_args()
    options.loads = options.loads.split(",")
    options.entrants = [name for name in options.entrants.split(",") if is_there(name)]
    for name in options.loads:
        if name not in LOADS:
            parser.error(f"no load named {name}")
    return options


def is_there(name):
    if name not in ENTRANTS:
        sys.exit(f"proxies.py: no entrant named {name}")
    there = shutil.which(PROGRAMS.get(name, "sh"))
    if not there:
        print(f"{name} is not installed: left out", file=sys.stderr)
    return there


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors(), descriptors()))
    cells, failed = [], 0
    with tempfile.TemporaryDirectory(prefix="wiretape-bench.") as place:
        base = Path(place)
        upstream = free_port()
        nginx = start_nginx(base, upstream)
        try:
            for cell in cells_to_measure(options):
                folder = Path(tempfile.mkdtemp(dir=base))
                try:
                    cells.append(measure(cell, options, upstream, folder))
                    print(json.dumps(asdict(cell)), file=sys.stderr)
                except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
                    failed += 1
                    print(f"{cell.load}, {cell.entrant}: failed: {error}", file=sys.stderr)
                shutil.rmtree(folder)
        finally:
            nginx.end()
    if options.json:
        options.json.write_text("".join(json.dumps(asdict(cell)) + "\n" for cell in cells))
    for load in options.loads:
        print(table(load, [cell for cell in cells if cell.load == load]))
    return 1 if failed or not cells or least_recorded(cells) not in (None, 1.0) else 0


if __name__ == "__main__":
    sys.exit(main())
