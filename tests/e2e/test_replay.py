"""What was recorded plays again: the same against a fresh server, found different against another.

Connections, order and gaps are as on the tape. No bound here is tight: these tests say that a run
follows the clock, not how exactly.
"""
import os
import threading
import time

import pytest

from processes import run
from sockets import (SocketServer, connect, http_handler, read_exactly, read_response,
                     read_to_end, refusing_port, request)
from test_exact_protocols import TABLES
from wiretape import assert_all_same, connections, replay, stat, wiretape


def record_http(recording, requests=20):
    run("curl", "-sf", f"{recording.url}/item/[1-{requests}]")
    run("curl", "-s", "-o", "/dev/null", f"{recording.url}/missing")
    run("curl", "-sf", "-X", "PUT", "--data-binary", "the body", f"{recording.url}/upload/x")
    run("curl", "-sfI", f"{recording.url}/hello")
    recording.stop()


@pytest.mark.parametrize("speed", ["1", "3", "max"])
def test_http_is_the_same_on_a_fresh_server(record, nginx, tape, speed):
    record_http(record(nginx().address))
    fresh = nginx()
    outcome = replay(tape, fresh.address, "--speed", speed)
    assert_all_same(outcome)
    report = outcome.report
    assert report["requests_sent"] == report["responses"] == report["same"] == 23
    assert report["connections"] == 4 and report["reconnects"] == 0
    assert {int(k): v for k, v in report["status"].items()} == {200: 21, 404: 1, 201: 1}
    assert (fresh.files / "upload/x").read_text() == "the body"


def test_a_tape_can_be_replayed_on_the_server_it_was_made_with(record, nginx, tape):
    server = nginx()
    record_http(record(server.address))
    outcome = replay(tape, server.address)
    # The PUT finds its file there this time: 204 instead of 201.
    assert outcome.status == 1 and outcome.report["different"] == 1
    assert outcome.report["same"] == 22


def test_pipelined_requests_stay_pipelined(record, nginx, tape):
    recording = record(nginx().address)
    with connect(recording.address) as s:
        s.sendall(b"".join(b"GET /item/%d HTTP/1.1\r\nHost: t\r\n\r\n" % i for i in range(50)))
        for _ in range(50):
            read_response(s)
    recording.stop()
    outcome = replay(tape, nginx().address)
    assert_all_same(outcome)
    assert outcome.report["same"] == 50 and outcome.report["connections"] == 1


def write_text(server):
    """Modified at the same moment on every server: Last-Modified is compared."""
    path = server.files / "text.txt"
    path.write_text("zip me " * 50_000)
    os.utime(path, (1_600_000_000, 1_600_000_000))


def test_chunked_and_100_continue(record, nginx, tape, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"0123456789" * 100_000)
    server = nginx()
    write_text(server)
    recording = record(server.address)
    run("curl", "-sf", "-H", "Expect: 100-continue", "-T", body, f"{recording.url}/upload/b")
    run("curl", "-sf", "-H", "Accept-Encoding: gzip", f"{recording.url}/zipped/text.txt")
    recording.stop()
    fresh = nginx()
    write_text(fresh)
    assert_all_same(replay(tape, fresh.address))
    assert (fresh.files / "upload/b").read_bytes() == body.read_bytes()


def test_a_changed_answer_is_found(record, nginx, tape):
    recording = record(nginx().address)
    run("curl", "-sf", f"{recording.url}/item/1", f"{recording.url}/hello")
    recording.stop()
    outcome = replay(tape, nginx(greeting="good bye").address)
    assert outcome.status == 1
    assert (outcome.report["same"], outcome.report["different"]) == (1, 1)
    assert len(outcome.report["differences"]) == 1
    assert outcome.report["differences_omitted"] == 0
    said = wiretape("replay", tape, "--target", nginx(greeting="good bye").address)
    assert said.status == 1 and "different" in said.stdout and "/hello" in said.stdout


