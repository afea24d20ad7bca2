"""-v: a line for each connection that is opened, closed or failed; nothing of it without."""
import re
import socket

from sockets import SocketServer, connect, echo, read_exactly

OPENED = r"^connection (\d+) opened: (\S+) to (\S+)$"
CLOSED = (r"^connection (\d+) closed: (\w+) by (\w+), (\d+) bytes client to server, "
          r"(\d+) bytes server to client$")
FAILED = r"^connection (\d+) failed: (\w+) by server, .*refused"


def talk(recording, text):
    with connect(recording.address) as s:
        s.sendall(text)
        read_exactly(s, len(text))
        s.shutdown(socket.SHUT_WR)
        assert s.recv(1) == b""
        return "%s:%d" % s.getsockname()


def test_each_connection_is_said(record):
    with SocketServer(echo) as server:
        recording = record(server.address, "-v")
        clients = [talk(recording, b"x" * size) for size in (10, 200)]
        said = recording.stop().stderr
    opened = re.findall(OPENED, said, re.M)
    assert opened == [(str(i), client, recording.address) for i, client in enumerate(clients, 1)]
    assert re.findall(CLOSED, said, re.M) == [("1", "fin", "client", "10", "10"),
                                              ("2", "fin", "client", "200", "200")]


def test_a_failed_connection_is_said(record):
    with SocketServer(echo) as server:
        nobody = server.address
    recording = record(nobody, "--verbose")
    with connect(recording.address) as s:
        try:
            assert s.recv(1) == b""
        except ConnectionResetError:
            pass
    said = recording.stop().stderr
    assert re.findall(FAILED, said, re.M) == [("1", "refused")], said


def test_without_it_they_are_not(record):
    with SocketServer(echo) as server:
        recording = record(server.address)
        talk(recording, b"x")
        said = recording.stop().stderr
    assert not re.search("^connection ", said, re.M), said
