"""A replay keeps connections, order, bytes and times: seen by a server that notes each arrival.

The bounds are wide, for machines that others use as well; what is measured is printed, and
tests/bench/replay_timing.py measures it in earnest.
"""
from statistics import median

import pytest

from arrivals import (ArrivalLog, drift_ns, dues_on, lateness_at_the_target, paths_by_connection,
                      quantile, send_timed, uneven_schedule)
from wiretape import assert_all_same, replay

REQUESTS, CONNECTIONS, SECONDS = 2000, 64, 8
MS = 1_000_000


@pytest.fixture
def recorded(record, tmp_path):
    """What the recorded server noted, with the tape closed."""
    server = ArrivalLog(tmp_path)
    recording = record(server.address)
    plan = uneven_schedule(REQUESTS, CONNECTIONS, SECONDS)
    send_timed(recording.port, plan, tmp_path)
    recording.stop()
    return server.arrivals()


def in_order(arrivals, due):
    return sorted(arrivals, key=lambda a: due[a.path])


def test_connections_order_bytes_and_times_are_kept(recorded, tape, tmp_path):
    target = ArrivalLog(tmp_path)
    run_tape = tmp_path / "run.tape"
    outcome = replay(tape, target.address, "-o", run_tape)
    arrivals = target.arrivals()
    assert_all_same(outcome)
    assert len(recorded) == len(arrivals) == REQUESTS
    assert all(a.complete and a.answered for a in arrivals)
    assert len({a.connection for a in arrivals}) == CONNECTIONS
    assert paths_by_connection(arrivals) == paths_by_connection(recorded)
    assert {a.path: a.bytes for a in arrivals} == {a.path: a.bytes for a in recorded}

    late = lateness_at_the_target(arrivals, run_tape)
    said = outcome.report["lateness_ns"]
    due = dues_on(tape)
    drift = drift_ns([a.arrived_ns - due[a.path] for a in in_order(arrivals, due)])
    print(f"lateness at the target: p50 {quantile(late, 0.5) / 1000:.0f} us, p99 "
          f"{quantile(late, 0.99) / 1000:.0f} us; reported: p50 {said['p50'] / 1000:.0f} us, p99 "
          f"{said['p99'] / 1000:.0f} us; drift {drift / 1000:.0f} us")
    assert abs(drift) < 5 * MS
    assert quantile(late, 0.5) < 20 * MS
    assert abs(said["p50"] - median(late)) < 5 * MS


def test_lateness_of_a_faster_run_does_not_add_up_either(recorded, tape, tmp_path):
    target = ArrivalLog(tmp_path)
    outcome = replay(tape, target.address, "--speed", "4")
    arrivals = target.arrivals()
    assert_all_same(outcome)
    assert paths_by_connection(arrivals) == paths_by_connection(recorded)
    due = dues_on(tape)
    errors = [a.arrived_ns - due[a.path] // 4 for a in in_order(arrivals, due)]
    assert abs(drift_ns(errors)) < 5 * MS
