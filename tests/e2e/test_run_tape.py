"""A run is a tape: what was sent and answered, when each send was due, and why it was late.

Send records are read with zstd and protoc alone, so that nothing here believes wiretape's own word
for them.
"""
import os
import re
import signal
import time

import pytest

from processes import Process, run, wait_until
from servers import MIB, random_file
from sockets import connect, read_response, refusing_port, request
from test_disk import mounted
from wiretape import (ROOT, WIRETAPE, assert_all_same, connections, exchanges, replay, stat, verify,
                      wiretape)

CAUSES = {"us", "target", "dependency", "limit"}


@pytest.fixture
def run_tape(tmp_path):
    return tmp_path / "run.tape"


def records(tape, kind):
    """The records of one kind, in order: their fields, with the record's time as `time_ns`."""
    plain = run("zstd", "-dcq", tape)
    text = run("protoc", "--decode=wiretape.v1.Tape", f"-I{ROOT}", "proto/tape.proto", cwd=ROOT,
               input=plain)
    text = text if isinstance(text, str) else text.decode()
    pattern = rf"^record {{\n(?:  time_ns: (\d+)\n)?  {kind} {{\n((?:    .*\n)*)  }}\n}}\n"
    found = []
    for time_ns, fields in re.findall(pattern, text, re.MULTILINE):
        record = dict(re.findall(r"^    (\w+): (.*)$", fields, re.MULTILINE))
        record = {k: int(v) if v.isdigit() else v.strip('"') for k, v in record.items()}
        found.append({"time_ns": int(time_ns or 0), **record})
    return found


def by_connection(found):
    grouped = {}
    for record in found:
        grouped.setdefault(record["connection"], []).append(record)
    return grouped


def check_is_a_replay_of(run_tape, tape):
    """Every connection of the run sent what the one that it names had sent."""
    verify(run_tape)
    recorded = {c["id"]: c for c in connections(tape)}
    replayed = connections(run_tape)
    assert sorted(c["recorded_connection"] for c in replayed) == sorted(recorded)
    for c in replayed:
        original = recorded[c["recorded_connection"]]
        assert c["sha256_client_to_server"] == original["sha256_client_to_server"]
        assert c["bytes_client_to_server"] == original["bytes_client_to_server"]
        assert c["protocol"] == original["protocol"]
    totals = stat(run_tape)
    assert totals["is_run"] and totals["complete"]
    assert totals["exchanges"] == stat(tape)["exchanges"]
    assert totals["recorded_connections"] == len(recorded)


def check_sends(run_tape, tape, report):
    """Each byte was sent once, in order; due as it was recorded; sent when the report says."""
    sends = records(run_tape, "send")
    lengths = {c["id"]: c["bytes_client_to_server"] for c in connections(run_tape)}
    for connection, group in by_connection(sends).items():
        offset = 0
        for send in group:
            assert send.get("offset", 0) == offset
            offset += send["length"]
        assert offset == lengths.pop(connection)
    assert not any(lengths.values())
    for send in sends:
        assert send.get("due_ns", 0) <= send["sent_ns"] <= send["time_ns"]
        assert send["cause"] in CAUSES
    assert stat(run_tape)["sends"] == len(sends)
    latest = max(s["sent_ns"] - s.get("due_ns", 0) for s in sends)
    assert latest == report["lateness_ns"]["max"] == stat(run_tape)["lateness_ns"]["max"]
    check_due_times(sends, tape)


def check_due_times(sends, tape):
    asked = [c["time_ns"] for c in records(tape, "chunk") if "direction" not in c]
    wanted = {round((t - asked[0]) / 1000) for t in asked}  # microseconds
    first = min(s["due_ns"] for s in sends)
    due = {round((s["due_ns"] - first) / 1000) for s in sends}
    assert all({d - 1, d, d + 1} & wanted for d in due), (sorted(due), sorted(wanted))


def record_http(recording):
    for i in range(3):
        run("curl", "-sf", f"{recording.url}/item/[{10 * i + 1}-{10 * i + 10}]")
        time.sleep(0.05)
    run("curl", "-sf", "-X", "PUT", "--data-binary", "the body", f"{recording.url}/upload/x")
    with connect(recording.address) as s:
        s.sendall(b"".join(b"GET /item/%d HTTP/1.1\r\nHost: t\r\n\r\n" % i for i in range(30)))
        for _ in range(30):
            read_response(s)
    recording.stop()


