#!/usr/bin/env python3
"""How true replays are to time:  entrant -> arrival_log, a server that notes each arrival.

Uneven requests on many keep-alive connections are recorded through Wiretape; then every entrant
plays them again, in turn, round after round. What counts is when the kernel of the server's side
received each request, against its time on the tape. README.md says how to read the table.
"""
import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import measured

ROOT = measured.ROOT
sys.path.insert(0, str(ROOT / "tests/e2e"))

import arrivals  # noqa: E402  pylint: disable=wrong-import-position
import processes  # noqa: E402  pylint: disable=wrong-import-position
import wiretape  # noqa: E402  pylint: disable=wrong-import-position

GUARD_US = 150
LOOP, SPIN = "bare timerfd loop", f"bare spin of {GUARD_US} us"
PLAIN, PRECISE = "wiretape replay", "wiretape replay --precise"
TAPED = "wiretape replay -o"


@dataclass
class Cell:
    """One entrant in one round; times in us, as the server saw them."""
    round: int
    entrant: str
    p50: float
    p99: float
    max: float
    drift: float
    cpu_s: float
    connections: int
    arrived: int
    said_p50: float = None
    said_p99: float = None
    disagrees: float = None  # its p50 less that of the log, both from the due time


class Material:
    """A tape, and the same schedule as the bare sender and GoReplay read it."""

    def __init__(self, folder, options):
        self.folder = folder
        self.tape = folder / "session.tape"
        self.run_tape = folder / "run.tape"
        self.record(arrivals.uneven_schedule(options.requests, options.connections,
                                             options.seconds))
        found = sorted(wiretape.exchanges(self.tape), key=lambda e: e["start_ns"])
        assert len(found) == options.requests, f"{len(found)} requests were recorded"
        self.due = {arrivals.path_of(e): e["start_ns"] - found[0]["start_ns"] for e in found}
        numbers = {c: i for i, c in enumerate(dict.fromkeys(e["connection"] for e in found))}
        self.schedule = folder / "schedule.txt"
        self.schedule.write_text("".join(
            f"{due} {numbers[e['connection']]} {path}\n"
            for e, (path, due) in zip(found, self.due.items(), strict=True)))

    def record(self, plan):
        server = arrivals.ArrivalLog(self.folder)
        recording = wiretape.Recording(server.address, tape=self.tape)
        arrivals.send_timed(recording.port, plan, self.folder)
        recording.stop()
        requests = server.arrivals()
        self.bytes = {a.path: a.bytes for a in requests}
        self.gor = self.folder / "session.gor"

    def write_gor(self):
        """GoReplay's own file: a line of kind, id and time; the request; a separator."""
        epoch = 1_700_000_000_000_000_000
        with open(self.gor, "wb") as out:
            for number, (path, due) in enumerate(self.due.items()):
                out.write(b"1 %024x %d 0\n" % (number, epoch + due) + self.bytes[path] +
                          "\n🐵🙈🙉\n".encode())


RUN_TAPE = object()  # stands for its name


def replay_command(*flags):
    def command(material, port):
        material.run_tape.unlink(missing_ok=True)
        words = [material.run_tape if flag is RUN_TAPE else flag for flag in flags]
        return [wiretape.WIRETAPE, "replay", material.tape, "--target", f"127.0.0.1:{port}",
                "--json", "-", "-q", *words]
    return command


def sender_command(*flags):
    def command(material, port):
        return [arrivals.TIMED_SENDER, port, material.schedule, *flags]
    return command


def goreplay_command(material, port):
    material.write_gor()
    return ["goreplay", "--input-file", material.gor, "--output-http", f"http://127.0.0.1:{port}",
            "--stats=false"]


ENTRANTS = {
    LOOP: sender_command(),
    SPIN: sender_command("--spin-us", GUARD_US),
    PLAIN: replay_command(),
    PRECISE: replay_command("--precise"),
    TAPED: replay_command("-o", RUN_TAPE),
    "goreplay": goreplay_command,
}


def there(name):
    if name == PRECISE:
        return measured.accepts_flag(wiretape.WIRETAPE, "--precise")
    return name != "goreplay" or measured.installed("goreplay")


def measure(number, name, material):
    server = arrivals.ArrivalLog(material.folder)
    cost = measured.run_measured(ENTRANTS[name](material, server.port))
    seen = [a for a in server.arrivals() if a.path in material.due]
    if not seen:
        raise RuntimeError(f"{name}: nothing arrived: {cost.stderr[-500:]}")
    seen.sort(key=lambda a: material.due[a.path])
    errors = [(a.arrived_ns - material.due[a.path]) / 1000 for a in seen]
    late = [error - min(errors) for error in errors]
    cell = Cell(number, name, arrivals.quantile(late, 0.5), arrivals.quantile(late, 0.99),
                max(late), arrivals.drift_ns(errors), cost.cpu_s,
                len({a.connection for a in seen}), len(seen))
    if name in (PLAIN, PRECISE, TAPED):
        said = json.loads(cost.stdout)["lateness_ns"]
        cell.said_p50, cell.said_p99 = said["p50"] / 1000, said["p99"] / 1000
    if name == TAPED:
        from_due = arrivals.lateness_at_the_target(seen, material.run_tape)
        cell.disagrees = cell.said_p50 - arrivals.quantile(from_due, 0.5) / 1000
    return cell


COLUMNS = [("late p50 us", "p50", "{:,.0f}"), ("p99 us", "p99", "{:,.0f}"),
           ("max us", "max", "{:,.0f}"), ("drift us", "drift", "{:+,.0f}"),
           ("CPU s", "cpu_s", "{:.2f}"), ("connections", "connections", "{:.0f}"),
           ("arrived", "arrived", "{:.0f}"), ("it says p50", "said_p50", "{:,.0f}"),
           ("it says p99", "said_p99", "{:,.0f}"),
           ("disagrees p50", "disagrees", "{:+,.0f}")]


def table(cells):
    by_entrant = {name: [c for c in cells if c.entrant == name] for name in ENTRANTS}
    heads = ["entrant", *(head for head, _, _ in COLUMNS), "p99 / loop", "p99 / spin"]
    rows = []
    for name, found in by_entrant.items():
        if not found:
            continue
        row = [name]
        for _, field, form in COLUMNS:
            value = measured.median_of(found, field)
            row.append(None if value is None else form.format(value))
        for base in (LOOP, SPIN):
            ratio = measured.ratio_of(found, by_entrant[base], "p99")
            row.append(None if ratio is None else f"{ratio:.2f}")
        rows.append(row)
    return measured.markdown(heads, rows)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=8, help="that the recording takes")
    parser.add_argument("--entrants", default=",".join(ENTRANTS), help="of: %(default)s")
    options = parser.parse_args()
    options.entrants = options.entrants.split(",")
    for name in options.entrants:
        if name not in ENTRANTS:
            parser.error(f"no entrant named {name}")
        if not there(name):
            print(f"{name} is not here: left out", file=sys.stderr)
    options.entrants = [name for name in options.entrants if there(name)]
    return options


def main():
    options = parse()
    cells = []
    with tempfile.TemporaryDirectory(prefix="wiretape-bench.") as place:
        try:
            material = Material(Path(place), options)
            for number, name in measured.in_turn(options.entrants, options.rounds):
                cells.append(measure(number, name, material))
                print(cells[-1], file=sys.stderr)
        finally:
            processes.end_all()
    print(table(cells))
    kept = [c.arrived == options.requests for c in cells if c.said_p50 is not None]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
