"""What goes wrong the first time: each case is recognised and said, with the way out."""
import contextlib
import os
import pty
import subprocess

import pytest

from processes import finish, run
from sockets import SocketServer, echo, is_turned_away, refusing_port
from wiretape import WIRETAPE, connections, exchanges, stat, verify


def test_nothing_recorded(record, tape):
    with SocketServer(echo) as server:
        recording = record(server.address)
        ended = recording.stop()
    assert f"0 connections reached {recording.address}" in ended.stderr
    assert "client" in ended.stderr
    verify(tape)


def test_something_recorded_is_summed_up(record, nginx, tape):
    recording = record(nginx().address)
    run("curl", "-sf", f"{recording.url}/item/[1-3]")
    said = recording.stop().stderr
    assert "0 connections reached" not in said
    totals = stat(tape)
    for figure in ("1 connection", "3 exchanges", "not recorded: 0"):
        assert figure in said, said
    assert totals["connections"] == 1 and totals["exchanges"] == 3


def test_a_tls_client(record, nginx, tape):
    """It is recorded as it is; stderr names the server that it asked for."""
    recording = record(nginx().address)
    finish("curl", "-sk", "--max-time", "5", "--resolve",
           f"shop.example:{recording.port}:127.0.0.1", f"https://shop.example:{recording.port}/")
    said = recording.stop().stderr
    assert "TLS" in said and "shop.example" in said
    connection, = connections(tape)
    assert connection["protocol"] == "tls" and connection["bytes_client_to_server"] > 100
    assert exchanges(tape) == []


def test_a_tls_client_without_a_server_name(record, nginx, tape):
    recording = record(nginx().address)
    finish("openssl", "s_client", "-noservername", "-connect", recording.address, seconds=10)
    assert "TLS" in recording.stop().stderr
    assert connections(tape)[0]["protocol"] == "tls"


@pytest.mark.parametrize("url", ["http://shop.example/cart", "https://shop.example/"])
def test_a_client_that_takes_us_for_a_forward_proxy(record, nginx, tape, url):
    """GET http://... and CONNECT come from clients with a proxy setting."""
    recording = record(nginx().address)
    finish("curl", "-sk", "--max-time", "5", "-x", recording.url, url)
    said = recording.stop().stderr
    assert "proxy" in said and "shop.example" in said
    assert stat(tape)["connections"] == 1


def test_an_upstream_that_refuses_is_said_once_not_a_thousand_times(record, tape):
    with refusing_port() as nobody:
        recording = record(nobody)
        for _ in range(50):
            assert is_turned_away(recording.address)
        said = recording.stop().stderr
    assert nobody in said and "refused" in said
    assert len(said.splitlines()) < 20
    assert len(connections(tape)) == 50


@pytest.mark.parametrize("words", [["-u", "user:secret"], ["-H", "Cookie: id=1"],
                                   ["-H", "Authorization: Bearer abc"]])
def test_credentials_on_the_tape_are_said(record, nginx, words):
    recording = record(nginx().address)
    run("curl", "-sf", *words, f"{recording.url}/hello")
    said = recording.stop().stderr
    assert "holds credentials" in said
    assert "secret" not in said and "abc" not in said


def test_no_credentials_no_warning(record, nginx):
    recording = record(nginx().address)
    run("curl", "-sf", f"{recording.url}/hello")
    assert "holds credentials" not in recording.stop().stderr


@pytest.mark.long
def test_a_status_line_every_10_s_when_not_on_a_terminal(record, nginx):
    recording = record(nginx().address)
    run("curl", "-sf", f"{recording.url}/hello")
    before = len(recording.lines)
    recording.wait_for_line("1 connection|1 exchange|connections 1", seconds=12)
    assert len(recording.lines) == before + 1
    recording.stop()


def test_a_status_line_on_a_terminal(nginx, tape):
    """It is drawn in place, while the recording goes on."""
    ours, theirs = pty.openpty()
    recording = subprocess.Popen([WIRETAPE, "record", "--listen", "127.0.0.1:0", "--upstream",
                                  nginx().address, "-o", tape, "--", "sleep", "1.5"],
                                 stderr=theirs)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # EIO: the other side has closed
        while more := os.read(ours, 4096):
            seen += more
    os.close(ours)
    assert recording.wait(15) == 0
    assert b"\r" in seen.replace(b"\r\n", b"\n") and b"0 connections" in seen


def test_listening_is_on_loopback_unless_asked_otherwise(record):
    with SocketServer(echo) as server:
        recording = record(server.address, listen=":0")
        assert recording.address.startswith("127.0.0.1:")
        recording.stop()