def test_a_changed_status_is_found(record, nginx, tape):
    recording = record(nginx().address)
    run("curl", "-sf", f"{recording.url}/item/1")
    recording.stop()
    other = nginx(extra='location = /item/1 { return 503 "busy"; }')
    outcome = replay(tape, other.address)
    assert outcome.status == 1 and outcome.report["different"] == 1
    assert {int(k) for k in outcome.report["status"]} == {503}


def test_redis_pipelines_are_the_same(record, redis, tape):
    commands = "".join(f"SET key{i} value{i}\r\nGET key{i}\r\nINCR n\r\n" for i in range(2000))
    recording = record(redis().address)
    run("redis-cli", "-p", recording.port, "--pipe", input=commands.encode())
    run("redis-cli", "-p", recording.port, "MGET", "key1", "key1999", "n")
    run("redis-benchmark", "-p", recording.port, "-n", "500", "-c", "1", "-P", "10", "-t",
        "set,lpush", "-q")
    recording.stop()
    fresh = redis()
    outcome = replay(tape, fresh.address)
    assert_all_same(outcome)
    assert outcome.report["same"] == stat(tape)["connections"]
    assert fresh.cli("GET", "n") == b"2000\n"


def test_a_redis_with_other_contents_is_found(record, redis, tape):
    recording = record(redis().address)
    run("redis-cli", "-p", recording.port, "GET", "key")
    recording.stop()
    other = redis()
    other.cli("SET", "key", "a value")
    outcome = replay(tape, other.address)
    assert outcome.status == 1 and outcome.report["different"] == 1


def test_psql_is_the_same_on_a_fresh_server(record, postgres, tape):
    server = postgres()
    recording = record(server.address)
    server.psql(TABLES, port=recording.port, check=False)
    server.psql("SELECT count(*) FROM things;", port=recording.port)
    recording.stop()
    fresh = postgres()
    outcome = replay(tape, fresh.address)
    assert_all_same(outcome)
    assert b"2000" in fresh.psql("SELECT count(*) FROM things;")


def test_half_close_and_server_first_are_replayed(record, tape):
    def greet_and_answer(s):
        s.sendall(b"ready\n")
        data = read_to_end(s)
        s.sendall(data[::-1])
    with SocketServer(greet_and_answer) as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            assert read_exactly(s, 6) == b"ready\n"
            s.sendall(b"abcdef" * 1000)
            s.shutdown(1)
            assert read_to_end(s) == b"fedcba" * 1000
        recording.stop()
        assert_all_same(replay(tape, server.address))
    assert not server.failures


def test_nothing_listens_at_the_target(record, nginx, tape):
    recording = record(nginx().address)
    run("curl", "-sf", f"{recording.url}/hello")
    recording.stop()
    with refusing_port() as nobody:
        outcome = replay(tape, nobody)
        assert outcome.status == 3
        assert nobody in outcome.stderr and "refused" in outcome.stderr


def test_a_target_that_never_answers_ends_by_timeout(record, nginx, tape):
    recording = record(nginx().address)
    run("curl", "-sf", f"{recording.url}/item/[1-3]")
    recording.stop()
    with SocketServer(read_to_end) as silent:
        outcome = replay(tape, silent.address, "--timeout", "300ms", seconds=30)
    assert outcome.status == 1
    report = outcome.report
    # Each request is accounted for once: sent or not, and compared or an error.
    assert report["requests_scheduled"] == 3 and report["same"] == report["different"] == 0
    assert report["requests_sent"] + sum(report["not_sent"].values()) == 3
    assert report["errors"] == 3


class Arrivals(SocketServer):
    """Answers GETs and keeps when each arrived."""

    def __init__(self):
        self.seen = []
        self._lock = threading.Lock()
        super().__init__(http_handler(self._answer))

    def _answer(self, path):
        with self._lock:
            self.seen.append((path, time.monotonic()))
        return f"this is {path}".encode()

    def paths(self):
        return [path for path, _ in self.seen]

    def gaps(self):
        return [b - a for (_, a), (_, b) in zip(self.seen, self.seen[1:])]


def record_with_pauses(record, pauses):
    """Two connections that take turns, with a pause before each request."""
    with Arrivals() as server:
        recording = record(server.address)
        with connect(recording.address) as one, connect(recording.address) as two:
            for i, pause in enumerate(pauses):
                time.sleep(pause)
                request((one, two)[i % 2], f"/{i}")
        recording.stop()
    return server


