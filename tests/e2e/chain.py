"""The layout that proves exactness: a hashing relay on each side of a recording.

    client -> relay A -> wiretape record -> relay B -> server

The relays share no code with Wiretape. After the traffic, check() holds what A saw, what B saw and
what the tape says against each other: bytes and SHA-256 of both directions of every connection,
and how both streams ended.
"""
import json
import os
import subprocess
from collections import Counter

from processes import Process
from wiretape import ROOT, Recording, connections, host_and_port, port_of, stat, verify

HASHING_RELAY = os.environ.get("HASHING_RELAY", str(ROOT / "build/release/tests/hashing_relay"))
DIRECTIONS = ("client_to_server", "server_to_client")


class Relay(Process):
    """A running hashing relay; `address` is where it listens."""

    def __init__(self, upstream, log, listen="127.0.0.1:0"):
        super().__init__(HASHING_RELAY, listen, upstream, log, stdout=subprocess.PIPE)
        self.log = log
        self.address = self.stdout.readline().decode().strip()
        assert self.address, f"hashing_relay did not start: {self.stderr}"

    def stop(self):
        """Stops it and gives one dict a connection, in order of their ends."""
        assert self.end() == 0, self.stderr
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def sums_seen(entry):
    """What a relay saw of a connection: (bytes, sha256) of both directions."""
    return tuple((entry[d]["bytes"], entry[d]["sha256"]) for d in DIRECTIONS)


def sums_taped(entry):
    """The same from the tape."""
    return tuple((entry[f"bytes_{d}"], entry[f"sha256_{d}"]) for d in DIRECTIONS)


class Chain:
    """client -> relay A -> recording -> relay B -> server, as a context manager."""

    def __init__(self, upstream, folder, *options):
        self.folder = folder
        self.tape = folder / "session.tape"
        self.b = Relay(upstream, folder / "b.log")
        self.recording = Recording(self.b.address, *options, tape=self.tape)
        self.a = Relay(self.recording.address, folder / "a.log")
        self.address = self.a.address
        self.host, self.port = host_and_port(self.address)
        self.url = f"http://{self.address}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.a.end()
        self.recording.end(seconds=30)
        self.b.end()

    def stop(self, status=0):
        """Ends the layout; gives what A, the tape and B know of every connection."""
        seen_a = self.a.stop()
        self.ended = self.recording.stop(status=status)
        return seen_a, connections(self.tape), self.b.stop()

    def check(self, ends=True):
        """Everything agrees; gives the tape's connections, oldest first.

        ends=False leaves out how streams ended, for clients that leave in the middle of an
        answer: what overtakes what is then up to the kernel.
        """
        seen_a, taped, seen_b = self.stop()
        assert len(seen_a) == len(taped) == len(seen_b) > 0
        from_a = Counter((port_of(c["local"]), sums_seen(c)) for c in seen_a)
        on_tape = Counter((port_of(c["client"]), sums_taped(c)) for c in taped)
        assert from_a == on_tape
        assert Counter(map(sums_taped, taped)) == Counter(map(sums_seen, seen_b))
        if ends:
            check_ends(seen_a, taped, seen_b)
        self.check_totals(taped)
        return taped

    def check_totals(self, taped):
        """The tape is whole, and its sums are those of its connections."""
        verify(self.tape)
        totals = stat(self.tape)
        assert totals["complete"] and totals["bytes_not_recorded"] == 0, totals
        assert totals["connections"] == len(taped)
        for direction in DIRECTIONS:
            assert totals[f"bytes_{direction}"] == sum(c[f"bytes_{direction}"] for c in taped)


def check_ends(seen_a, taped, seen_b):
    """Both relays saw the same ends of the same connections, and the tape says so too."""
    def ends_seen(entries):
        return Counter((sums_seen(e), tuple(sorted(e["ends"]))) for e in entries)
    assert ends_seen(seen_a) == ends_seen(seen_b)
    by_port = {port_of(e["local"]): e for e in seen_a}
    if len(by_port) < len(seen_a):
        return  # ports came again: a connection is not known by its port
    for entry in taped:
        ends = by_port[port_of(entry["client"])]["ends"]
        assert entry["close"] == ends[-1].split()[1], (entry, ends)


__all__ = ["Chain", "Relay", "DIRECTIONS", "sums_seen", "sums_taped"]
