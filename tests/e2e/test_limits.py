"""Limits hold, and leaving is orderly: what is idle closes at once, what is busy gets its time.

--connections-max, --idle-timeout, --connect-timeout, --drain, and the second signal.
"""
import contextlib
import signal
import socket
import threading
import time

import pytest

from processes import wait_until
from sockets import (SocketServer, closed_by_peer, connect, echo, is_turned_away, read_exactly,
                     read_response, read_to_end, request, silent_port)
from wiretape import connections, exchanges, host_and_port, stat, verify

QUIET_S = 0.4
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"1" * 10
EARLY = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"


def is_quiet(s):
    """Nothing comes, and the stream does not end."""
    s.settimeout(QUIET_S)
    with pytest.raises(socket.timeout):
        s.recv(1)
    s.settimeout(15)
    return True


def test_connections_max_makes_the_next_one_wait(record, tape):
    """The client over the limit waits in the kernel's queue and is served later, not dropped."""
    with SocketServer(echo) as server, contextlib.ExitStack() as stack:
        recording = record(server.address, "--connections-max", 2)
        first, second, third = (stack.enter_context(connect(recording.address))
                                for _ in range(3))
        for s in (first, second, third):
            s.sendall(b"hello")
        for s in (first, second):
            assert read_exactly(s, 5) == b"hello"
        assert is_quiet(third) and server.served == 2
        first.close()
        assert read_exactly(third, 5) == b"hello"
        second.close(), third.close()
        recording.stop()
    assert [c["close"] for c in connections(tape)] == ["fin"] * 3


def test_idle_timeout_closes_only_what_is_idle(record, tape):
    with SocketServer(echo) as server:
        recording = record(server.address, "--idle-timeout", "400ms")
        with connect(recording.address) as idle, connect(recording.address) as busy:
            idle.sendall(b"i")
            assert read_exactly(idle, 1) == b"i"
            for _ in range(8):
                busy.sendall(b"b")
                assert read_exactly(busy, 1) == b"b"
                time.sleep(0.1)
            assert closed_by_peer(idle)
            busy.sendall(b"still here")
            assert read_exactly(busy, 10) == b"still here"
        recording.stop()
    taped = {c["bytes_client_to_server"]: c for c in connections(tape)}
    assert (taped[1]["close"], taped[1]["closed_by"]) == ("timeout", "us")
    assert taped[18]["close"] == "fin"


def test_connect_timeout(record, tape):
    with silent_port() as nobody:
        recording = record(nobody, "--connect-timeout", "300ms")
        assert is_turned_away(recording.address)
        recording.stop()
    connection, = connections(tape)
    assert connection["close"] in ("timeout", "error")


def test_idle_http_connections_close_at_once_on_sigterm(record, nginx, tape):
    recording = record(nginx().address, "--drain", "60s")
    with connect(recording.address) as s:
        request(s)
        recording.stop(seconds=20)  # far below the drain time
        assert closed_by_peer(s)
    verify(tape)
    assert stat(tape)["exchanges"] == 1


class SlowServer(SocketServer):
    """Sends half an answer; the rest when `go_on` is set."""

    def __init__(self):
        self.go_on = threading.Event()
        super().__init__(self._answer)

    def _answer(self, s):
        s.recv(65536)
        s.sendall(HALF)
        self.go_on.wait(15)
        with contextlib.suppress(OSError):
            s.sendall(b"2" * 10)
            read_to_end(s)


def start_answer(recording):
    s = connect(recording.address)
    s.sendall(b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n")
    assert read_exactly(s, len(HALF)) == HALF
    return s


def accepting(recording):
    try:
        socket.create_connection(host_and_port(recording.address), 1).close()
        return True
    except OSError:
        return False


def test_busy_connections_are_drained_and_new_ones_refused(record, tape):
    with SlowServer() as server:
        recording = record(server.address, "--drain", "60s")
        with start_answer(recording) as s:
            recording.send_signal(signal.SIGTERM)
            wait_until(lambda: not accepting(recording), "the listener to close")
            assert recording.running
            server.go_on.set()
            assert read_exactly(s, 10) == b"2" * 10
            recording.stop(seconds=20)
    verify(tape)
    assert [e["status"] for e in exchanges(tape)] == [200]


def test_drain_ends_after_its_time(record, tape):
    with SlowServer() as server:
        recording = record(server.address, "--drain", "300ms")
        with start_answer(recording) as s:
            recording.stop(number=signal.SIGINT, seconds=20)
            assert closed_by_peer(s)
        server.go_on.set()
    verify(tape)
    connection, = connections(tape)
    assert (connection["close"], connection["closed_by"]) == ("drain", "us")


def test_a_second_signal_closes_at_once_with_the_tape_whole(record, tape):
    with SlowServer() as server:
        recording = record(server.address, "--drain", "600s")
        with start_answer(recording) as s:
            recording.send_signal(signal.SIGTERM)
            wait_until(lambda: not accepting(recording), "the listener to close")
            assert recording.running
            recording.stop(seconds=20)
            assert closed_by_peer(s)
        server.go_on.set()
    verify(tape)
    assert stat(tape)["complete"]


def test_a_keep_alive_connection_survives_its_neighbours(record, nginx, tape):
    """Short connections come and go; the long one is served as before."""
    recording = record(nginx().address)
    with connect(recording.address) as long:
        for _ in range(50):
            with connect(recording.address) as short:
                request(short, close=True)
            assert request(long).endswith(b"hello\n")
    recording.stop()
    assert sorted(c["responses"] for c in connections(tape)) == [1] * 50 + [50]


def test_out_of_order_http_is_no_reason_to_stop(record, tape):
    """An answer before any request: passed on as it is."""
    def answer_first(s):
        s.sendall(EARLY)
    with SocketServer(answer_first) as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            assert read_response(s).startswith(b"HTTP/1.1 408")
            assert s.recv(1) == b""
        recording.stop()
    verify(tape)
    assert connections(tape)[0]["bytes_server_to_client"] == len(EARLY)
