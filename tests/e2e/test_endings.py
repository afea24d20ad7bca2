"""How a stream ends is passed on as it was: FIN as FIN, RST as RST, behind the bytes before it."""
import socket
import threading

import pytest

from processes import wait_until
from servers import MIB
from sockets import (SocketServer, closed_by_peer, connect, read_exactly, read_to_end, reset)
from wiretape import connections, stat

PART = bytes(range(256)) * 4096  # 1 MiB
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"


def test_server_resets_in_the_middle_of_an_answer(chain):
    """All that came before the reset arrives, then the reset."""
    def reset_in_answer(s):
        s.recv(65536)
        s.sendall(HEAD + PART)
        reset(s)
    with SocketServer(reset_in_answer) as server, chain(server.address) as c:
        with connect(c.address) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
            assert read_exactly(s, len(HEAD) + len(PART)) == HEAD + PART
            with pytest.raises(ConnectionResetError):
                s.recv(1)
        connection, = c.check(ends=False)
    assert (connection["close"], connection["closed_by"]) == ("rst", "server")
    assert connection["bytes_server_to_client"] == len(HEAD) + len(PART)


def test_client_resets_in_the_middle_of_an_answer(chain):
    """The server learns of it by a reset, not by an orderly end."""
    met = []

    def send_for_ever(s):
        s.recv(65536)
        s.sendall(HEAD)
        try:
            while True:
                s.sendall(PART)
        except OSError as error:
            met.append(error)
    with SocketServer(send_for_ever) as server, chain(server.address) as c:
        s = connect(c.address)
        s.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        read_exactly(s, 2 * MIB)
        reset(s)
        wait_until(lambda: met, "the reset")
        seen_a, taped, seen_b = c.stop()
    assert isinstance(met[0], (ConnectionResetError, BrokenPipeError))
    assert (taped[0]["close"], taped[0]["closed_by"]) == ("rst", "client")
    assert seen_a[0]["ends"] == ["client rst"] and seen_b[0]["ends"] == ["client rst"]
    # Nothing is made up: each further from the server has seen at most as much.
    assert (seen_a[0]["server_to_client"]["bytes"] <= taped[0]["bytes_server_to_client"]
            <= seen_b[0]["server_to_client"]["bytes"])


def test_client_resets_an_idle_connection(chain):
    met = []

    def wait_for_the_end(s):
        read_exactly(s, 5)
        try:
            met.append(s.recv(1))
        except ConnectionResetError:
            met.append("rst")
    with SocketServer(wait_for_the_end) as server, chain(server.address) as c:
        s = connect(c.address)
        s.sendall(b"hello")
        wait_until(lambda: server.served, "the connection")
        reset(s)
        wait_until(lambda: met, "the end")
        connection, = c.check()
    assert met == ["rst"]
    assert (connection["close"], connection["closed_by"]) == ("rst", "client")


@pytest.mark.parametrize("size", [1, 100_000, 8 * MIB])
def test_reset_behind_unread_bytes_loses_none(chain, size):
    """A slow reader gets all that was sent before the reset (libuv would drop what is queued)."""
    def send_and_reset(s):
        s.recv(1)
        s.sendall(b"r" * size)
        reset(s)
    with SocketServer(send_and_reset) as server, chain(server.address) as c:
        with connect(c.address) as s:
            s.sendall(b"x")
            assert len(read_exactly(s, size)) == size
            assert closed_by_peer(s)
        connection, = c.check(ends=False)
    assert connection["bytes_server_to_client"] == size


def test_both_directions_go_on_after_each_half_close(chain):
    """Client ends, server goes on for as long as it likes; and the other way round."""
    def talk_after_the_end(s):
        assert read_to_end(s) == b"question"
        for _ in range(3):
            s.sendall(PART)
    with SocketServer(talk_after_the_end) as server, chain(server.address) as c:
        with connect(c.address) as s:
            s.sendall(b"question")
            s.shutdown(socket.SHUT_WR)
            assert read_to_end(s) == PART * 3
        connection, = c.check()
    assert not server.failures
    assert (connection["close"], connection["closed_by"]) == ("fin", "client")


def test_a_slow_reader_holds_back_the_sender_and_loses_nothing(chain):
    """Both directions at once, far over every buffer."""
    size = 32 * MIB

    def send_while_reading(s):
        sender = threading.Thread(target=s.sendall, args=(b"d" * size,))
        sender.start()
        assert len(read_to_end(s)) == size
        sender.join()
    with SocketServer(send_while_reading) as server, chain(server.address) as c:
        with connect(c.address) as s:
            s.sendall(b"u" * size)  # the server's bytes wait meanwhile
            s.shutdown(socket.SHUT_WR)
            assert len(read_to_end(s)) == size
        connection, = c.check()
    assert not server.failures
    assert connection["bytes_client_to_server"] == connection["bytes_server_to_client"] == size


def test_a_connection_without_bytes(chain):
    with SocketServer(read_to_end) as server, chain(server.address) as c:
        connect(c.address).close()
        wait_until(lambda: server.served, "the connection")
        connection, = c.check()
    assert connection["bytes_client_to_server"] == connection["bytes_server_to_client"] == 0


def test_open_connections_at_the_end_are_on_the_tape(record, tape):
    with SocketServer(read_to_end) as server:
        recording = record(server.address, "--drain", "100ms")
        with connect(recording.address) as s:
            s.sendall(b"bytes that count")
            wait_until(lambda: server.served, "the connection")
            recording.stop()
            assert closed_by_peer(s)
    connection, = connections(tape)
    assert (connection["close"], connection["closed_by"]) == ("drain", "us")
    assert stat(tape)["bytes_client_to_server"] == 16
