"""Wiretape's own commands: Recording for `record`, and a function for each of the others."""
import json
import os
import re
import signal
from collections import namedtuple
from pathlib import Path

from processes import WAIT_S, Process, finish, run

ROOT = Path(__file__).resolve().parents[2]
WIRETAPE = os.environ.get("WIRETAPE", str(ROOT / "build/release/wiretape"))

READY = r"recording (\S+) -> (\S+) to (.+)$"
SANITIZED = re.compile(r"(Address|Thread|Leak|UndefinedBehavior)Sanitizer|runtime error:")

Ended = namedtuple("Ended", "status stderr")


class Recording(Process):
    """A running `wiretape record`, ready.

    `upstream` is an ADDR, or a list of (listen, upstream) pairs. `command` stands behind `--`.
    """

    def __init__(self, upstream, *options, tape, listen="127.0.0.1:0", command=(), prefix=(),
                 **process_options):
        pairs = upstream if isinstance(upstream, list) else [(listen, upstream)]
        words = [w for a, b in pairs for w in ("--listen", a, "--upstream", b)]
        words += ["-o", tape, *options] + (["--", *command] if command else [])
        super().__init__(*prefix, WIRETAPE, "record", *words, **process_options)
        self.tape = tape
        ready = self.wait_for_line(READY, count=len(pairs))
        self.addresses = [m.group(1) for m in ready]
        self.ready_upstreams = [m.group(2) for m in ready]

    @property
    def address(self):
        return self.addresses[0]

    @property
    def port(self):
        return port_of(self.address)

    @property
    def url(self):
        return f"http://{self.address}"

    def stop(self, status=0, number=signal.SIGTERM, seconds=30):
        """Stops recording; the exit status must be `status`. Gives what was said on stderr."""
        ended = self.leave(number, seconds)
        assert ended.status == status, f"record exited with {ended.status}:\n{ended.stderr}"
        return ended

    def leave(self, number=signal.SIGTERM, seconds=30):
        """Stops recording and gives the exit status and stderr."""
        status = self.end(number, seconds)
        assert not SANITIZED.search(self.stderr), self.stderr
        return Ended(status, self.stderr)


Said = namedtuple("Said", "status stdout stderr")


def wiretape(*words, **options):
    """Runs `wiretape WORDS...` to its end."""
    done = finish(WIRETAPE, *words, **options)
    said = Said(done.returncode if done.returncode >= 0 else 128 - done.returncode,
                done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    assert not SANITIZED.search(said.stderr), said.stderr
    assert said.status < 128, f"wiretape {words} ended by a signal: {said}"
    return said


def stat(tape, *options):
    return json.loads(run(WIRETAPE, "stat", tape, "--json", *options))


def connections(tape):
    """The connection_list of `stat --connections --json`."""
    return stat(tape, "--connections")["connection_list"]


def exchanges(tape):
    """What `show --json` prints, one dict an exchange."""
    return [json.loads(line) for line in run(WIRETAPE, "show", tape, "--json").splitlines()]


def verify(tape, status=0):
    said = wiretape("verify", tape)
    assert said.status == status, said
    return said.stdout + said.stderr


Run = namedtuple("Run", "status report stderr")


def replay(tape, target, *options, seconds=60, prefix=()):
    """Replays and gives exit status, the report (None when there is none) and stderr."""
    done = finish(*prefix, WIRETAPE, "replay", tape, "--target", target, "--json", "-", *options,
                  seconds=seconds)
    stderr = done.stderr.decode(errors="replace")
    assert not SANITIZED.search(stderr), stderr
    return Run(done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, stderr)


def assert_all_same(outcome):
    """A run in which everything was sent, answered and found the same."""
    assert outcome.status == 0, f"replay exited with {outcome.status}: {outcome}"
    report = outcome.report
    assert report["different"] == 0 and report["errors"] == 0, report
    assert report["requests_sent"] == report["requests_scheduled"] > 0, report
    assert not any(report["not_sent"].values()), report
    assert report["same"] > 0, report


def port_of(address):
    return int(address.rsplit(":", 1)[1])


def host_and_port(address):
    """("127.0.0.1", 80) of "127.0.0.1:80", ("::1", 80) of "[::1]:80"."""
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)


__all__ = ["ROOT", "WAIT_S", "WIRETAPE", "Recording", "Ended", "Run", "Said", "wiretape", "stat",
           "connections", "exchanges", "verify", "replay", "assert_all_same", "port_of",
           "host_and_port"]