@pytest.mark.parametrize("speed", [1, 2])
def test_order_and_gaps_are_as_recorded(record, tape, speed):
    recorded = record_with_pauses(record, [0, 0.5, 0.2, 0.8, 0.3, 0.4])
    with Arrivals() as target:
        assert_all_same(replay(tape, target.address, "--speed", speed))
    assert target.paths() == recorded.paths()
    for was, now in zip(recorded.gaps(), target.gaps()):
        assert was / speed - 0.1 < now < was / speed + 1.0


def test_max_speed_keeps_order_within_a_connection_and_leaves_gaps_out(record, tape):
    record_with_pauses(record, [0, 1.0, 1.0, 1.0])
    with Arrivals() as target:
        outcome = replay(tape, target.address, "--speed", "max")
    assert_all_same(outcome)
    paths = target.paths()
    assert paths.index("/0") < paths.index("/2") and paths.index("/1") < paths.index("/3")
    assert outcome.report["duration_ns"] < stat(tape)["duration_ns"]


def test_failed_attempts_and_empty_connections_do_not_stop_a_run(record, nginx, tape):
    server = nginx()
    with refusing_port() as nobody:
        recording = record([("127.0.0.1:0", server.address), ("127.0.0.1:0", nobody)])
        connect(recording.addresses[1]).close()
        connect(recording.addresses[0]).close()
        run("curl", "-sf", f"{recording.url}/hello")
        recording.stop()
    assert len(connections(tape)) == 3
    outcome = replay(tape, server.address)
    assert outcome.status == 0 and outcome.report["same"] >= 1, outcome


def test_a_tape_without_requests_is_no_success(record, nginx, tape):
    server = nginx()
    recording = record(server.address)
    connect(recording.address).close()
    recording.stop()
    said = wiretape("replay", tape, "--target", server.address)
    assert said.status == 1 and "nothing was compared: " in said.stdout, said
    for option in ("--no-compare", "--fail-on=error", "--fail-on=never"):
        assert wiretape("replay", tape, "--target", server.address, option).status == 0


def test_tls_that_was_passed_through_is_not_sent_and_no_success(record, tape):
    client_hello = bytes.fromhex("1603010200010001fc0303") + bytes(507)

    def take(s):
        s.recv(65536)
        read_to_end(s)
    with SocketServer(take) as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            s.sendall(client_hello)
        recording.stop()
        said = wiretape("replay", tape, "--target", server.address)
        assert said.status == 1 and "not sent: tls" in said.stdout, said
        assert "in clear" in said.stdout and "--tls-cert" not in said.stdout
        assert replay(tape, server.address, "--no-compare").status == 1
        assert replay(tape, server.address, "--fail-on", "error").status == 1
        assert replay(tape, server.address, "--fail-on", "never").status == 0


def test_quiet_silences_the_summary_beside_json(record, nginx, tape):
    server = nginx()
    recording = record(server.address)
    run("curl", "-sf", f"{recording.url}/hello")
    recording.stop()
    assert "all the same: same 1" in replay(tape, server.address).stderr
    quiet = replay(tape, server.address, "-q")
    assert quiet.stderr == "" and quiet.report["same"] == 1


@pytest.mark.parametrize("where, hint", [
    ("no/such/report.json", "make it first"), (".", "name a file")])
def test_a_report_that_cannot_be_written_is_noticed_before(record, tape, tmp_path, where, hint):
    with Arrivals() as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            request(s, "/once")
        recording.stop()
        said = wiretape("replay", tape, "--target", server.address, "--json", tmp_path / where)
        assert said.status == 3 and hint in said.stderr and said.stdout == "", said
        assert server.paths() == ["/once"]  # nothing was sent


def test_a_replay_that_fails_leaves_no_report(tmp_path):
    said = wiretape("replay", "gone.tape", "--target", "127.0.0.1:9", "--json", "report.json",
                    cwd=tmp_path)
    assert said.status == 3 and list(tmp_path.iterdir()) == []
