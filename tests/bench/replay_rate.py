#!/usr/bin/env python3
"""How fast requests can be replayed, beside wrk:  entrant -> nginx, a core for each.

The same small GETs on keep-alive connections are recorded once through Wiretape, then sent as
fast as order allows (--speed max), with and without comparing; wrk sends the same requests for as
long. Entrants take turns, round after round. README.md says how to read the table.
"""
import argparse
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import measured
from proxies import ANSWERS, start_nginx

ROOT = measured.ROOT
sys.path.insert(0, str(ROOT / "tests/e2e"))

import processes  # noqa: E402  pylint: disable=wrong-import-position
import wiretape  # noqa: E402  pylint: disable=wrong-import-position

WRK, PLAIN, COMPARING = "wrk", "wiretape --no-compare", "wiretape"
SERVER_CORE, CLIENT_CORE = 0, 1

REQUEST = ("GET /{} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n"
           "Accept: application/json\r\n\r\n")


@dataclass
class Cell:
    """One entrant in one round."""
    round: int
    entrant: str
    rate: float  # answered requests a second
    cpu_us: float  # per request
    peak_mib: float
    answered: int
    good: bool  # everything was answered (and the same)


# ------------------------------------------------------------------------------- recording


class Client:
    """One keep-alive connection that asks for one answer after another."""

    def __init__(self, port, numbers):
        self.numbers = iter(numbers)
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def ask(self):
        number = next(self.numbers, None)
        if number is not None:
            self.socket.sendall(REQUEST.format(number % ANSWERS).encode())
        return number is not None

    def answered(self):
        """Whether the answer has come to its end."""
        data = self.socket.recv(65536)
        assert data, "the connection was closed"
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return False
        at = self.buffer.index(b"Content-Length: ") + 16
        length = int(self.buffer[at:self.buffer.index(b"\r", at)])
        if len(self.buffer) < head + 4 + length:
            return False
        self.buffer = b""
        return True


def record(upstream_port, tape, options):
    """As many clients as connections, in turn as they are answered."""
    recording = wiretape.Recording(f"127.0.0.1:{upstream_port}", tape=tape)
    selector = selectors.DefaultSelector()
    for i in range(options.connections):
        client = Client(recording.port, range(i, options.requests, options.connections))
        client.ask()
        selector.register(client.socket, selectors.EVENT_READ, client)
    while selector.get_map():
        for key, _ in selector.select():
            client = key.data
            if client.answered() and not client.ask():
                selector.unregister(client.socket)
                client.socket.close()
    recording.stop()
    found = wiretape.stat(tape)
    assert found["responses"] == options.requests and found["complete"], found


# ------------------------------------------------------------------------------- entrants

WRK_SCRIPT = """
local n, requests = 0, {}
function init()
  for i = 0, %(answers)d - 1 do
    requests[i + 1] = wrk.format("GET", "/" .. i, {["Host"] = "127.0.0.1",
      ["User-Agent"] = "bench", ["Accept"] = "application/json"})
  end
end
function request() n = n %% #requests + 1; return requests[n] end
function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format('\\n{"duration_us": %%d, "requests": %%d, "errors": %%d}',
    summary.duration, summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def wrk(number, port, folder, options):
    script = folder / "load.lua"
    script.write_text(WRK_SCRIPT % {"answers": ANSWERS})
    cost = measured.run_measured(
        [*measured.on_core(CLIENT_CORE), "wrk", "-t1", f"-c{options.connections}",
         f"-d{options.seconds}s", "-s", script, f"http://127.0.0.1:{port}"])
    said = json.loads(cost.stdout.splitlines()[-1])
    return Cell(number, WRK, said["requests"] / said["duration_us"] * 1e6,
                cost.cpu_s / said["requests"] * 1e6, cost.peak_bytes / 2**20, said["requests"],
                said["errors"] == 0)


def replay(*flags):
    name = COMPARING if not flags else PLAIN

    def measure(number, port, folder, options):
        cost = measured.run_measured(
            [*measured.on_core(CLIENT_CORE), options.wiretape, "replay", folder / "session.tape",
             "--target", f"127.0.0.1:{port}", "--speed", "max", "--json", "-", "-q", *flags])
        if not cost.stdout.strip():
            raise RuntimeError(f"{name}: {cost.stderr[-500:]}")
        report = json.loads(cost.stdout)
        same = report["same"] if not flags else report["responses"]
        return Cell(number, name, report["responses"] / report["duration_ns"] * 1e9,
                    cost.cpu_s / report["responses"] * 1e6, cost.peak_bytes / 2**20,
                    report["responses"],
                    same == report["responses"] == options.requests and cost.status == 0)
    return measure


ENTRANTS = {WRK: wrk, PLAIN: replay("--no-compare"), COMPARING: replay()}


# ------------------------------------------------------------------------------- the table

COLUMNS = [("requests/s", "rate", "{:,.0f}"), ("CPU us/request", "cpu_us", "{:.1f}"),
           ("peak MiB", "peak_mib", "{:.0f}"), ("answered", "answered", "{:,.0f}")]


def table(cells):
    by_entrant = {name: [c for c in cells if c.entrant == name] for name in ENTRANTS}
    heads = ["entrant", *(head for head, _, _ in COLUMNS), "rate / wrk", "CPU / wrk", "all good"]
    rows = []
    for name, found in by_entrant.items():
        row = [name] + [form.format(measured.median_of(found, field))
                        for _, field, form in COLUMNS]
        row += [f"{measured.ratio_of(found, by_entrant[WRK], field):.2f}"
                for field in ("rate", "cpu_us")]
        rows.append([*row, "yes" if all(c.good for c in found) else "no"])
    return measured.markdown(heads, rows)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=3, help="of wrk, each round")
    parser.add_argument("--wiretape", type=Path, default=ROOT / "build/release/wiretape")
    parser.add_argument("--keep", type=Path, help="keep the tape as this file")
    return parser.parse_args()


def main():
    options = parse()
    cells = []
    with tempfile.TemporaryDirectory(prefix="wiretape-bench.") as place:
        folder = Path(place)
        port = processes.free_port()
        nginx = start_nginx(folder, port)
        try:
            os.sched_setaffinity(nginx.child.pid, {SERVER_CORE})
            for child in subprocess.run(["pgrep", "-P", str(nginx.child.pid)], text=True,
                                        capture_output=True, check=False).stdout.split():
                os.sched_setaffinity(int(child), {SERVER_CORE})
            record(port, folder / "session.tape", options)
            if options.keep:
                options.keep.write_bytes((folder / "session.tape").read_bytes())
            for number, name in measured.in_turn(list(ENTRANTS), options.rounds):
                cells.append(ENTRANTS[name](number, port, folder, options))
                print(cells[-1], file=sys.stderr)
        finally:
            nginx.end()
            processes.end_all()
    print(table(cells))
    return 0 if all(c.good for c in cells) else 1


if __name__ == "__main__":
    sys.exit(main())
