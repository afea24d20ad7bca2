"""The witnesses of time: ArrivalLog, a server that notes when requests came, and timed_sender."""
import json
import os
import random
import re
import subprocess
import time
from collections import namedtuple
from statistics import median

from processes import Process, run
from wiretape import ROOT, exchanges, port_of

ARRIVAL_LOG = os.environ.get("ARRIVAL_LOG", str(ROOT / "build/release/tests/arrival_log"))
TIMED_SENDER = os.environ.get("TIMED_SENDER", str(ROOT / "build/release/tests/timed_sender"))

# due_ns counts from the beginning; connections are numbered from 0.
Planned = namedtuple("Planned", "due_ns connection path")


class Arrival:
    """A request as it arrived; times are CLOCK_MONOTONIC, of the kernel's receipt."""

    def __init__(self, line):
        self.connection = line["connection"]
        self.reads = line["reads"]
        self.stamped = line["stamped"]
        self.complete = line["complete"]
        self.answered = line["answered"]
        self.bytes = bytes.fromhex(line["hex"])

    @property
    def arrived_ns(self):
        """When its first bytes came."""
        return self.reads[0][0]

    @property
    def path(self):
        return self.bytes.split(b" ", 2)[1].decode()


class ArrivalLog(Process):
    """A running tests/support/arrival_log; end() gives what it noted. Flags as it has them."""

    def __init__(self, tmp_path, *flags):
        self._log = tmp_path / f"arrivals-{os.urandom(4).hex()}"
        super().__init__(ARRIVAL_LOG, self._log, *flags, stdout=subprocess.PIPE)
        self.address = self.stdout.readline().decode().strip()
        assert self.address, self.stderr
        self.port = port_of(self.address)

    def arrivals(self):
        """Ends it. All requests, in order of arrival."""
        assert self.end() == 0, self.stderr
        return [Arrival(json.loads(line)) for line in self._log.read_text().splitlines()]


def paths_by_connection(arrivals):
    """For each connection the paths asked for, in order; a set, since numbers mean little."""
    paths = {}
    for arrival in arrivals:
        paths.setdefault(arrival.connection, []).append(arrival.path)
    return {tuple(found) for found in paths.values()}


def uneven_schedule(requests, connections, seconds, seed=1):
    """Exponential gaps; a connection rests for some requests before it is used again."""
    source = random.Random(seed)
    order = list(range(connections))
    source.shuffle(order)
    gaps = [source.expovariate(1) for _ in range(requests)]
    scale, due = seconds * 1e9 / sum(gaps), 0
    plan = []
    for i, gap in enumerate(gaps):
        due += int(gap * scale)
        connection = order.pop(source.randrange(max(1, len(order) // 2)))
        order.append(connection)
        plan.append(Planned(due, connection, f"/{i}"))
    return plan


def send_timed(port, plan, folder, *flags):
    """Sends a plan by timed_sender; what it says, with the time t0_ns from which dues count."""
    schedule = folder / "schedule"
    schedule.write_text("".join(f"{p.due_ns} {p.connection} {p.path}\n" for p in plan))
    return json.loads(run(TIMED_SENDER, port, schedule, *flags))


Sent = namedtuple("Sent", "connection due_ns sent_ns")  # CLOCK_MONOTONIC


def sends_on(run_tape):
    """The sends of a run, in order of the tape, as stock tools print its own tape (-o)."""
    plain = subprocess.run(["zstd", "-dcq", run_tape], check=True, capture_output=True).stdout
    text = run("protoc", f"--proto_path={ROOT}", "--decode=wiretape.v1.Tape", "proto/tape.proto",
               input=plain, cwd=ROOT).decode()
    # The header ties the tape's time to the wall clock, and that to CLOCK_MONOTONIC.
    wall_start_ns = int(re.search(r"^    wall_start_ns: (\d+)$", text, re.MULTILINE).group(1))
    start_ns = wall_start_ns - (time.time_ns() - time.monotonic_ns())
    found = re.findall(r"^  send \{\n((?:    .*\n)+)  \}", text, re.MULTILINE)
    fields = [dict(re.findall(r"^    (\w+): (\d+)$", body, re.MULTILINE)) for body in found]
    return [Sent(int(f["connection"]), start_ns + int(f["due_ns"]), start_ns + int(f["sent_ns"]))
            for f in fields]


def path_of(exchange):
    return exchange["url"][exchange["url"].rindex("/"):]


def dues_on(tape):
    """When each path was asked for, in time of the tape."""
    return {path_of(e): e["start_ns"] for e in exchanges(tape)}


def lateness_at_the_target(arrivals, run_tape):
    """Arrival minus due time, by the run's own account of what was due when."""
    sent = {}
    for send in sends_on(run_tape):
        sent.setdefault(send.connection, []).append(send)
    # Both tapes and the server's log have a connection's requests in the same order.
    paths = {}
    for e in exchanges(run_tape):
        paths.setdefault(e["connection"], []).append(path_of(e))
    due = {path: send.due_ns for connection, sends in sent.items()
           for path, send in zip(paths[connection], sends, strict=True)}
    return [a.arrived_ns - due[a.path] for a in arrivals]


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def drift_ns(errors):
    """How much later the last tenth came than the first, by their medians; `errors` in order."""
    tenth = len(errors) // 10
    return median(errors[-tenth:]) - median(errors[:tenth])