def test_http(record, nginx, tape, run_tape):
    record_http(record(nginx().address))
    outcome = replay(tape, nginx().address, "-o", run_tape)
    assert_all_same(outcome)
    check_is_a_replay_of(run_tape, tape)
    check_sends(run_tape, tape, outcome.report)
    assert oct(run_tape.stat().st_mode & 0o777) == "0o600"
    statuses = [e["status"] for e in exchanges(run_tape)]
    assert statuses == [200] * 30 + [201] + [200] * 30
    assert {e["recorded_connection"] for e in exchanges(run_tape)} == {1, 2, 3, 4, 5}


def test_redis(record, redis, tape, run_tape):
    commands = "".join(f"SET key{i} value{i}\r\nGET key{i}\r\n" for i in range(2000))
    recording = record(redis().address)
    run("redis-cli", "-p", recording.port, "--pipe", input=commands.encode())
    run("redis-cli", "-p", recording.port, "MGET", "key1", "key1999")
    run("redis-benchmark", "-p", recording.port, "-n", "300", "-c", "3", "-P", "5", "-t",
        "set", "-q")
    recording.stop()
    outcome = replay(tape, redis().address, "-o", run_tape)
    assert_all_same(outcome)
    check_is_a_replay_of(run_tape, tape)
    check_sends(run_tape, tape, outcome.report)


def test_the_tape_of_a_run_can_be_replayed(record, nginx, tape, run_tape, tmp_path):
    record_http(record(nginx().address))
    assert_all_same(replay(tape, nginx().address, "-o", run_tape))
    again = tmp_path / "again.tape"
    outcome = replay(run_tape, nginx().address, "-o", again)
    assert_all_same(outcome)
    assert outcome.report["same"] == stat(tape)["exchanges"] == 61
    check_is_a_replay_of(again, run_tape)
    check_sends(again, run_tape, outcome.report)


def test_at_speed_max_a_run_is_a_tape_too(record, nginx, tape, run_tape):
    record_http(record(nginx().address))
    assert_all_same(replay(tape, nginx().address, "--speed", "max", "-o", run_tape))
    check_is_a_replay_of(run_tape, tape)


def test_people_see_that_it_is_a_run(record, nginx, tape, run_tape):
    server = nginx()
    record_http(record(server.address))
    wiretape("replay", tape, "--target", server.address, "-o", run_tape)
    said = wiretape("stat", run_tape)
    assert said.status == 0 and f"{tape} -> {server.address}" in said.stdout
    assert "5 recorded connections\n" in said.stdout and "late by" in said.stdout
    said = wiretape("show", run_tape, "--connection", "2")
    assert "replaying connection 2" in said.stdout
    assert re.search(r"sent \d+ bytes.*late", said.stdout)


def test_other_answers_are_on_the_tape_of_the_run(record, nginx, tape, run_tape):
    recording = record(nginx().address)
    run("curl", "-sf", f"{recording.url}/hello")
    recording.stop()
    outcome = replay(tape, nginx(greeting="good bye").address, "-o", run_tape)
    assert outcome.status == 1 and outcome.report["different"] == 1
    said = wiretape("show", run_tape, "--connection", "1", "--body")
    assert said.stdout.strip() == "good bye"
    verify(run_tape)


def test_a_target_that_is_not_there_is_on_the_tape(record, nginx, tape, run_tape):
    recording = record(nginx().address)
    run("curl", "-sf", f"{recording.url}/hello")
    recording.stop()
    with refusing_port() as target:
        outcome = replay(tape, target, "-o", run_tape)
    assert outcome.status == 3
    verify(run_tape)
    [connection] = connections(run_tape)
    assert (connection["close"], connection["closed_by"]) == ("refused", "server")
    assert connection["recorded_connection"] == 1


# ------------------------------------------------------------------------------- files

def test_nothing_is_sent_when_the_output_is_refused(record, nginx, tape, run_tape, tmp_path):
    recording = record(nginx().address)
    run("curl", "-sf", f"{recording.url}/hello")
    recording.stop()
    before = tape.read_bytes()
    run_tape.write_text("precious")
    (tmp_path / "link.tape").symlink_to(tape)
    os.link(tape, tmp_path / "hard.tape")
    with refusing_port() as target:  # exit 3 if it were tried
        for words, said in [
                (["-o", run_tape], "use -f"),
                (["-o", tape, "-f"], "to be replayed"),
                (["-o", tmp_path / "link.tape", "-f"], "to be replayed"),
                (["-o", tmp_path / "hard.tape", "-f"], "to be replayed"),
                (["--json", tape], "to be replayed"),
                (["--json", tmp_path / "new", "-o", tmp_path / "new"], "two names"),
                (["--json", "-", "-o", "-"], "two names"),
                (["-f"], "-o"),
        ]:
            refused = wiretape("replay", tape, "--target", target, *words)
            assert refused.status == 2, (words, refused)
            assert said in refused.stderr and refused.stderr.count("\n") == 1, refused
    assert tape.read_bytes() == before and run_tape.read_text() == "precious"
    assert not (tmp_path / "new").exists()
    assert_all_same(replay(tape, nginx().address, "-o", run_tape, "-f"))
    verify(run_tape)


