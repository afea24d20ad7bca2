"""A replay sends what was recorded, but for the fields of requests' heads that a flag names.

The target stores exactly what comes, so that every byte can be looked at.
"""
import threading
import time

import pytest

from sockets import SocketServer, connect, read_exactly, read_response, read_to_end
from wiretape import replay, stat, wiretape

GET = (b"GET http://old/x HTTP/1.1\r\nX-One:  1 \r\nhOsT: old.example\r\nCOOKIE: a=b\r\n"
       b"x-two:2\r\n\r\n")
INNER = b"GET /inner HTTP/1.1\r\nHost: old.example\r\nCookie: c\r\n\r\n"
POST = (b"POST /p HTTP/1.1\r\nHost: old.example\r\nContent-Length: %d\r\n\r\n" % len(INNER)) + INNER
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Storing:
    """A target that answers each request and stores what came, byte by byte and by arrival."""

    def __init__(self, requests):
        self.came, self.arrivals = b"", []
        self._requests = requests
        self.server = SocketServer(self._serve)
        self.address = self.server.address

    def _serve(self, s):
        answered = 0
        while data := s.recv(65536):
            self.came += data
            self.arrivals.append((time.monotonic(), data))
            # A request is over with its head, or with the body of POST.
            ended = self.came.count(b"\r\n\r\n") - self.came.count(b"/inner")
            while answered < min(ended, self._requests):
                s.sendall(OK)
                answered += 1


@pytest.fixture
def storing():
    targets = []

    def start(requests):
        targets.append(Storing(requests))
        return targets[-1]
    yield start
    for target in targets:
        target.server.close()


def record_pieces(record, storing, pieces, requests, pause_s=0.0):
    """A tape on which one client sends these pieces, and gets all answers in the end."""
    recording = record(storing(requests).address)
    with connect(recording.address) as s:
        for piece in pieces:
            s.sendall(piece)
            time.sleep(pause_s)
        read_exactly(s, requests * len(OK))
    recording.stop()


def test_nothing_is_rewritten_unless_asked(record, storing, tape):
    record_pieces(record, storing, [GET + POST], 2)
    target = storing(2)
    assert replay(tape, target.address).status == 0
    assert target.came == GET + POST
    again = storing(2)
    assert replay(tape, again.address, "--host", "recorded").status == 0
    assert again.came == GET + POST


@pytest.mark.parametrize("host, sent", [("new.example:81", b"new.example:81"), ("target", None)])
def test_host_is_rewritten_and_nothing_else(record, storing, tape, host, sent):
    record_pieces(record, storing, [GET + POST + GET], 3)
    target = storing(3)
    outcome = replay(tape, target.address, "--host", host)
    assert outcome.status == 0, outcome
    line = b"Host: " + (sent or target.address.encode())
    get = GET.replace(b"hOsT: old.example", line)
    post = POST.replace(b"Host: old.example", line, 1)
    assert target.came == get + post + get
    assert outcome.report["same"] == 3


def test_fields_are_set_and_removed(record, storing, tape):
    record_pieces(record, storing, [GET + POST], 2)
    target = storing(2)
    outcome = replay(tape, target.address, "--set-header", "X-ONE: new", "--remove-header",
                     "cookie", "--set-header", "Via:1.1 me")
    assert outcome.status == 0, outcome
    get = (GET.replace(b"X-One:  1 ", b"X-ONE: new").replace(b"COOKIE: a=b\r\n", b"")
           .replace(b"\r\n\r\n", b"\r\nVia: 1.1 me\r\n\r\n"))
    head, body = POST.split(b"\r\n\r\n", 1)
    assert target.came == get + head + b"\r\nX-ONE: new\r\nVia: 1.1 me\r\n\r\n" + body


def test_a_head_in_pieces_keeps_its_gaps(record, storing, tape):
    pieces = [GET[:20], GET[20:60], GET[60:-3], GET[-3:]]
    record_pieces(record, storing, pieces, 1, pause_s=0.15)
    target = storing(1)
    outcome = replay(tape, target.address, "--host", "n")
    assert outcome.status == 0, outcome
    assert target.came == GET.replace(b"hOsT: old.example", b"Host: n")
    assert target.arrivals[-1][0] - target.arrivals[0][0] > 0.3
    assert len(target.arrivals) == len(pieces)


