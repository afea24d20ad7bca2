"""Conversations without HTTP's requests replay turn by turn: WebSocket, PostgreSQL's protocol."""
import pytest

import frames
from processes import run
from sockets import SocketServer, connect
from wiretape import assert_all_same, connections, exchanges, replay

MESSAGES = 500


@pytest.mark.parametrize("options", [[], ["--speed", "max"]], ids=["recorded", "max"])
def test_websocket_messages_of_all_kinds(record, tape, options):
    with SocketServer(frames.echo) as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            client = frames.Client(s)
            for number in range(MESSAGES):
                client.message(number)
            client.close()
        recording.stop()
        exchange, = exchanges(tape)
        assert exchange["status"] == 101
        outcome = replay(tape, server.address, *options)
    assert_all_same(outcome)
    assert not server.failures, server.failures
    recorded, = connections(tape)
    report = outcome.report
    assert report["bytes_sent"] == recorded["bytes_client_to_server"]
    assert report["bytes_received"] == recorded["bytes_server_to_client"]
    assert report["requests_scheduled"] > MESSAGES


def test_websocket_refused_by_the_target_is_one_error(record, tape):
    with SocketServer(frames.echo) as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            client = frames.Client(s)
            for number in range(10):
                client.message(number)
            client.close()
        recording.stop()

    def refuse(s):
        frames.read_head(s)
        s.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n")
        assert s.recv(65536) == b""  # no frame is sent to who did not agree to it
    with SocketServer(refuse) as target:
        outcome = replay(tape, target.address)
    assert outcome.status == 1 and not target.failures, target.failures
    report = outcome.report
    assert report["errors"] + report["different"] >= 1
    assert report["requests_scheduled"] == (
        report["requests_sent"] + sum(report["not_sent"].values())), report


def test_pgbench_with_prepared_statements(record, postgres, tape):
    def filled():
        server = postgres()
        words = ["pgbench", "-h", "127.0.0.1", "-U", "tester"]
        run(*words, "-p", server.port, "-i", "-q", "postgres")
        return server, words
    server, words = filled()
    recording = record(server.address)
    run(*words, "-p", recording.port, "-n", "-c", 5, "-t", 50, "-M", "prepared",
        "--random-seed=1", "postgres")
    recording.stop()
    fresh, _ = filled()
    outcome = replay(tape, fresh.address)
    assert_all_same(outcome)
    assert outcome.report["same"] == len(connections(tape))
    # The database is in the same state as the recorded one.
    sums = "SELECT count(*), sum(delta) FROM pgbench_history; SELECT sum(abalance) FROM {};"
    question = sums.format("pgbench_accounts")
    assert b"250" in fresh.psql(question)
    assert fresh.psql(question) == server.psql(question)
