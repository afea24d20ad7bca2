"""Every byte of real HTTP traffic arrives as sent, and the tape holds the same bytes.

Each test runs between two hashing relays (chain.py): what they saw and what the tape says agree.
"""
import gzip
import hashlib

import pytest

from conftest import ALL
from processes import finish, run
from servers import MIB, random_file
from wiretape import exchanges

BIG = 1024 * MIB if ALL else 64 * MIB


def sha256(path):
    with open(path, "rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


@pytest.mark.parametrize("threads", [1, 2])
def test_download(chain, nginx, tmp_path, threads):
    server = nginx()
    big = random_file(server.files / "big", BIG)
    with chain(server.address, "--threads", threads) as c:
        run("curl", "-sf", "-o", tmp_path / "got", f"{c.url}/big")
        connection, = c.check()
    assert sha256(tmp_path / "got") == sha256(big)
    assert connection["bytes_server_to_client"] > BIG
    exchange, = exchanges(c.tape)
    assert exchange["status"] == 200 and exchange["response_bytes"] >= BIG


def test_upload(chain, nginx, tmp_path):
    server = nginx()
    big = random_file(tmp_path / "big", BIG)
    with chain(server.address) as c:
        run("curl", "-sf", "-T", big, f"{c.url}/upload/big")
        connection, = c.check()
    assert sha256(server.files / "upload/big") == sha256(big)
    assert connection["bytes_client_to_server"] > BIG


def test_upload_that_waits_for_100_continue(chain, nginx, tmp_path):
    server = nginx()
    body = random_file(tmp_path / "body", 3 * MIB)
    with chain(server.address) as c:
        done = finish("curl", "-svf", "-H", "Expect: 100-continue", "--expect100-timeout", "20",
                      "-T", body, f"{c.url}/upload/body")
        assert b"100 Continue" in done.stderr
        c.check()
    assert sha256(server.files / "upload/body") == sha256(body)
    exchange, = exchanges(c.tape)  # the 100 belongs to it
    assert exchange["method"] == "PUT" and exchange["status"] == 201


def test_chunked_gzip(chain, nginx):
    server = nginx()
    text = "".join(f"line {i} of many\n" for i in range(200_000))
    (server.files / "text.txt").write_text(text)
    with chain(server.address) as c:
        head = run("curl", "-sf", "-D", "-", "-o", "/dev/null", "-H", "Accept-Encoding: gzip",
                   f"{c.url}/zipped/text.txt").decode().lower()
        body = run("curl", "-sf", "-H", "Accept-Encoding: gzip", f"{c.url}/zipped/text.txt")
        c.check()
    assert "transfer-encoding: chunked" in head and "content-encoding: gzip" in head
    assert gzip.decompress(body).decode() == text
    assert [e["status"] for e in exchanges(c.tape)] == [200, 200]


def test_chunked_upload(chain, nginx, tmp_path):
    server = nginx()
    body = random_file(tmp_path / "body", MIB)
    with chain(server.address) as c:
        run("curl", "-sf", "-X", "PUT", "-H", "Transfer-Encoding: chunked", "--data-binary",
            f"@{body}", f"{c.url}/upload/body")
        c.check()
    assert sha256(server.files / "upload/body") == sha256(body)


def test_many_requests_on_one_connection(chain, nginx):
    with chain(nginx().address) as c:
        run("curl", "-sf", f"{c.url}/item/[1-200]")
        connection, = c.check()
    assert connection["protocol"] == "http1"
    assert connection["requests"] == connection["responses"] == 200
    assert [e["url"].rsplit("/", 1)[1] for e in exchanges(c.tape)] == [
        str(i) for i in range(1, 201)]


@pytest.mark.parametrize("threads", [1, 2])
def test_short_connections(chain, nginx, threads):
    """As fast as they come, which is well over 1,000 a second on an idle machine."""
    with chain(nginx().address, "--threads", threads) as c:
        run("wrk", "-t1", "-c20", "-d2s", "-H", "Connection: close", f"{c.url}/hello")
        taped = c.check(ends=False)
    assert len(taped) > 100


@pytest.mark.parametrize("threads", [1, 2])
def test_parallel_keep_alive(chain, nginx, threads):
    with chain(nginx().address, "--threads", threads) as c:
        run("wrk", "-t2", "-c32", "-d1s", f"{c.url}/hello")
        taped = c.check(ends=False)
    assert len(taped) >= 32
    assert len(exchanges(c.tape)) == sum(e["responses"] for e in taped)


def test_git_clone(chain, git_http, tmp_path):
    with chain(git_http.address) as c:
        run("git", "clone", "-q", f"{c.url}/git/sample.git", tmp_path / "clone")
        c.check()
    heads = [run("git", "-C", where, "rev-parse", "HEAD")
             for where in (tmp_path / "clone", git_http.repository)]
    assert heads[0] == heads[1]
    run("git", "-C", tmp_path / "clone", "fsck", "--strict")
    assert any("git-upload-pack" in e["url"] for e in exchanges(c.tape))


def test_raw_leaves_http_unparsed_and_bytes_exact(chain, nginx):
    with chain(nginx().address, "--raw") as c:
        run("curl", "-sf", f"{c.url}/item/[1-20]")
        c.check()
    assert len(exchanges(c.tape)) == 20  # found in the bytes, later
