"""A target is not the server that was recorded: it answers otherwise, closes, stalls, dies.

Whatever it does, the run ends, each request is accounted for once, and none is sent twice.
"""
import itertools
import os
import signal
import sys
import threading
import time

import pytest

from arrivals import ArrivalLog, paths_by_connection, send_timed, uneven_schedule
from processes import Process, run
from sockets import (SocketServer, connect, http_handler, read_exactly, read_response,
                     read_to_end, request, reset)
from wiretape import assert_all_same, replay

MS = 1_000_000
S = 1000 * MS


def assert_accounted(report):
    """Each request was sent or not, and was compared or not, once."""
    scheduled, sent = report["requests_scheduled"], report["requests_sent"]
    assert scheduled == sent + sum(report["not_sent"].values()), report
    judged = sum(report[key] for key in ("same", "different", "errors"))
    assert judged + sum(report["not_compared"].values()) == scheduled, report


def play(tape, target, *options, seconds=60, prefix=()):
    """Replays HTTP and checks what holds whatever the target did."""
    outcome = replay(tape, target, *options, seconds=seconds, prefix=prefix)
    assert outcome.status in (0, 1), outcome
    assert_accounted(outcome.report)
    return outcome


def record_gets(record, count, connections=1, gap_s=0.0):
    """GET /0, /1, ... on connections in turn, each answered before the next is sent."""
    with SocketServer(http_handler(lambda path: b"ok, done\n")) as server:
        recording = record(server.address)
        opened = [connect(recording.address) for _ in range(connections)]
        for i in range(count):
            time.sleep(gap_s)
            request(opened[i % connections], f"/{i}")
        for s in opened:
            s.close()
        recording.stop()


def asked(arrivals):
    return sorted(int(a.path[1:]) for a in arrivals)


# --- Other lengths, other segments ---

def test_redis_answers_of_other_length(record, redis, tape):
    server = redis()
    for i in range(50):
        server.cli("SET", f"key{i}", "short")
    recording = record(server.address)
    keys = "".join(f"GET key{i}\n" for i in range(50))
    for _ in range(3):
        run("redis-cli", "-p", recording.port, input=keys.encode())
    recording.stop()
    other = redis()
    for i in range(50):
        other.cli("SET", f"key{i}", "longer and longer " * (i % 7))
    outcome = replay(tape, other.address)
    report = outcome.report
    assert outcome.status == 1 and report["different"] == 3 and report["errors"] == 0, report
    assert report["requests_sent"] == report["requests_scheduled"], report
    assert not report["not_sent"], report
    assert other.cli("INFO", "commandstats").count(b"cmdstat_get:calls=150,") == 1


def answering(turns, send):
    """A handler: for each turn waits for its bytes, then answers through send(socket, bytes)."""
    def serve(s):
        for ask, answer in turns:
            if ask:
                assert read_exactly(s, len(ask)) == ask
            send(s, answer)
        assert read_to_end(s) == b""
    return serve


def byte_by_byte(s, data):
    for i in range(len(data)):
        s.sendall(data[i:i + 1])


