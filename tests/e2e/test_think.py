"""--pace think keeps what a client did between an answer and its next step, not the clock."""
import time

from sockets import SocketServer, connect, http_handler, request
from wiretape import assert_all_same, replay


def slow(seconds, arrivals):
    """Answers after so long; notes when requests came."""
    def body(path):
        arrivals.append(time.monotonic())
        time.sleep(seconds)
        return path.encode()
    return http_handler(body)


def test_the_next_connection_follows_the_answer_before(record, tape):
    with SocketServer(http_handler(lambda path: path.encode())) as server:
        recording = record(server.address)
        for path in ("/first", "/second"):
            with connect(recording.address) as s:
                request(s, path)
            time.sleep(0.3)
        recording.stop()
    gaps = {}
    for pace in ("recorded", "think"):
        arrivals = []
        with SocketServer(slow(0.8, arrivals)) as server:
            assert_all_same(replay(tape, server.address, "--pace", pace))
        gaps[pace] = arrivals[1] - arrivals[0]
    assert gaps["recorded"] < 0.7, "open loop: the second does not wait for the first's answer"
    assert gaps["think"] > 1.0, "closed loop: 0.3 s behind the answer, which took 0.8 s"


def test_think_time_on_one_connection(record, tape):
    with SocketServer(http_handler(lambda path: path.encode())) as server:
        recording = record(server.address)
        with connect(recording.address) as s:
            for i in range(4):
                request(s, f"/{i}")
                time.sleep(0.1)
        recording.stop()
    arrivals = []
    with SocketServer(slow(0.2, arrivals)) as server:
        outcome = replay(tape, server.address, "--pace", "think")
    assert_all_same(outcome)
    assert all(b - a > 0.28 for a, b in zip(arrivals, arrivals[1:])), arrivals
    # A closed loop is not late when the target is slow: that is what it is for.
    assert outcome.report["lateness_by_cause"]["target"]["count"] == 0