def test_an_upgraded_stream_is_as_recorded(record, tape):
    came = []

    def upgrade(s):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += read_exactly(s, 1)
        s.sendall(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        came.append((head, read_exactly(s, len(INNER))))
        s.sendall(b"bye")
    request = b"GET / HTTP/1.1\r\nHost: old\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    with SocketServer(upgrade) as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            s.sendall(request)
            assert read_response(s).startswith(b"HTTP/1.1 101")
            s.sendall(INNER)
            assert read_to_end(s) == b"bye"
        recording.stop()
        outcome = replay(tape, server.address, "--host", "new")
    assert outcome.status == 0, outcome
    assert came == [(request, INNER), (request.replace(b"Host: old", b"Host: new"), INNER)]


BAD = [
    (["--host", ""], ["--host"]),
    (["--host", "http://app"], ["--host", "http://app"]),
    (["--set-header", "no colon"], ["--set-header", "Name: value"]),
    (["--set-header", "a b: c"], ["--set-header", '"a b"']),
    (["--set-header", "a: b\r\nc: d"], ["--set-header", "line end"]),
    (["--set-header", "content-length: 5"], ["--set-header", "Content-Length"]),
    (["--set-header", "Transfer-Encoding: chunked"], ["--set-header", "Transfer-Encoding"]),
    (["--set-header", "Host: x"], ["--set-header", "--host"]),
    (["--set-header", "A: 1", "--set-header", "a: 2"], ["--set-header", "twice"]),
    (["--remove-header", "Content-Length"], ["--remove-header", "Content-Length"]),
    (["--remove-header", "A: 1"], ["--remove-header", "colon"]),
    (["--remove-header", ""], ["--remove-header"]),
    (["--set-header", "A: 1", "--remove-header", "a"], ["both set and removed"]),
    (["--host", "x", "--remove-header", "host"], ["--host", "--remove-header"]),
    (["--allow-host", ""], ["--allow-host"]),
    (["--allow-host", "app:3000"], ["--allow-host", "port"]),
]


@pytest.mark.parametrize("flags, words", BAD, ids=lambda value: " ".join(value).strip())
def test_a_bad_rule_is_refused_before_anything_is_sent(tmp_path, flags, words):
    met = threading.Event()
    with SocketServer(lambda s: met.set()) as server:
        said = wiretape("replay", tmp_path / "none", "--target", server.address, *flags)
    assert said.status == 2 and said.stdout == "", said
    assert said.stderr.count("\n") == 1 and all(word in said.stderr for word in words), said
    assert not met.is_set()


def dry_run(tape, target, *options, **more):
    return replay(tape, target, "--dry-run", *options, **more)


def test_a_dry_run_sends_nothing(record, storing, tape):
    record_pieces(record, storing, [GET + POST], 2)
    target = storing(2)
    outcome = dry_run(tape, target.address, "--host", "new", "--remove-header", "Cookie")
    assert outcome.status == 0 and target.server.served == 0, outcome
    plan = outcome.report
    assert plan["dry_run"] is True and plan["allowed"] is True
    assert plan["target"] == target.address and plan["addresses"] == [target.address]
    assert plan["connections"] == 1 and plan["requests_scheduled"] == 2 and plan["turns"] == 0
    assert plan["methods"] == {"GET": 1, "POST": 1}
    assert plan["writes"] == 1 and plan["may_write"] == 0 and plan["not_sent"] == {}
    assert plan["rewritten"]["requests"] == 2
    assert [rule["requests"] for rule in plan["rewritten"]["rules"]] == [2, 1]
    assert plan["rewritten"]["example"] == {"before": "hOsT: old.example", "after": "Host: new"}
    wet = replay(tape, target.address, "--host", "new", "--remove-header", "Cookie")
    assert len(target.came) == plan["bytes"]
    assert wet.report["requests_scheduled"] == plan["requests_scheduled"]


def test_a_dry_run_in_words(record, redis, tape):
    server = redis()
    recording = record(server.address)
    server.cli("SET", "a", "b", port=recording.port)
    recording.stop()
    said = wiretape("replay", tape, "--target", server.address, "--dry-run", "--speed", "2")
    assert said.status == 0 and said.stderr == "", said
    assert "nothing was sent" in said.stdout and f"target {server.address}: allowed" in said.stdout
    assert "may write" in said.stdout and "at speed 2" in said.stdout
    assert "rewritten" not in said.stdout
    maximal = wiretape("replay", tape, "--target", server.address, "--dry-run", "--speed", "max")
    assert "as fast as order allows" in maximal.stdout
    thinking = wiretape("replay", tape, "--target", server.address, "--dry-run", "--pace", "think")
    assert "for as long as the target takes" in thinking.stdout


def test_a_dry_run_tells_how_long_it_would_take(record, storing, tape):
    record_pieces(record, storing, [GET, GET], 2, pause_s=0.2)
    recorded_ns = stat(tape)["duration_ns"]
    once = dry_run(tape, "127.0.0.1:9").report["duration_ns"]
    assert 0.3e9 < once <= recorded_ns
    assert abs(dry_run(tape, "127.0.0.1:9", "--speed", "4").report["duration_ns"] - once / 4) < 1e6
    assert dry_run(tape, "127.0.0.1:9", "--speed", "max").report["duration_ns"] is None
    assert dry_run(tape, "127.0.0.1:9", "--loop", "3").report["requests_scheduled"] == 6
    thinking = dry_run(tape, "127.0.0.1:9", "--pace", "think")
    assert thinking.report["duration_ns"] is None


def test_a_dry_run_records_nothing(record, storing, tape, tmp_path):
    record_pieces(record, storing, [GET], 1)
    refused = wiretape("replay", tape, "--target", "127.0.0.1:9", "--dry-run",
                       "-o", tmp_path / "run.tape")
    assert refused.status == 2 and refused.stderr.count("\n") == 1 and "-o" in refused.stderr
    assert not (tmp_path / "run.tape").exists()


def test_a_dry_run_of_what_is_not_there(tmp_path, tape):
    said = wiretape("replay", tape, "--target", "127.0.0.1:9", "--dry-run")
    assert said.status == 3 and str(tape) in said.stderr and said.stdout == ""
    text = tmp_path / "text"
    text.write_text("no tape\n")
    assert wiretape("replay", text, "--target", "127.0.0.1:9", "--dry-run").status == 3
