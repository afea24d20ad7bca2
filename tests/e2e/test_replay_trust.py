"""Whether a run is to be trusted: its own lateness as a gate, and what its tape lacks."""
import json
import time

from sockets import SocketServer, connect, http_handler, request
from wiretape import replay, wiretape


def record_some(record, requests=30, pause=0.0):
    with SocketServer(http_handler(lambda path: path.encode())) as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            for i in range(requests):
                request(s, f"/{i}")
                time.sleep(pause)
        recording.stop()


def test_lateness_max_is_a_gate(record, tape):
    record_some(record, pause=0.02)  # so that no send has to wait for the answer before
    with SocketServer(http_handler(lambda path: path.encode())) as server:
        generous = replay(tape, server.address, "--lateness-max", "60s")
        assert generous.status == 0, generous
        impossible = replay(tape, server.address, "--lateness-max", "0s", "--fail-on", "never")
    ours = impossible.report["lateness_by_cause"]["us"]
    assert ours["count"] > 0 and ours["p99"] > 0
    assert impossible.status == 1 and "--lateness-max 0.000 ms" in impossible.stderr
    assert f"p99 of {ours['count']} sends" in impossible.stderr
    assert impossible.report["same"] == 30, "what was answered is reported all the same"


def test_a_torn_tape_is_replayed_with_a_warning(record, tape):
    record_some(record, requests=3000)
    whole = tape.read_bytes()
    tape.write_bytes(whole[:len(whole) * 2 // 3])
    with SocketServer(http_handler(lambda path: path.encode())) as server:
        outcome = replay(tape, server.address, "--speed", "max")
    assert "ends without its trailer" in outcome.stderr
    assert outcome.report["tape_torn"] is True
    report = outcome.report
    assert 0 < report["same"] <= report["requests_sent"] < 3000
    assert report["different"] == report["errors"] == 0 and outcome.status == 0


def test_a_damaged_tape_is_replayed_as_far_as_it_is_whole(record, tape):
    record_some(record, requests=3000)
    bent = bytearray(tape.read_bytes())
    middle = len(bent) // 2
    bent[middle:middle + 8] = bytes(b ^ 0xFF for b in bent[middle:middle + 8])
    tape.write_bytes(bent)
    with SocketServer(http_handler(lambda path: path.encode())) as server:
        outcome = replay(tape, server.address, "--speed", "max")
    assert "is damaged at 1 place" in outcome.stderr and "verify" in outcome.stderr
    report = outcome.report
    assert report["tape_damages"] == 1 and report["same"] > 0
    not_sent = sum(report["not_sent"].values())
    assert report["requests_sent"] + not_sent == report["requests_scheduled"]


def test_the_report_shows_recorded_times_beside_the_runs(record, tape):
    record_some(record)
    with SocketServer(http_handler(lambda path: path.encode())) as server:
        said = wiretape("replay", tape, "--target", server.address, "--json", "-")
    report = json.loads(said.stdout)
    for key in ("latency_recorded_ns", "latency_due_ns", "latency_sent_ns", "lateness_ns"):
        assert report[key]["count"] == 30, key
    by_cause = report["latency_due_by_cause"]
    assert sum(by_cause[cause]["count"] for cause in by_cause) == 30
    assert "recorded" in said.stderr
