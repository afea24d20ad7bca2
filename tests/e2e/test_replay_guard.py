"""A replay that would write to a stranger has to be told so: exit 2, and nothing is sent.

Runs in a network namespace of its own, whose loopback interface owns a public, a private and
another public address; a server there logs every connection it meets.
"""
import sys
from pathlib import Path

import pytest

from processes import Process, wait_until
from sockets import SocketServer, connect, http_handler
from wiretape import Recording, replay

PUBLIC, PRIVATE = "203.0.113.7", "10.11.12.13"


class Namespace:
    """A network of its own with a server on PUBLIC and PRIVATE, port 8000."""

    def __init__(self, tmp_path):
        self._log = tmp_path / "met"
        self._log.touch()
        script = Path(__file__).parent / "peers/public_server.py"
        setup = (f"ip link set lo up && ip addr add {PUBLIC}/32 dev lo && "
                 f"ip addr add {PRIVATE}/32 dev lo && "
                 f"exec {sys.executable} {script} {self._log} {PUBLIC} {PRIVATE}")
        self._server = Process("unshare", "-n", "sh", "-c", setup)
        self._server.wait_for_line("ready")
        self.enter = ["nsenter", "-t", self._server.pid, "-n"]

    def met(self):
        return self._log.read_text().split()


@pytest.fixture
def namespace(root, tmp_path):
    return Namespace(tmp_path)


def record_requests(record, *requests):
    """A tape of these requests, each with an answer of "ok"."""
    with SocketServer(http_handler(lambda path: b"ok")) as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            for text in requests:
                s.sendall(text)
                assert s.recv(65536).endswith(b"ok")
        recording.stop()


GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"
EMPTY_POST = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"


def assert_refused(outcome, namespace):
    assert outcome.status == 2, outcome
    assert "--allow-host" in outcome.stderr and PUBLIC in outcome.stderr
    assert namespace.met() == []


def test_a_write_to_a_public_address_is_refused(record, tape, namespace):
    record_requests(record, GET, EMPTY_POST)
    assert_refused(replay(tape, f"{PUBLIC}:8000", prefix=namespace.enter), namespace)


def test_another_host_allowed_is_not_this_one(record, tape, namespace):
    record_requests(record, EMPTY_POST)
    outcome = replay(tape, f"{PUBLIC}:8000", "--allow-host", "198.51.100.*",
                     prefix=namespace.enter)
    assert_refused(outcome, namespace)


def test_opaque_bytes_to_a_public_address_are_refused(record, tape, redis, namespace):
    server = redis()
    recording = record(server.address)
    server.cli("SET", "a", "b", port=recording.port)
    recording.stop()
    assert_refused(replay(tape, f"{PUBLIC}:8000", prefix=namespace.enter), namespace)


def test_an_allowed_host_is_sent_to(record, tape, namespace):
    record_requests(record, b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody")
    outcome = replay(tape, f"{PUBLIC}:8000", "--allow-host", "203.0.113.*",
                     prefix=namespace.enter)
    assert outcome.status == 0, outcome
    assert namespace.met() == ["connection", "POST"]


def test_reading_a_public_address_is_allowed(record, tape, namespace):
    record_requests(record, GET)
    outcome = replay(tape, f"{PUBLIC}:8000", prefix=namespace.enter)
    assert outcome.status == 0, outcome
    assert namespace.met() == ["connection", "GET"]


def test_a_private_address_needs_no_word(record, tape, namespace):
    record_requests(record, b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody")
    outcome = replay(tape, f"{PRIVATE}:8000", prefix=namespace.enter)
    assert outcome.status == 0, outcome
    assert namespace.met() == ["connection", "POST"]


def test_a_dry_run_says_that_it_would_be_refused(record, tape, namespace):
    record_requests(record, EMPTY_POST, GET)
    outcome = replay(tape, f"{PUBLIC}:8000", "--dry-run", prefix=namespace.enter)
    assert_refused(outcome, namespace)
    plan = outcome.report
    assert plan["allowed"] is False and PUBLIC in plan["refusal"] and plan["writes"] == 1
    allowed = replay(tape, f"{PUBLIC}:8000", "--dry-run", "--allow-host", PUBLIC,
                     prefix=namespace.enter)
    assert allowed.status == 0 and allowed.report["allowed"] is True
    assert "refusal" not in allowed.report and namespace.met() == []


def test_a_tape_from_a_pipe_is_looked_through_too(record, tape, namespace):
    record_requests(record, EMPTY_POST)
    enter = ["sh", "-c", f'cat {tape} | "$@"', "sh", *namespace.enter]
    assert_refused(replay("-", f"{PUBLIC}:8000", prefix=enter), namespace)


def test_the_recorded_upstream_needs_its_own_word(tape, namespace):
    recording = Recording(f"{PUBLIC}:8000", tape=tape, listen=f"{PRIVATE}:0",
                          prefix=namespace.enter)
    Process(*namespace.enter, "curl", "-sf", f"http://{recording.address}/")
    wait_until(lambda: namespace.met() == ["connection", "GET"], "the request")
    recording.stop()
    outcome = replay(tape, f"{PUBLIC}:8000", prefix=namespace.enter)
    assert outcome.status == 2 and "--allow-recorded-upstream" in outcome.stderr
    assert namespace.met() == ["connection", "GET"]
    outcome = replay(tape, f"{PUBLIC}:8000", "--allow-recorded-upstream", prefix=namespace.enter)
    assert outcome.status == 0, outcome
    assert namespace.met() == ["connection", "GET"] * 2