def test_to_standard_output(record, nginx, tape, run_tape):
    record_http(record(nginx().address))
    with open(run_tape, "wb") as out:
        child = Process(WIRETAPE, "replay", tape, "--target", nginx().address, "-o", "-",
                        stdout=out)
        assert child.wait(30) == 0
    assert "all the same" in child.stderr
    check_is_a_replay_of(run_tape, tape)


def test_kill_9_leaves_a_torn_tape_that_reads(record, nginx, tape, run_tape):
    recording = record(nginx().address)
    with connect(recording.address) as s:
        for _ in range(20):
            request(s)
            time.sleep(0.1)
    recording.stop()
    child = Process(WIRETAPE, "replay", tape, "--target", nginx().address, "-o", run_tape)
    wait_until(lambda: run_tape.exists() and len(exchanges(run_tape)) > 3, "some exchanges")
    child.send_signal(signal.SIGKILL)
    assert child.wait() == 128 + signal.SIGKILL
    assert "torn" in verify(run_tape, status=1)
    assert 3 < len(exchanges(run_tape)) < 20
    assert stat(run_tape)["sends"] >= len(exchanges(run_tape))
    assert wiretape("replay", run_tape, "--target", nginx().address, "--speed", "max").status == 0


def test_a_signal_leaves_a_whole_tape(record, nginx, tape, run_tape):
    recording = record(nginx().address)
    with connect(recording.address) as s:
        for _ in range(20):
            request(s)
            time.sleep(0.1)
    recording.stop()
    child = Process(WIRETAPE, "replay", tape, "--target", nginx().address, "-o", run_tape)
    wait_until(lambda: run_tape.exists() and len(exchanges(run_tape)) > 3, "some exchanges")
    child.send_signal(signal.SIGTERM)
    assert child.wait() == 1  # not all was sent
    verify(run_tape)
    assert 3 < len(exchanges(run_tape)) < 20
    [connection] = connections(run_tape)
    assert (connection["close"], connection["closed_by"]) == ("drain", "us")


def test_a_run_with_credentials_says_so(record, nginx, tape, run_tape):
    recording = record(nginx().address)
    run("curl", "-sf", "-H", "Cookie: id=secret", f"{recording.url}/hello")
    recording.stop()
    outcome = replay(tape, nginx().address, "-o", run_tape)
    assert_all_same(outcome)
    assert re.search(r"run.tape holds credentials \(in 1 of", outcome.stderr), outcome.stderr
    assert stat(run_tape)["exchanges_with_credentials"] == 1


@pytest.mark.long
def test_a_tape_that_hangs_does_not_hold_the_run(record, nginx, tape):
    server = nginx()
    random_file(server.files / "big", 8 * MIB)
    recording = record(server.address)
    run("curl", "-sf", "-o", "/dev/null", f"{recording.url}/big")
    run("curl", "-sf", f"{recording.url}/hello")
    recording.stop()
    from_pipe, to_pipe = os.pipe()  # which nobody reads
    child = Process(WIRETAPE, "replay", tape, "--target", server.address, "-o", "-", stdout=to_pipe)
    os.close(to_pipe)
    child.wait_for_line("all the same: same 2", seconds=30)
    assert child.wait(30) == 1
    os.close(from_pipe)
    assert "leaving it torn" in child.stderr


def test_a_full_disk_is_told_and_the_run_goes_on(record, nginx, tape, root, tmp_path):
    server = nginx()
    random_file(server.files / "big", 8 * MIB)
    recording = record(server.address)
    run("curl", "-sf", "-o", "/dev/null", f"{recording.url}/big")
    run("curl", "-sf", f"{recording.url}/hello")
    recording.stop()
    with mounted(tmp_path / "disk", "2m") as disk:
        run_tape = disk / "run.tape"
        outcome = replay(tape, server.address, "-o", run_tape)
        assert outcome.status == 1
        assert outcome.report["same"] == 2 and outcome.report["different"] == 0
        assert "No space left" in outcome.stderr
        assert re.search(r"run.tape is not complete: \d+ bytes", outcome.stderr), outcome.stderr
        totals = stat(run_tape)
        assert totals["bytes_not_recorded"] > 5 * MIB and not totals["complete"]
        assert totals["bytes_server_to_client"] == stat(tape)["bytes_server_to_client"]
        verify(run_tape, status=1)
