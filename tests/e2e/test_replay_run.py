"""How a run goes: what stops it, which part of the tape it takes, what holds its connections.

The bounds on time are wide: they tell a rule from its absence, not a fast machine from a slow one.
"""
import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import threading
import time

import pytest

from processes import Process
from sockets import SocketServer, connect, http_handler, request
from wiretape import WIRETAPE, assert_all_same, exchanges, replay, wiretape


class Replaying(Process):
    """A running `wiretape replay`; its report is in `report` once it has ended."""

    def __init__(self, tape, target, *options, folder):
        self._json = folder / "report.json"
        super().__init__(WIRETAPE, "replay", tape, "--target", target, "--json", self._json,
                         *options)

    @property
    def report(self):
        return json.loads(self._json.read_text())


def answers(delay_s=0):
    def respond(path):
        time.sleep(delay_s)
        return f"this is {path}".encode()
    return SocketServer(http_handler(respond))


def record_requests(record, count, pause_s):
    """`count` requests on one connection, with a pause before each but the first."""
    with answers() as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            for i in range(count):
                time.sleep(pause_s if i else 0)
                request(s, f"/{i}")
        recording.stop()


def test_the_first_signal_stops_sending_and_collects_the_answers(record, tape, tmp_path):
    record_requests(record, 6, 0.5)
    with answers(delay_s=0.3) as slow:
        running = Replaying(tape, slow.address, folder=tmp_path)
        time.sleep(0.8)  # the second request is under way
        status = running.end(signal.SIGINT)
    report = running.report
    assert status == 1, running.stderr
    assert 0 < report["requests_sent"] < 6
    assert report["requests_scheduled"] == 6
    assert report["not_sent"] == {"stopped": 6 - report["requests_sent"]}
    assert report["same"] == report["requests_sent"] and report["errors"] == 0


def test_the_second_signal_ends_at_once(record, tape, tmp_path):
    record_requests(record, 3, 0.4)
    with answers(delay_s=60) as never:
        running = Replaying(tape, never.address, folder=tmp_path)
        time.sleep(0.5)
        began = time.monotonic()
        running.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert running.running, running.stderr
        status = running.end(signal.SIGTERM)
        assert time.monotonic() - began < 10
    report = running.report
    assert status == 1
    assert report["requests_sent"] + report["not_sent"]["stopped"] == 3


def test_every_unit_of_a_run_that_was_cut_off_is_judged(record, tape, tmp_path):
    with answers() as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            for i in range(10_000):
                request(s, f"/{i}")
        recording.stop()
    with answers() as server:
        running = Replaying(tape, server.address, "--speed", "0.05", folder=tmp_path)
        time.sleep(1)
        for number in signal.SIGSTOP, signal.SIGINT, signal.SIGTERM:  # so that both come at once
            running.send_signal(number)
        assert running.end(signal.SIGCONT) == 1, running.stderr
    report = running.report
    judged = report["same"] + report["different"] + report["errors"]
    assert judged + sum(report["not_compared"].values()) == report["requests_scheduled"]
    assert report["requests_scheduled"] == report["requests_sent"] + report["not_sent"]["stopped"]
    assert report["errors"] == report["different"] == 0
    assert report["tape_read_to_end"] is False and report["requests_scheduled"] < 10_000


def test_a_tape_from_a_pipe_is_the_same(record, tape):
    record_requests(record, 3, 0)
    with answers() as server:
        said = wiretape("replay", "-", "--target", server.address, input=tape.read_bytes())
    assert said.status == 0 and "all the same: same 3" in said.stdout, said


def test_a_tape_is_played_in_a_loop(record, tape):
    record_requests(record, 3, 0.1)
    with answers() as server:
        outcome = replay(tape, server.address, "--loop", 4)
        assert server.served == 4
    assert_all_same(outcome)
    assert outcome.report["same"] == 12 and outcome.report["connections"] == 4
    assert outcome.report["duration_ns"] > 4 * 0.2e9


def test_a_loop_from_a_pipe_at_full_speed(record, tape):
    record_requests(record, 5, 0)
    with answers() as server:
        said = wiretape("replay", "-", "--target", server.address, "--loop", "20", "--speed", "max",
                        input=tape.read_bytes())
    assert said.status == 0 and "same 100" in said.stdout, said


def test_an_interrupted_loop_counts_the_laps_that_were_begun(record, tape, tmp_path):
    record_requests(record, 4, 0.3)
    with answers() as server:
        running = Replaying(tape, server.address, "--loop", 1_000_000, folder=tmp_path)
        time.sleep(1.6)  # in the second lap
        assert running.end(signal.SIGINT) == 1, running.stderr
    report = running.report
    scheduled = report["requests_scheduled"]
    assert scheduled % 4 == 0 and 8 <= scheduled < 100
    assert 4 < report["requests_sent"] == scheduled - report["not_sent"]["stopped"]


