"""show, stat and verify say what is on a tape, to people and to programs."""
import hashlib
import json
import subprocess

import pytest

from processes import run
from sockets import SocketServer, connect, read_exactly, read_response, read_to_end
from wiretape import ROOT, WIRETAPE, connections, exchanges, stat, verify, wiretape

STAT_KEYS = {"connections", "exchanges", "requests", "responses", "bytes_client_to_server",
             "bytes_server_to_client", "bytes_not_recorded", "duration_ns", "complete",
             "format_version"}
CONNECTION_KEYS = {"id", "client", "server", "opened_ns", "closed_ns", "protocol",
                   "bytes_client_to_server", "bytes_server_to_client", "sha256_client_to_server",
                   "sha256_server_to_client", "requests", "responses", "close", "closed_by"}
EXCHANGE_KEYS = {"connection", "index", "start_ns", "method", "url", "status", "request_bytes",
                 "response_bytes", "first_byte_ns", "end_ns"}


@pytest.fixture
def taped(record, nginx, tape):
    """A tape with two HTTP connections: three exchanges, then a 404."""
    recording = record(nginx().address)
    run("curl", "-sf", "-A", "tester", f"{recording.url}/item/[1-3]")
    run("curl", "-s", "-A", "tester", f"{recording.url}/missing?q=1")
    recording.stop()
    return tape


def test_stat_json(taped):
    totals = stat(taped)
    assert STAT_KEYS <= totals.keys()
    assert (totals["connections"], totals["exchanges"]) == (2, 4)
    assert totals["requests"] == totals["responses"] == 4
    assert totals["complete"] is True and totals["format_version"] == 1
    assert totals["bytes_not_recorded"] == 0 and totals["duration_ns"] > 0
    assert "connection_list" not in totals


def test_connection_list(record, tape):
    question, answer = b"\x00\xffquestion" * 1000, b"an answer" * 3000

    def converse(s):
        read_exactly(s, len(question))
        s.sendall(answer)
        read_to_end(s)
    with SocketServer(converse) as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            client = "%s:%d" % s.getsockname()
            s.sendall(question)
            read_exactly(s, len(answer))
        recording.stop()
        connection, = connections(tape)
    assert CONNECTION_KEYS <= connection.keys()
    assert (connection["client"], connection["server"]) == (client, server.address)
    assert connection["sha256_client_to_server"] == hashlib.sha256(question).hexdigest()
    assert connection["sha256_server_to_client"] == hashlib.sha256(answer).hexdigest()
    assert 0 <= connection["opened_ns"] < connection["closed_ns"] <= stat(tape)["duration_ns"]
    assert (connection["close"], connection["closed_by"]) == ("fin", "client")
    assert connection["protocol"] == "opaque"


def test_show_json(taped):
    shown = exchanges(taped)
    assert all(EXCHANGE_KEYS <= e.keys() for e in shown)
    assert [(e["connection"], e["method"], e["status"]) for e in shown] == [
        (1, "GET", 200), (1, "GET", 200), (1, "GET", 200), (2, "GET", 404)]
    first = [e["index"] for e in shown if e["connection"] == 1]
    assert first == [first[0], first[0] + 1, first[0] + 2]
    assert shown[3]["url"].endswith("/missing?q=1")
    for e in shown:
        assert 0 < e["start_ns"] <= e["first_byte_ns"] <= e["end_ns"]
        assert e["request_bytes"] > 0 and e["response_bytes"] > 0


def test_request_and_response_bytes_are_those_on_the_wire(taped):
    shown, totals = exchanges(taped), stat(taped)
    assert sum(e["request_bytes"] for e in shown) == totals["bytes_client_to_server"]
    assert sum(e["response_bytes"] for e in shown) == totals["bytes_server_to_client"]


def test_show_text_has_one_line_an_exchange(taped):
    said = wiretape("show", taped)
    lines = [line for line in said.stdout.splitlines() if "/item/" in line or "/missing" in line]
    assert said.status == 0 and len(lines) == 4
    assert "GET" in lines[0] and "200" in lines[0] and "404" in lines[3]


def test_show_text_hides_nothing_that_was_recorded(record, redis, tape):
    """A connection that is not HTTP has its line too."""
    recording = record(redis().address)
    run("redis-cli", "-p", recording.port, "PING")
    recording.stop()
    said = wiretape("show", tape)
    assert "opaque" in said.stdout


def test_show_one_connection(taped):
    said = wiretape("show", taped, "--connection", "2")
    assert said.status == 0
    assert "/missing" in said.stdout and "/item/" not in said.stdout
    body = wiretape("show", taped, "--connection", "2", "--body")
    assert "nothing here" in body.stdout
    dump = wiretape("show", taped, "--connection", "2", "--hex")
    assert "47 45 54" in dump.stdout or "4745 54" in dump.stdout  # GET


def test_a_connection_that_is_not_there(taped):
    said = wiretape("show", taped, "--connection", "77")
    assert said.status in (2, 3) and "no such connection" in said.stderr and said.stdout == ""


def test_stat_and_verify_text(taped):
    said = wiretape("stat", taped)
    assert said.status == 0 and said.stderr == ""
    for word in ("connections", "exchanges", "2", "4"):
        assert word in said.stdout
    assert "whole" in verify(taped)


def test_bytes_that_are_not_text_come_out_as_valid_json(record, tape):
    def answer(s):
        s.recv(65536)
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        read_to_end(s)
    with SocketServer(answer) as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            s.sendall(b'GET /\xff\xfe"\\%00 HTTP/1.1\r\nHost: t\r\n\r\n')
            read_response(s)
        recording.stop()
    for line in run(WIRETAPE, "show", tape, "--json").splitlines():
        json.loads(line.decode())  # UTF-8, and JSON
    assert connections(tape)[0]["bytes_server_to_client"] == 38


def test_stock_tools_print_a_tape(taped):
    """zstd and protoc alone, as docs/tape_format.md says."""
    unpacked = run("zstd", "-dc", taped)
    text = run("protoc", "--decode=wiretape.v1.Tape", f"-I{ROOT}", "proto/tape.proto",
               input=unpacked, cwd=ROOT).decode()
    assert text.count("  exchange {") == 4 and text.count("  opened {") == 2
    assert text.count("  header {") == text.count("  trailer {") == 1


@pytest.mark.parametrize("level", [0, 1, 9])
def test_compression_levels_store_the_same(record, nginx, tape, level):
    recording = record(nginx().address, "--compress", level)
    run("curl", "-sf", f"{recording.url}/item/[1-50]")
    recording.stop()
    verify(tape)
    assert len(exchanges(tape)) == 50
    run("zstd", "-qt", tape)


def test_results_stop_when_nobody_reads_them(taped):
    """`wiretape show | head -1` ends quietly."""
    done = subprocess.run(["bash", "-o", "pipefail", "-c",
                           f"for i in 1 2 3; do {WIRETAPE} show {taped}; done | head -1"],
                          capture_output=True, timeout=30, check=False)
    assert done.stderr == b"" and done.stdout.count(b"\n") == 1
