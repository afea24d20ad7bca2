"""A tape of any length is replayed in memory that does not grow with it.

The tapes are made (tests/support/make_tape), because recording them would take too long; the target
is arrival_log, whose answers they hold, so every answer must be the same. Memory is the most that
was resident at any time, as the kernel counts it.
"""
import itertools
import json
import os
import resource
import shutil
import subprocess
import threading

import pytest

from arrivals import ArrivalLog
from processes import run
from servers import MIB
from sockets import SocketServer, http_handler
from wiretape import ROOT, WAIT_S, WIRETAPE, Run, assert_all_same, replay, stat, verify

MAKE_TAPE = os.environ.get("MAKE_TAPE", str(ROOT / "build/release/tests/make_tape"))
MEMORY_BYTES_MAX = 256 * MIB
GIB = 1024 * MIB
ANSWER_BYTES = 9


def make(tape, **counts):
    """A made tape; counts are make_tape's flags."""
    flags = [w for name, n in counts.items() for w in (f"--{name.replace('_', '-')}", n)]
    run(MAKE_TAPE, tape, *flags, seconds=300)
    return tape


def joined(tape, *tapes):
    """Tapes one after the other are a tape."""
    with open(tape, "wb") as out:
        for each in tapes:
            out.write(each.read_bytes())
    return tape


def measured(tmp_path, *words):
    """Runs wiretape to its end; gives a Run, its report None without JSON, and the peak."""
    out, err = tmp_path / "stdout", tmp_path / "stderr"
    with open(out, "wb") as stdout, open(err, "wb") as stderr:
        child = subprocess.Popen([WIRETAPE, *map(str, words)], stdin=subprocess.DEVNULL,
                                 stdout=stdout, stderr=stderr)
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    text = out.read_text()
    report = json.loads(text) if text.startswith("{") else None
    peak = used.ru_maxrss * 1024
    print(f"{' '.join(map(str, words))}: {peak / MIB:.0f} MiB, {used.ru_utime:.1f} s user")
    return Run(child.returncode, report, err.read_text()), peak


def replay_and_measure(tmp_path, tape, *options, answer_bytes=ANSWER_BYTES):
    """Replays at full speed to a target that answers as recorded; a Run, and the peak in bytes."""
    server = ArrivalLog(tmp_path, "--forget", "--answer-bytes", answer_bytes)
    outcome, peak = measured(tmp_path, "replay", tape, "--target", server.address, "--speed", "max",
                             "--json", "-", *options)
    server.end()
    return outcome, peak


@pytest.fixture
def fifty_thousand(tmp_path):
    """A tape of 50,000 connections: 1,000 alone, the others with 1,000 open at a time."""
    alone = make(tmp_path / "alone.tape", connections=1000)
    together = make(tmp_path / "together.tape", connections=49_000, open=1000)
    return joined(tmp_path / "session.tape", alone, together)


def test_what_is_made_is_a_whole_tape(tmp_path):
    tape = make(tmp_path / "made.tape", connections=7, open=3, requests=2, request_bytes=70_000,
                answer_bytes=100_000)
    verify(tape)
    totals = stat(tape)
    assert totals["complete"] and totals["connections"] == 7 and totals["exchanges"] == 14
    assert totals["bytes_server_to_client"] > 14 * 100_000


def test_fifty_thousand_connections(tmp_path, fifty_thousand):
    outcome, peak = replay_and_measure(tmp_path, fifty_thousand)
    assert_all_same(outcome)
    assert outcome.report["connections"] == outcome.report["same"] == 50_000
    assert peak < MEMORY_BYTES_MAX


def test_a_loop_and_a_tape_of_the_run(tmp_path):
    tape = make(tmp_path / "session.tape", connections=5000, open=500)
    outcome, peak = replay_and_measure(tmp_path, tape, "--loop", 10, "-o", tmp_path / "run.tape")
    assert_all_same(outcome)
    assert outcome.report["same"] == 50_000
    verify(tmp_path / "run.tape")
    assert peak < MEMORY_BYTES_MAX


def test_ten_thousand_connections_at_the_same_time(tmp_path):
    connections = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200)
    if connections < 10_000:
        pytest.skip(f"only {connections} descriptors")
    tape = make(tmp_path / "session.tape", connections=connections, open=connections, requests=2)
    outcome, peak = replay_and_measure(tmp_path, tape)
    assert_all_same(outcome)
    assert outcome.report["connections"] == connections
    assert peak < MEMORY_BYTES_MAX


def test_one_slow_answer_does_not_keep_others_from_their_records(tmp_path):
    """What waits for it on its own connection is more than is read ahead while all goes well."""
    others, requests = 7, 9000
    tape = make(tmp_path / "session.tape", connections=1 + others, open=1 + others,
                requests=requests)
    served, all_served = itertools.count(1), threading.Event()

    def respond(path):
        if path == "/1/0":
            assert all_served.wait(WAIT_S), "the others were kept waiting"
        elif not path.startswith("/1/") and next(served) == others * requests:
            all_served.set()
        return b"ok, done\n"
    with SocketServer(http_handler(respond)) as server:
        outcome = replay(tape, server.address, "--speed", "max")
    assert all_served.is_set()
    assert_all_same(outcome)


@pytest.fixture
def ten_gib(tmp_path):
    """A tape of 10 GiB, half requests and half answers; gone after the test."""
    free = shutil.disk_usage(tmp_path).free
    if free < 23 * GIB:
        pytest.skip(f"a tape of 10 GiB and its run need 23 GiB of disk, {free // GIB} are free")
    tape = make(tmp_path / "session.tape", connections=64, open=64, requests=642,
                request_bytes=LARGE, answer_bytes=LARGE)
    assert tape.stat().st_size > 10 * GIB
    yield tape
    tape.unlink()


LARGE = 131_000  # bytes of each body


@pytest.mark.long
@pytest.mark.parametrize("options", [(), ("--no-compare",)])
def test_ten_gibibytes(tmp_path, ten_gib, options):
    outcome, peak = replay_and_measure(tmp_path, ten_gib, *options, answer_bytes=LARGE)
    assert outcome.status == 0 and outcome.report["requests_sent"] == 64 * 642, outcome
    assert outcome.report["same"] == (0 if options else 64 * 642)
    assert peak < MEMORY_BYTES_MAX


@pytest.mark.long
def test_ten_gibibytes_and_a_tape_of_the_run(tmp_path, ten_gib):
    """The disk may be slower than the run: then the run's tape has gaps, and the status is 1."""
    outcome, peak = replay_and_measure(tmp_path, ten_gib, "-o", tmp_path / "run.tape",
                                       answer_bytes=LARGE)
    (tmp_path / "run.tape").unlink()
    assert outcome.report["same"] == 64 * 642, outcome
    assert outcome.status == 0 or "is not complete" in outcome.stderr, outcome
    assert peak < MEMORY_BYTES_MAX


@pytest.mark.long
def test_a_dry_run_of_ten_gibibytes(tmp_path, ten_gib):
    outcome, peak = measured(tmp_path, "replay", ten_gib, "--target", "127.0.0.1:9", "--dry-run")
    assert outcome.status == 0 and "nothing was sent" in (tmp_path / "stdout").read_text(), outcome
    assert peak < 64 * MIB
