"""What differs is found and named: each test records one server and replays to another that
differs in one thing."""
import gzip
import json
import os
import time

import pytest

from processes import run
from sockets import SocketServer, connect, read_response
from wiretape import assert_all_same, replay, wiretape

JSON = "Content-Type: application/json"


def response(body=b"hello\n", *fields, status="200 OK", length=None):
    length = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {length}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(body, size=1000):
    parts = [body[i:i + size] for i in range(0, len(body), size)]
    return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
            b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n")


def serving(answer):
    """A server that answers every request with the same bytes."""
    def serve(s):
        buffer = b""
        while data := s.recv(65536):
            buffer += data
            *heads, buffer = buffer.split(b"\r\n\r\n")
            s.sendall(answer * len(heads))
    return SocketServer(serve)


@pytest.fixture
def compared(record, tape):
    """compared(was, is_now, *options): one exchange, recorded with the one answer and replayed to
    the other."""
    def compare(was, is_now, *options, method="GET"):
        with serving(was) as server:
            recording = record(server.address)
            with connect(recording.address) as s:
                s.sendall(f"{method} /x HTTP/1.1\r\nHost: app\r\n\r\n".encode())
                head = b""
                while method == "HEAD" and not head.endswith(b"\r\n\r\n"):
                    head += s.recv(4096)
                if method != "HEAD" and b"Transfer-Encoding" not in was:
                    read_response(s)
                elif method != "HEAD":
                    while not head.endswith(b"0\r\n\r\n"):
                        head += s.recv(65536)
            recording.stop()
        with serving(is_now) as target:
            return replay(tape, target.address, *options)
    return compare


EVENTS = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
          b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")


@pytest.mark.parametrize("now, counts, reason", [
    (EVENTS + b"9\r\ndata: 2\n\n\r\n", (0, 0, 0), {}),
    (response(b"no", "Content-Type: text/event-stream", status="500 No"), (0, 1, 0), {}),
    (response(b"{}", JSON), (0, 1, 0), {}),
    (None, (0, 0, 1), {"closed_by_target": 1})], ids=["same", "status", "type", "closed"])
def test_a_stream_that_its_client_left_hides_no_failure(record, tape, now, counts, reason):
    with serving(EVENTS) as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            s.sendall(b"GET /x HTTP/1.1\r\nHost: app\r\n\r\n")
            received = b""
            while not received.endswith(b"data: 1\n\n\r\n"):
                received += s.recv(4096)
            time.sleep(0.5)  # so that a target has time to answer
        recording.stop()
    with SocketServer(lambda s: s.recv(4096)) if now is None else serving(now) as target:
        report = replay(tape, target.address).report
    assert (report["same"], report["different"], report["errors"]) == counts, report
    assert report["error_reasons"] == reason
    assert report["not_compared"] == ({} if any(counts) else {"recorded_incomplete": 1})


def only_difference(outcome):
    assert outcome.status == 1, outcome
    report = outcome.report
    assert (report["same"], report["different"], report["errors"]) == (0, 1, 0)
    [difference] = report["differences"]
    assert difference["connection"] == 1 and difference["index"] == 0
    assert (difference["method"], difference["url"]) == ("GET", "http://app/x")
    return difference


def test_a_changed_header_is_found(compared):
    found = only_difference(compared(response(b"x", "ETag: one", "Server: a"),
                                     response(b"x", "Server: a", "etag: two")))
    assert found["what"] == "header" and found["header"] == "etag" and found["headers"] == 1
    assert (found["recorded"], found["replayed"]) == ("one", "two")


def test_an_added_and_a_missing_header_are_found(compared):
    found = only_difference(compared(response(b"x", "X-Old: 1"), response(b"x", "X-New: 2")))
    assert found["header"] == "x-new" and found["headers"] == 2
    assert (found["recorded"], found["replayed"]) == ("(absent)", "2")