def test_only_what_begins_between_from_and_to_is_sent(record, tape):
    record_requests(record, 6, 0.5)  # at about 0, 0.5, ... 2.5 s
    begin = exchanges(tape)[0]["start_ns"] / 1e9
    window = ("--from", f"{begin + 0.75:.3f}s", "--to", f"{begin + 1.75:.3f}s")
    paths = []

    def respond(path):
        paths.append(path)
        return f"this is {path}".encode()
    with SocketServer(http_handler(respond)) as server:
        outcome = replay(tape, server.address, *window)
    assert_all_same(outcome)
    assert paths == ["/2", "/3"]
    assert outcome.report["requests_scheduled"] == 2 and outcome.report["connections"] == 1
    assert outcome.report["duration_ns"] < 2e9


@pytest.mark.parametrize("options, words", [
    (("--from", "2s", "--to", "2s"), "before --to"),
    (("--from", "1h"), "beyond the end"),
    (("--from", "0s", "--to", "1s", "--loop", "2"), "--loop")])
def test_a_stretch_that_cannot_be_is_refused(record, tape, options, words):
    record_requests(record, 1, 0)
    with answers() as server:
        outcome = replay(tape, server.address, *options)
        assert outcome.status == 2 and words in outcome.stderr, outcome
        assert server.served == 0


def test_a_stretch_on_which_nothing_begins_says_where_the_tape_does(record, tape):
    with answers() as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            time.sleep(0.5)
            request(s, "/0")
        recording.stop()
        begin = exchanges(tape)[0]["start_ns"] / 1e9
        stretches = [("--to", f"{begin / 2:.3f}s"), ("--from", f"{begin + 0.0001:.6f}s")]
        said = [wiretape("replay", tape, "--target", server.address, *each) for each in stretches]
    for outcome in said:
        assert outcome.status == 1
        assert f"between --from and --to (its first request is at {begin:.3f} s)" in outcome.stdout
    help_text = " ".join(wiretape("replay", "--help").stdout.split())
    assert "counted from the tape's first record" in help_text


def test_at_most_so_many_connections_are_open_at_a_time(record, tape):
    with answers() as server:
        recording = record(server.address)
        with contextlib.ExitStack() as opened:
            clients = [opened.enter_context(connect(recording.address)) for _ in range(8)]
            for i, s in enumerate(clients):
                request(s, f"/{i}")
        recording.stop()
    now, most = [0], [0]
    lock = threading.Lock()

    def count(s):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        http_handler(lambda path: f"this is {path}".encode())(s)
        with lock:
            now[0] -= 1
    with SocketServer(count) as server:
        assert_all_same(replay(tape, server.address, "--connections-max", 2))
    # The target may see a connection's end after it has seen the next one begin.
    assert most[0] <= 4


def test_precise_replays_the_same(record, tape):
    record_requests(record, 20, 0.02)
    with answers() as server:
        outcome = replay(tape, server.address, "--precise")
    assert_all_same(outcome)


def test_progress_is_shown_on_a_terminal_and_erased(record, tape):
    record_requests(record, 4, 0.4)
    ours, theirs = pty.openpty()
    with answers() as server:
        child = subprocess.Popen([WIRETAPE, "replay", tape, "--target", server.address],
                                 stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        text = read_terminal(ours)
        assert child.wait(60) == 0
    assert re.search(r"sent \d/4, \d+/s, late .*, 0 different, \d s left", text), text
    assert text.endswith("\r\x1b[K")


def test_the_time_left_with_think_time_is_not_the_clocks(record, tape):
    """On the tape a request is answered at once, here much later: by the clock the run is over."""
    record_requests(record, 5, 0.2)
    ours, theirs = pty.openpty()
    with answers(delay_s=0.6) as slow:
        child = subprocess.Popen([WIRETAPE, "replay", tape, "--target", slow.address, "--pace",
                                  "think"], stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        text = read_terminal(ours)
        assert child.wait(60) == 0
    assert re.search(r"sent 4/5, .*? [1-9] s left", text), text
    assert not re.search(r"sent [1-4]/5,[^\r]* 0 s left", text), text


def read_terminal(fd):
    text = b""
    with contextlib.suppress(OSError):  # how a terminal ends
        while data := os.read(fd, 65536):
            text += data
    os.close(fd)
    return text.decode()


def test_progress_is_not_shown_when_piped(record, tape):
    record_requests(record, 3, 0.4)
    with answers() as server:
        assert wiretape("replay", tape, "--target", server.address).stderr == ""
