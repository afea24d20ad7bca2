"""Every byte of real traffic other than HTTP arrives as sent, and the tape holds the same bytes."""
import asyncio

import pytest
import websockets

from processes import Process, run, wait_until
from servers import MIB, random_file
from sockets import SocketServer, connect, read_exactly, read_to_end
from wiretape import exchanges


@pytest.mark.parametrize("threads", [1, 2])
def test_redis_benchmark(chain, redis, threads):
    with chain(redis().address, "--threads", threads) as c:
        run("redis-benchmark", "-p", c.port, "-n", 5000, "-c", 20, "-P", 16, "-d", 200, "-r", 1000,
            "-t", "set,get,lpush,lrange_100", "-q")
        taped = c.check(ends=False)
    assert len(taped) > 20 and all(e["requests"] == 0 for e in taped)


def test_redis_cli_pipelining(chain, redis):
    server = redis()
    commands = "".join(f"SET key{i} value{i * 7919}\r\n" for i in range(20_000))
    with chain(server.address) as c:
        said = run("redis-cli", "-p", c.port, "--pipe", input=commands.encode())
        c.check()
    assert b"errors: 0, replies: 20000" in said
    assert server.cli("GET", "key19999") == f"value{19999 * 7919}\n".encode()


TABLES = """
CREATE TABLE things (id serial PRIMARY KEY, name text, data bytea);
INSERT INTO things (name, data)
  SELECT 'thing ' || i, decode(repeat(md5(i::text), 50), 'hex') FROM generate_series(1, 2000) i;
SELECT count(*), sum(length(data)) FROM things;
COPY things (id, name) TO STDOUT;
SELECT * FROM no_such_table;
"""


def test_psql(chain, postgres):
    server = postgres()
    with chain(server.address) as c:
        said = server.psql(TABLES, port=c.port, check=False)
        c.check()
    assert b"2000" in said and b"thing 1999" in said


def test_pgbench(chain, postgres):
    server = postgres()
    words = ["pgbench", "-h", "127.0.0.1", "-U", "tester"]
    run(*words, "-p", server.port, "-i", "-q", "postgres")
    with chain(server.address) as c:
        said = run(*words, "-p", c.port, "-c", 5, "-t", 50, "-M", "prepared", "postgres")
        c.check()
    assert b"250/250" in said


def test_websocket_echo(chain, websocket_echo):
    messages = ["short", "x" * 70_000, b"\x00\xff" * 100_000] + [str(i) for i in range(200)]

    async def talk(url):
        async with websockets.connect(url, max_size=None, compression=None) as socket:
            for message in messages:
                await socket.send(message)
                assert await socket.recv() == message

    with chain(websocket_echo.address) as c:
        asyncio.run(talk(f"ws://{c.address}/"))
        connection, = c.check()
    exchange, = exchanges(c.tape)
    assert exchange["status"] == 101
    assert connection["bytes_client_to_server"] > 270_000


def test_server_speaks_first(chain):
    def greet(s):
        s.sendall(b"220 ready\r\n")
        assert read_exactly(s, 6) == b"HELO\r\n"
        s.sendall(b"250 hello\r\n")
        read_to_end(s)
    with SocketServer(greet) as server, chain(server.address) as c:
        with connect(c.address) as s:
            assert read_exactly(s, 11) == b"220 ready\r\n"
            s.sendall(b"HELO\r\n")
            assert read_exactly(s, 11) == b"250 hello\r\n"
        connection, = c.check()
    assert not server.failures
    assert (connection["close"], connection["closed_by"]) == ("fin", "client")
    assert connection["protocol"] != "http1"


def test_netcat_half_close(chain, tmp_path):
    """nc -N ends its stream first; the whole answer still comes back."""
    sent = random_file(tmp_path / "sent", 5 * MIB)

    def answer_reversed(s):
        s.sendall(read_to_end(s)[::-1])
    with SocketServer(answer_reversed) as server, chain(server.address) as c:
        got = run("nc.openbsd", "-N", c.host, c.port, input=sent.read_bytes())
        connection, = c.check()
    assert got[::-1] == sent.read_bytes()
    assert (connection["close"], connection["closed_by"]) == ("fin", "client")


def test_netcat_server(chain, tmp_path):
    """A server that ends its stream first; the client's bytes still arrive."""
    arrived = tmp_path / "arrived"
    with open(arrived, "wb") as out:
        server = Process("nc.openbsd", "-v", "-N", "-l", "127.0.0.1", "0", stdout=out)
        address = server.wait_for_line(r"Listening on .* (\d+)$")[0].group(1)
        with chain(f"127.0.0.1:{address}") as c, connect(c.address) as s:
            assert s.recv(1) == b""  # its stdin is empty: it ends its stream at once
            s.sendall(b"still listening?" * 10_000)
            s.shutdown(1)
            wait_until(lambda: not server.running, "nc")
            connection, = c.check()
    assert arrived.read_bytes() == b"still listening?" * 10_000
    assert (connection["close"], connection["closed_by"]) == ("fin", "server")