@pytest.mark.parametrize("now", [["a=1"], ["b=2", "a=1"], ["a=1", "b=2", "b=2"]])
def test_cookies_count_each_and_in_their_order(compared, now):
    was = response(b"x", "Set-Cookie: a=1", "Set-Cookie: b=2")
    found = only_difference(compared(was, response(b"x", *[f"Set-Cookie: {c}" for c in now])))
    assert found["header"] == "set-cookie" and found["recorded"] == "a=1, b=2"
    assert found["replayed"] == ", ".join(now)


VARYING = ["Date: Mon, 01 Jan 2024 00:00:{:02d} GMT", "Age: {}", "X-Request-Id: {}",
           "Via: 1.1 proxy{}", "traceparent: 00-{}"]


def varying(number):
    return response(b"x", *[line.format(number) for line in VARYING])


def test_what_always_varies_is_left_out(compared):
    assert_all_same(compared(varying(1), varying(2)))


def test_what_is_left_out_can_be_asked_for(compared):
    found = only_difference(compared(varying(1), varying(2), "--match", "header:Date",
                                     "--match", "header:age"))
    assert found["header"] == "age" and found["headers"] == 2


@pytest.mark.parametrize("what", ["header:ETag", "header:e*"])
def test_a_header_can_be_ignored(compared, what):
    assert_all_same(compared(response(b"x", "ETag: one"), response(b"x", "ETag: two"),
                             "--ignore", what))


def test_status_can_be_ignored(compared):
    assert_all_same(compared(response(b"x"), response(b"x", status="201 Created"),
                             "--ignore", "status"))


def test_another_byte_in_a_body_is_found_where_it_is(compared):
    body = b"line of text\n" * 20_000
    other = body[:123_456] + b"#" + body[123_457:]
    found = only_difference(compared(response(body), response(other)))
    assert found["what"] == "body" and found["offset"] == 123_456 and found["offset_is_exact"]
    assert body[123_450:123_460].decode().replace("\n", "\\n") in found["recorded"]
    assert "#" in found["replayed"] and "recorded_bytes" not in found


def test_binary_bodies_are_shown_in_hex(compared):
    found = only_difference(compared(response(bytes(range(128, 228))),
                                     response(bytes(range(128, 226)))))
    assert found["offset"] == 98
    assert (found["recorded_bytes"], found["replayed_bytes"]) == (100, 98)
    assert found["recorded"] == "hex da db dc dd de df e0 e1 e2 e3"


WAS = {"user": {"id": 17, "seen": "10:02"}, "items": [{"n": 1, "at": 5}, {"n": 2, "at": 6}]}


def with_json(value, *fields, kind=JSON):
    return response(json.dumps(value).encode(), kind, *fields)


def test_a_json_difference_is_named_by_its_path(compared, tape):
    now = json.loads(json.dumps(WAS))
    now["user"]["id"] = 1800
    found = only_difference(compared(with_json(WAS), with_json(now)))
    assert found["what"] == "body" and found["path"] == "$.user.id"
    assert (found["recorded"], found["replayed"]) == ("17", "1800")
    with serving(with_json(now)) as target:
        said = wiretape("replay", tape, "--target", target.address)
    assert "GET http://app/x: body $.user.id: 17 -> 1800\n" in said.stdout


def test_json_values_can_be_ignored(compared):
    now = {"items": [{"n": 1, "at": 50}, {"n": 2, "at": 60}], "user": {"id": 17, "seen": "1:00"}}
    ignore = ["--ignore", "json:$.user.seen", "--ignore", "json:$.items[*].at"]
    assert_all_same(compared(with_json(WAS), with_json(now), *ignore))


def test_what_is_beside_ignored_json_is_compared(compared):
    now = {"user": WAS["user"], "items": [{"n": 1, "at": 50}, {"n": 3, "at": 60}]}
    found = only_difference(compared(with_json(WAS), with_json(now), "--ignore",
                                     "json:$.items[*].at"))
    assert found["path"] == "$.items[1].n"


def test_zipped_json_is_compared_by_its_bytes(compared):
    answers = [response(gzip.compress(text, mtime=0), JSON, "Content-Encoding: gzip")
               for text in (b'{"a":1}', b'{"a":2}')]
    found = only_difference(compared(*answers))
    assert "path" not in found and found["offset"] > 0 and found["recorded"].startswith("hex ")


