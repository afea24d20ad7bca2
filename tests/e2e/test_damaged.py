"""Damaged and foreign files: a clear line, the right exit status, and nothing promised lost.

Whatever is done to a tape, no command crashes, and what is whole is still shown.
"""
import gzip
import json
import random
import struct

import pytest

from processes import finish, run
from sockets import SocketServer, connect, echo, http_handler, request
from wiretape import WIRETAPE, connections, exchanges, replay, stat, verify, wiretape

MAGIC_BYTES = 24
BODY = random.Random(3).randbytes(4000)


@pytest.fixture
def whole(record, tape):
    """A tape of some blocks, as bytes."""
    with SocketServer(http_handler(lambda path: path.encode() + BODY)) as server:
        recording = record(server.address)
        for connection in range(4):
            with connect(recording.address) as s:
                for i in range(40):
                    request(s, f"/{connection}/{i}")
        recording.stop()
    verify(tape)
    return tape.read_bytes()


def lines_shown(path):
    """What show gives of a damaged tape; it warns and exits 0."""
    said = wiretape("show", path, "--json")
    assert said.status == 0, said
    assert said.stderr, "no warning"
    return [json.loads(line) for line in said.stdout.splitlines()]


def assert_damage_is_found(path, all_lines):
    assert verify(path, status=1)
    shown = lines_shown(path)
    known = {json.dumps(line, sort_keys=True) for line in all_lines}
    assert all(json.dumps(line, sort_keys=True) in known for line in shown)  # nothing made up
    said = wiretape("stat", path, "--json")
    assert said.status == 0 and said.stderr
    assert not json.loads(said.stdout)["complete"]
    return shown


def test_a_truncated_tape(whole, tape, tmp_path):
    all_lines = exchanges(tape)
    cut = tmp_path / "cut.tape"
    last = 0
    for size in sorted(random.Random(1).sample(range(MAGIC_BYTES, len(whole) - 1), 25)):
        cut.write_bytes(whole[:size])
        shown = assert_damage_is_found(cut, all_lines)
        assert len(shown) >= last  # a longer piece shows at least as much
        last = len(shown)
    assert last > 0


def test_a_flipped_bit(whole, tape, tmp_path):
    all_lines = exchanges(tape)
    flipped = tmp_path / "flipped.tape"
    dice = random.Random(2)
    for _ in range(40):
        data = bytearray(whole)
        data[dice.randrange(MAGIC_BYTES, len(data))] ^= 1 << dice.randrange(8)
        flipped.write_bytes(data)
        assert_damage_is_found(flipped, all_lines)


def test_a_hole_costs_only_its_blocks(whole, tape, tmp_path):
    """verify names what each connection lost; what follows the hole is still shown."""
    damaged = tmp_path / "hole.tape"
    middle = len(whole) // 2
    damaged.write_bytes(whole[:middle - 500] + bytes(1000) + whole[middle + 500:])
    shown = assert_damage_is_found(damaged, exchanges(tape))
    assert len(shown) > 40
    assert {e["connection"] for e in shown} >= {1, 4}
    said = verify(damaged, status=1)
    assert "lost" in said and "connection" in said


def test_bytes_cut_out_of_the_middle(whole, tape, tmp_path):
    damaged = tmp_path / "shorter.tape"
    middle = len(whole) // 2
    damaged.write_bytes(whole[:middle] + whole[middle + 777:])
    assert_damage_is_found(damaged, exchanges(tape))


def test_garbage_behind_a_tape(whole, tmp_path, tape):
    damaged = tmp_path / "longer.tape"
    damaged.write_bytes(whole + b"appended by a careless editor\n" * 20)
    verify(damaged, status=1)
    assert len(lines_shown(damaged)) == len(exchanges(tape))


def test_tapes_may_be_joined_with_cat(whole, tmp_path, tape):
    both = tmp_path / "both.tape"
    both.write_bytes(whole + whole)
    verify(both)
    assert stat(both)["exchanges"] == 2 * stat(tape)["exchanges"]
    assert len(connections(both)) == 8


def pcap():
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


HAR = json.dumps({"log": {"version": "1.2", "creator": {"name": "x", "version": "1"},
                          "entries": []}}).encode()
FOREIGN = {
    "har": (HAR, ["HAR"]),
    "pcap": (pcap(), ["pcap"]),
    "pcapng": (bytes.fromhex("0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000"),
               ["pcap"]),
    "gzip": (gzip.compress(b"some text" * 100), ["gzip"]),
    "text": (b"GET / HTTP/1.1\r\nHost: t\r\n\r\n", ["not a tape"]),
    "empty": (b"", ["empty"]),
    "one byte": (b"x", ["not a tape"]),
    "noise": (random.Random(9).randbytes(100_000), ["not a tape"]),
}


@pytest.mark.parametrize("command", ["show", "stat", "verify", "replay"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_that_is_not_a_tape(tmp_path, command, kind):
    data, parts = FOREIGN[kind]
    path = tmp_path / "foreign"
    path.write_bytes(data)
    more = ["--target", "127.0.0.1:9"] if command == "replay" else []
    said = wiretape(command, path, *more)
    assert said.status == 3 and said.stdout == "", said
    assert str(path) in said.stderr and len(said.stderr.splitlines()) == 1
    for part in parts:
        assert part in said.stderr, said
    assert path.read_bytes() == data


@pytest.mark.parametrize("command", ["show", "stat", "verify"])
def test_a_folder_is_not_a_tape(tmp_path, command):
    said = wiretape(command, tmp_path)
    assert said.status == 3 and "director" in said.stderr


def test_an_unreadable_tape(whole, tape, tmp_path, root):
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o111)
    for command in ("show", "stat", "verify"):
        done = finish("setpriv", "--reuid=65534", "--clear-groups", WIRETAPE, command, tape)
        assert done.returncode == 3 and b"ermission" in done.stderr, done


def test_a_tape_from_stdin(whole, tape):
    text = run(WIRETAPE, "show", "-", "--json", input=whole)
    assert text == run(WIRETAPE, "show", tape, "--json")
    assert json.loads(run(WIRETAPE, "stat", "-", "--json", input=whole)) == stat(tape)
    run(WIRETAPE, "verify", "-", input=whole)
    run(WIRETAPE, "verify", "-", input=whole[:len(whole) // 2], status=1)


def test_a_tape_without_connections_is_whole(record, tape):
    with SocketServer(echo) as server:
        record(server.address).stop()
    verify(tape)
    assert stat(tape)["complete"] and connections(tape) == [] and exchanges(tape) == []


@pytest.mark.parametrize("speed", ["1", "max"])
def test_a_part_without_its_header_is_replayed(whole, tmp_path, speed):
    """Its connections have the same ids as those of the part before, and are others."""
    both = tmp_path / "both.tape"
    second = bytearray(whole)
    second[MAGIC_BYTES + 60] ^= 1  # the header's block
    both.write_bytes(whole + second)
    with SocketServer(http_handler(lambda path: path.encode() + BODY)) as server:
        outcome = replay(both, server.address, "--speed", speed, "--timeout", "5s")
    report = outcome.report
    assert report["connections"] == stat(both)["connections"] >= 4
    assert report["requests_sent"] == report["requests_scheduled"] == report["same"], report
    assert report["requests_sent"] > 160, report
