"""Where clients connect and where it goes: IPv4, IPv6, names, unix sockets, several pairs."""
import contextlib

import pytest

from processes import free_port, run
from sockets import (SocketServer, connect, echo, get, is_turned_away, read_exactly,
                     refusing_port)
from wiretape import connections, exchanges, port_of, stat, verify


def say_and_hear(address, text=b"is anybody there?"):
    with connect(address) as s:
        s.sendall(text)
        assert read_exactly(s, len(text)) == text
        s.shutdown(1)
        assert s.recv(1) == b""


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", ":0"])
@pytest.mark.parametrize("server_side", ["127.0.0.1:0", "[::1]:0"])
def test_ip_versions_in_every_combination(record, tape, listen, server_side):
    with SocketServer(echo, server_side) as server:
        recording = record(server.address, listen=listen)
        expected = listen.removesuffix(":0") or "127.0.0.1"
        assert recording.address.removesuffix(f":{recording.port}") == expected
        say_and_hear(recording.address)
        recording.stop()
    connection, = connections(tape)
    assert connection["server"] == server.address
    assert connection["close"] == "fin"


def test_unix_sockets_on_both_sides(record, tmp_path, tape):
    listen, upstream = f"unix:{tmp_path}/in.sock", f"unix:{tmp_path}/out.sock"
    with SocketServer(echo, upstream) as server:
        recording = record(upstream, listen=listen)
        say_and_hear(listen)
        recording.stop()
        assert server.served == 1
    connection, = connections(tape)
    assert connection["bytes_client_to_server"] == 17
    assert connection["server"] == upstream
    assert not (tmp_path / "in.sock").exists()  # what we made, we remove


def test_a_unix_socket_between_http_peers(record, nginx, tmp_path, tape):
    socket = tmp_path / "nginx.sock"
    nginx(listen=f"unix:{socket}")
    recording = record(f"unix:{socket}")
    assert run("curl", "-sf", f"{recording.url}/hello") == b"hello\n"
    recording.stop()
    assert [e["status"] for e in exchanges(tape)] == [200]


def test_host_names(record, tape):
    with SocketServer(echo) as server:
        recording = record(f"localhost:{server.port}", listen="localhost:0")
        say_and_hear(f"127.0.0.1:{recording.port}")
        recording.stop()
    connection, = connections(tape)
    assert connection["server"] == server.address


def test_a_url_as_upstream(record, nginx, tape):
    recording = record(nginx().url)
    assert run("curl", "-sf", f"{recording.url}/hello") == b"hello\n"
    recording.stop()
    assert stat(tape)["exchanges"] == 1


def test_several_pairs_on_one_tape(record, tape):
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(SocketServer(echo)) for _ in range(3)]
        recording = record([("127.0.0.1:0", s.address) for s in servers])
        assert recording.ready_upstreams == [s.address for s in servers]
        assert len(set(recording.addresses)) == 3
        for i, address in enumerate(recording.addresses):
            say_and_hear(address, b"x" * (i + 1))
        recording.stop()
    taped = {c["server"]: c["bytes_client_to_server"] for c in connections(tape)}
    assert taped == {s.address: i + 1 for i, s in enumerate(servers)}


def test_the_port_that_was_asked_for(record, tape):
    port = free_port()
    with SocketServer(echo) as server:
        recording = record(server.address, listen=f"127.0.0.1:{port}")
        assert port_of(recording.address) == port
        recording.stop()


def assert_attempt_is_taped(tape, close):
    connection, = connections(tape)
    assert connection["close"] in close
    assert connection["bytes_server_to_client"] == 0
    verify(tape)


def test_upstream_refuses(record, tape):
    """The client is closed at once; the attempt is on the tape; stderr says who refused."""
    with refusing_port() as nobody:
        recording = record(nobody)
        assert is_turned_away(recording.address)
        ended = recording.stop()
    assert "refused" in ended.stderr and nobody in ended.stderr
    assert_attempt_is_taped(tape, ["refused"])


def test_upstream_has_no_address(record, tape):
    recording = record("no-such-host.invalid:80")
    assert is_turned_away(recording.address)
    ended = recording.stop()
    assert "no-such-host.invalid" in ended.stderr
    assert_attempt_is_taped(tape, ["error"])


def test_upstream_socket_file_is_missing(record, tape, tmp_path):
    recording = record(f"unix:{tmp_path}/nobody.sock")
    assert is_turned_away(recording.address)
    recording.stop()
    assert_attempt_is_taped(tape, ["refused", "error"])


def test_an_upstream_that_comes_later_is_reached(record, tape):
    port = free_port()
    recording = record(f"127.0.0.1:{port}")
    assert is_turned_away(recording.address)
    with SocketServer(echo, f"127.0.0.1:{port}"):
        say_and_hear(recording.address)
    recording.stop()
    assert [c["close"] for c in connections(tape)] == ["refused", "fin"]


def test_bytes_sent_before_a_refusal_do_not_disturb(record, tape):
    """A client that talks at once and an upstream that refuses: several times over."""
    with refusing_port() as nobody:
        recording = record(nobody)
        for _ in range(20):
            with pytest.raises((AssertionError, ConnectionResetError, BrokenPipeError)):
                get(recording.address)
        recording.stop()
    assert {c["close"] for c in connections(tape)} == {"refused"}
    assert len(connections(tape)) == 20