@pytest.mark.parametrize("flag, hint", [("--ignore=json:user", "$.user.id"),
                                        ("--ignore=json:$.a[", "$.user.id"),
                                        ("--ignore=header:", "header:NAME"),
                                        ("--ignore=nonsense", "status"),
                                        ("--match=Date", "header:NAME")])
def test_what_cannot_be_ignored_is_refused(tmp_path, flag, hint):
    said = wiretape("replay", tmp_path / "no.tape", "--target", ":1", flag)
    assert said.status == 2 and hint in said.stderr


def test_framing_is_no_difference(compared):
    body = b"0123456789" * 5_000
    assert_all_same(compared(chunked(body), response(body)))


def test_content_length_of_a_head_is_compared(compared):
    was, now = response(b"", length=10), response(b"", length=11)
    outcome = compared(was, now, method="HEAD")
    assert outcome.report["different"] == 1, outcome
    found = outcome.report["differences"][0]
    assert found["header"] == "content-length"
    assert (found["recorded"], found["replayed"]) == ("10", "11")


def test_switched_off_nothing_is_different(compared):
    outcome = compared(response(b"x", "ETag: one"), response(b"y"), "--no-compare")
    assert outcome.status == 0 and outcome.report["different"] == 0, outcome
    assert outcome.report["not_compared"] == {"switched_off": 1}


def test_a_static_site_on_a_fresh_server_is_all_the_same(record, nginx, tape):
    def site():
        server = nginx(extra="location /tagged/ { alias files/; etag on; expires epoch; }")
        for number in range(5):
            path = server.files / f"{number}.txt"
            path.write_text(f"file {number}\n" * 1000)
            os.utime(path, (1_600_000_000 + number,) * 2)
        return server
    recording = record(site().address)
    for folder in ("", "zipped/", "tagged/"):
        run("curl", "-sf", "--compressed", f"{recording.url}/{folder}[0-4].txt")
    run("curl", "-sfI", f"{recording.url}/tagged/[0-4].txt")
    run("curl", "-sf", "-r", "100-200", f"{recording.url}/1.txt")
    recording.stop()
    fresh = site()
    outcome = replay(tape, fresh.address)
    assert_all_same(outcome)
    assert outcome.report["same"] == 21
    assert outcome.report["latency_recorded_ns"]["count"] == 21
    os.utime(fresh.files / "3.txt", (1_700_000_000,) * 2)
    again = replay(tape, fresh.address)
    assert again.report["different"] == 4
    assert {d["header"] for d in again.report["differences"]} == {"etag", "last-modified"}


def test_opaque_bytes_are_shown_where_they_differ(record, redis, tape):
    server = redis()
    server.cli("SET", "key", "one value")
    recording = record(server.address)
    run("redis-cli", "-p", recording.port, "GET", "key")
    recording.stop()
    other = redis()
    other.cli("SET", "key", "one other")
    outcome = replay(tape, other.address)
    [found] = outcome.report["differences"]
    assert found["what"] == "bytes" and found["index"] is None
    assert "one value" in found["recorded"] and "one other" in found["replayed"]


def test_parts_of_a_tape_are_told_apart(record, tape, tmp_path):
    with serving(response(b"one")) as server:
        for name in ("a", "b"):
            recording = record(server.address, tape=tmp_path / name)
            with connect(recording.address) as s:
                s.sendall(b"GET /x HTTP/1.1\r\nHost: app\r\n\r\n")
                read_response(s)
            recording.stop()
    tape.write_bytes((tmp_path / "a").read_bytes() + (tmp_path / "b").read_bytes())
    with serving(response(b"two")) as target:
        report = replay(tape, target.address, "--speed", "max").report
        said = wiretape("replay", tape, "--target", target.address, "--speed", "max")
    assert [(d["part"], d["connection"]) for d in report["differences"]] == [(0, 1), (1, 1)]
    assert "  part 1 connection 1 request 0 GET http://app/x: body at byte 0: " in said.stdout