def in_halves(s, data):
    s.sendall(data[:len(data) // 2])
    time.sleep(0.02)
    s.sendall(data[len(data) // 2:])


def at_once(s, data):
    s.sendall(data)


TURNS = [(b"", b"ready, go on\n")] + [
    (f"ask {i}\n".encode(), f"answer {i} ".encode() * (i % 5 + 1)) for i in range(30)]


@pytest.mark.parametrize("recorded, replayed", list(itertools.permutations(
    [byte_by_byte, in_halves, at_once], 2)), ids=lambda f: f.__name__)
def test_opaque_turns_in_other_segments(record, tape, recorded, replayed):
    with SocketServer(answering(TURNS, recorded)) as server:
        recording = record(server.address, "--raw")
        with connect(recording.address) as s:
            for ask, answer in TURNS:
                s.sendall(ask)
                assert read_exactly(s, len(answer)) == answer
        recording.stop()
    with SocketServer(answering(TURNS, replayed)) as target:
        outcome = replay(tape, target.address)
    assert not target.failures, target.failures
    assert_all_same(outcome)


# --- Closing ---

@pytest.mark.parametrize("flags", [["--say-close"], []], ids=["announced", "silent"])
def test_a_close_after_every_tenth_answer(record, tape, tmp_path, flags):
    record_gets(record, 100, connections=2, gap_s=0.005)
    target = ArrivalLog(tmp_path, "--close-every", 10, *flags)
    outcome = play(tape, target.address)
    arrivals = target.arrivals()
    assert_all_same(outcome)
    assert asked(arrivals) == list(range(100))  # none twice
    assert all(a.answered for a in arrivals)
    assert outcome.report["reconnects"] == 8
    assert len({a.connection for a in arrivals}) == 10


def test_a_close_while_requests_are_pipelined(record, tape, tmp_path):
    """What was sent and not answered is an error, and never sent again."""
    with SocketServer(http_handler(lambda path: b"ok, done\n")) as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            for batch in range(5):
                s.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: t\r\n\r\n" % (batch * 4 + i)
                                   for i in range(4)))
                for _ in range(4):
                    read_response(s)
        recording.stop()
    target = ArrivalLog(tmp_path, "--close-every", 3)
    outcome = play(tape, target.address)
    seen = asked(target.arrivals())
    assert len(seen) == len(set(seen))
    assert outcome.report["errors"] > 0 and outcome.report["same"] >= 12


# --- Uploads ---

def chunk_times(arrival, size):
    """When each `size` bytes of the body had come."""
    head = arrival.bytes.index(b"\r\n\r\n") + 4
    times, total = [], -head
    for at_ns, count in arrival.reads:
        before, total = total, total + count
        times += [at_ns] * (max(total, 0) // size - max(before, 0) // size)
    return times


def record_upload(record, tmp_path, chunks=6, gap_s=0.2, expect=b"", size=1000):
    """GET /0, then POST /1 whose body comes in chunks with gaps, then GET /2; one connection."""
    server = ArrivalLog(tmp_path)
    recording = record(server.address)
    with connect(recording.address) as s:
        request(s, "/0")
        s.sendall(b"POST /1 HTTP/1.1\r\nHost: t\r\n" + expect +
                  b"Content-Length: %d\r\n\r\n" % (chunks * size))
        if expect:
            assert read_response(s).startswith(b"HTTP/1.1 100")
        for _ in range(chunks):
            time.sleep(gap_s)
            s.sendall(b"x" * size)
        read_response(s)
        request(s, "/2")
    recording.stop()
    server.arrivals()


def test_a_paced_upload_keeps_its_gaps_even_when_it_begins_late(record, tape, tmp_path):
    record_upload(record, tmp_path)
    late = ArrivalLog(tmp_path, "--delay-ms", 700)
    outcome = play(tape, late.address)
    assert_all_same(outcome)
    times = chunk_times(late.arrivals()[1], 1000)
    assert len(times) == 6
    assert all(b - a > 150 * MS for a, b in zip(times, times[1:])), times


EXPECT = b"Expect: 100-continue\r\n"


def test_a_server_without_100_gets_the_body_after_a_second_at_most(record, tape, tmp_path):
    record_upload(record, tmp_path, chunks=2, gap_s=0.0, expect=EXPECT)
    target = ArrivalLog(tmp_path, "--no-100")
    assert_all_same(play(tape, target.address))
    _, upload, _ = target.arrivals()
    waited_ns = upload.reads[-1][0] - upload.arrived_ns
    assert upload.complete and 500 * MS < waited_ns < 5 * S


def test_a_100_lets_the_body_go_at_once(record, tape, tmp_path):
    record_upload(record, tmp_path, chunks=2, gap_s=0.0, expect=EXPECT)
    target = ArrivalLog(tmp_path)
    assert_all_same(play(tape, target.address))
    _, upload, _ = target.arrivals()
    assert upload.complete and upload.reads[-1][0] - upload.arrived_ns < 900 * MS


def test_an_early_413_instead_of_a_100(record, tape, tmp_path):
    """The body is not sent, and what follows goes on another connection."""
    record_upload(record, tmp_path, chunks=2, gap_s=0.0, expect=EXPECT)
    target = ArrivalLog(tmp_path, "--early-413")
    outcome = play(tape, target.address)
    _, upload, get = target.arrivals()
    assert b"xx" not in upload.bytes and get.path == "/2" and get.answered
    report = outcome.report
    assert report["different"] == 1 and report["same"] == 2 and report["reconnects"] == 1, report
    assert {int(k): v for k, v in report["status"].items()} == {413: 1, 200: 2}


def test_an_early_413_while_uploading(record, tape, tmp_path):
    record_upload(record, tmp_path, chunks=4)
    target = ArrivalLog(tmp_path, "--early-413")
    outcome = play(tape, target.address)
    arrivals = target.arrivals()
    assert asked(arrivals) == [0, 1, 2] and arrivals[2].answered
    report = outcome.report
    assert report["errors"] + report["different"] == 1 and report["same"] == 2, report


# --- Time: whose fault it was ---

def record_timed(record, tmp_path, requests=400, connections=16, seconds=3):
    server = ArrivalLog(tmp_path)
    recording = record(server.address)
    plan = uneven_schedule(requests, connections, seconds)
    send_timed(recording.port, plan, tmp_path)
    recording.stop()
    server.arrivals()


def test_a_stall_is_the_targets_and_seen_from_the_due_time(record, tape, tmp_path):
    record_timed(record, tmp_path)
    target = ArrivalLog(tmp_path, "--stall-at-ms", 1000, "--stall-ms", 1000)
    outcome = play(tape, target.address)
    assert_all_same(outcome)
    assert asked(target.arrivals()) == list(range(400))
    report = outcome.report
    late = report["lateness_by_cause"]
    # What was due meanwhile waited for the answer before it, or behind what had waited.
    assert late["target"]["max"] > 500 * MS
    assert late["target"]["count"] + late["dependency"]["count"] > 50
    assert late["us"]["max"] < 500 * MS
    # Each connection had one request under way, whose latency is seen both ways; those behind it
    # were answered at once when they were sent at last, and only their due time tells.
    due, sent = report["latency_due_ns"], report["latency_sent_ns"]
    assert due["max"] > 900 * MS
    assert due["p90"] > 400 * MS > sent["p90"]


def test_a_starved_replayer_blames_itself(record, tape, tmp_path):
    record_timed(record, tmp_path, seconds=2)
    target = ArrivalLog(tmp_path)
    core = ["taskset", "-c", str(max(os.sched_getaffinity(0)))]
    burners = [Process(*core, sys.executable, "-c", "while True: pass") for _ in range(3)]
    outcome = play(tape, target.address, prefix=core)
    for burner in burners:
        burner.end(signal.SIGKILL)
    assert_all_same(outcome)
    late = outcome.report["lateness_by_cause"]
    # Not all: the target shares the machine, and may be late itself.
    assert late["us"]["count"] > 200 and late["us"]["max"] > 2 * MS, late
    assert late["us"]["count"] > late["target"]["count"] + late["dependency"]["count"], late


def test_slower_answers_are_waited_for(record, tape, tmp_path):
    record_gets(record, 40, connections=2, gap_s=0.002)
    target = ArrivalLog(tmp_path, "--delay-ms", 50)
    outcome = play(tape, target.address)
    assert_all_same(outcome)
    arrivals = target.arrivals()
    assert paths_by_connection(arrivals) == {
        tuple(f"/{i}" for i in range(c, 40, 2)) for c in (0, 1)}
    report = outcome.report
    assert report["latency_sent_ns"]["p50"] >= 50 * MS
    assert report["latency_due_ns"]["max"] > 500 * MS  # what waited adds up, seen from the due time
    assert report["lateness_by_cause"]["us"]["max"] < 500 * MS


# --- Failing ---

def test_chunked_answers_instead_of_a_length_are_the_same(record, tape, tmp_path):
    record_gets(record, 20)
    outcome = play(tape, ArrivalLog(tmp_path, "--chunked").address)
    assert outcome.report["errors"] == 0 and outcome.report["responses"] == 20


def test_a_target_that_dies_and_comes_back(record, tape, tmp_path):
    record_timed(record, tmp_path, requests=300, connections=8, seconds=6)
    first = ArrivalLog(tmp_path)
    seen = []

    def die_and_come_back():
        time.sleep(2)
        seen.extend(first.arrivals())
        time.sleep(1)
        seen.append(ArrivalLog(tmp_path, "--port", first.port))
    switching = threading.Thread(target=die_and_come_back)
    switching.start()
    outcome = play(tape, first.address)
    switching.join()
    second = seen.pop().arrivals()
    paths = asked(seen + second)
    assert len(paths) == len(set(paths))
    assert len(seen) > 20 and len(second) > 20  # later ones are answered again
    report = outcome.report
    assert report["same"] == sum(a.answered for a in seen + second)
    assert report["errors"] + sum(report["not_compared"].values()) == 300 - report["same"] > 0
    assert report["errors"] > 0 and report["reconnects"] >= 8


def resetting_after(count):
    """A handler: answers so many requests, then resets instead of answering."""
    def serve(s):
        for _ in range(count):
            read_head(s)
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok, done\n")
        read_head(s)
        reset(s)
    return serve


def read_head(s):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += read_exactly(s, 1)
    return data


def test_a_target_that_resets(record, tape):
    record_gets(record, 30)
    with SocketServer(resetting_after(4)) as target:
        outcome = play(tape, target.address)
    report = outcome.report
    assert report["requests_sent"] == 30 and report["same"] == 24 and report["errors"] == 6
    assert report["reconnects"] == 5 or report["reconnects"] == 6


def endless(s):
    """Begins an answer that never ends."""
    read_head(s)
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")
    while s.recv(65536):
        pass


def test_answers_that_never_end(record, tape):
    record_gets(record, 4, connections=2)
    with SocketServer(endless) as target:
        outcome = play(tape, target.address, "--timeout", "400ms")
    assert outcome.status == 1 and outcome.report["errors"] == 4, outcome.report
    assert outcome.report["error_reasons"].get("timeout"), outcome.report


def test_a_target_that_refuses_from_the_second_connection_on(record, tape):
    record_gets(record, 12, connections=3, gap_s=0.01)
    handler = http_handler(lambda path: b"ok, done\n")
    with SocketServer(lambda s: (target.close(), handler(s))) as target:
        outcome = play(tape, target.address)
    report = outcome.report
    assert outcome.status == 1 and report["errors"] + sum(report["not_compared"].values()) > 0
    assert report["same"] >= 4, report
