"""The witness itself: the hashing relay passes on what comes, as it comes, and says so.

Everything else is judged by it, so what it says is compared with sums made here.
"""
import hashlib
import socket

import pytest

from chain import Relay, sums_seen
from processes import wait_until
from sockets import SocketServer, connect, read_exactly, read_to_end, reset

REQUEST = b"how are you?" * 1000
ANSWER = bytes(range(256)) * 20000


def answer_all(s):
    read_to_end(s)
    s.sendall(ANSWER)


def sums_of(request, answer):
    return tuple((len(data), hashlib.sha256(data).hexdigest()) for data in (request, answer))


def test_says_what_passed_and_how_it_ended(tmp_path):
    with SocketServer(answer_all) as server:
        relay = Relay(server.address, tmp_path / "log")
        with connect(relay.address) as s:
            s.sendall(REQUEST)
            s.shutdown(socket.SHUT_WR)
            assert read_to_end(s) == ANSWER
    seen, = relay.stop()
    assert sums_seen(seen) == sums_of(REQUEST, ANSWER)
    assert seen["ends"] == ["client fin", "server fin"]


def test_passes_a_reset_on_behind_the_bytes_before_it(tmp_path):
    def reset_after_answer(s):
        read_exactly(s, len(REQUEST))
        s.sendall(ANSWER)
        reset(s)
    with SocketServer(reset_after_answer) as server:
        relay = Relay(server.address, tmp_path / "log")
        with connect(relay.address) as s:
            s.sendall(REQUEST)
            assert read_exactly(s, len(ANSWER)) == ANSWER
            with pytest.raises(ConnectionResetError):
                s.recv(1)
    seen, = relay.stop()
    assert sums_seen(seen) == sums_of(REQUEST, ANSWER)
    assert seen["ends"] == ["server rst"]


def test_passes_a_clients_reset_to_the_server(tmp_path):
    met = []

    def wait_for_reset(s):
        read_exactly(s, 5)
        try:
            s.recv(1)
        except ConnectionResetError:
            met.append("rst")
    with SocketServer(wait_for_reset) as server:
        relay = Relay(server.address, tmp_path / "log")
        s = connect(relay.address)
        s.sendall(b"hello")
        reset(s)
        wait_until(lambda: met, "the reset")
    seen, = relay.stop()
    assert seen["ends"] == ["client rst"]
    assert sums_seen(seen) == sums_of(b"hello", b"")


def test_one_changed_bit_changes_the_sums(tmp_path):
    with SocketServer(answer_all) as server:
        relay = Relay(server.address, tmp_path / "log")
        for request in (REQUEST, REQUEST[:-1] + b">"):
            with connect(relay.address) as s:
                s.sendall(request)
                s.shutdown(socket.SHUT_WR)
                read_to_end(s)
    first, second = relay.stop()
    assert sums_seen(first)[0] != sums_seen(second)[0]
    assert sums_seen(first)[1] == sums_seen(second)[1]
