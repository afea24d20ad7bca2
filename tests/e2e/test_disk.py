"""A disk that is full, or that hangs, is said at once, and traffic goes on.

Full: a small tmpfs. Hanging: the tape goes into a pipe whose reader is stopped.
"""
import contextlib
import os
import random
import signal
import subprocess
import time

import pytest

from conftest import ALL
from load import Load
from processes import Process, run, wait_until
from servers import MIB, random_file
from sockets import SocketServer, connect, http_handler, request
from wiretape import WIRETAPE, Recording, connections, exchanges, stat, verify, wiretape

FILLINGS = 20 if ALL else 3
BULK = 192 * MIB  # well over the recorder's queue


@contextlib.contextmanager
def mounted(folder, size):
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "wiretape-test", folder)
    try:
        yield folder
    finally:
        run("umount", "-l", folder)


def fill(folder):
    """Takes every byte that is left there; gives the file that holds them."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as out:
        while True:
            out.write(b"f" * 4096)
    return filler


def answer(path):
    """4 KB that nothing can compress, the same for the same path."""
    return random.Random(path).randbytes(4096)


@pytest.mark.parametrize("seed", range(FILLINGS))
def test_a_full_disk_costs_only_what_did_not_fit(record, tmp_path, root, seed):
    moment = random.Random(seed).uniform(0.1, 1.0)
    with mounted(tmp_path / "disk", "64m") as disk, \
            SocketServer(http_handler(answer)) as server:
        tape = disk / "session.tape"
        recording = record(server.address, tape=tape)
        load = Load(recording.address, tolerate_errors=False)
        wait_until(lambda: load.answered, "the first answer")
        time.sleep(moment)
        safe = len(load.answered)
        time.sleep(0.4)
        filler = fill(disk)
        recording.wait_for_line(r"No space left|disk is full")  # at once, while it happens
        before = len(load.answered)
        wait_until(lambda: len(load.answered) > before + 30, "traffic to go on")
        filler.unlink()
        time.sleep(1.5)  # it tries again each second
        with connect(recording.address) as s:
            request(s, "/after")
        answered = load.stop()
        ended = recording.stop(status=1)
        taped = {e["url"].removeprefix("http://test") for e in exchanges(tape)}
        totals = stat(tape)
        said = verify(tape, status=1)
        check_gaps_are_exact(tape, totals, answered + [("/after", 0)])
    assert {path for path, _ in answered[:safe]} <= taped
    assert "/after" in taped
    assert not totals["complete"] and totals["bytes_not_recorded"] > 0
    assert "not recorded" in ended.stderr
    assert "server_to_client" in said or "bytes" in said


def check_gaps_are_exact(tape, totals, answered):
    """What is there and what is said to be missing are together what passed."""
    body = sum(len(answer(path)) for path, _ in answered)
    assert totals["connections"] == 4
    assert totals["bytes_server_to_client"] == sum(
        c["bytes_server_to_client"] for c in connections(tape))
    assert totals["bytes_server_to_client"] > body
    # Heads are the rest: less than 100 bytes each.
    assert totals["bytes_server_to_client"] < body + 100 * (len(answered) + 3)


def test_a_disk_that_is_full_from_the_start(tmp_path, root, nginx):
    """No header fits: it says so and does not start."""
    with mounted(tmp_path / "disk", "64k") as disk:
        fill(disk)
        said = wiretape("record", "--listen", "127.0.0.1:0", "--upstream", nginx().address, "-o",
                        disk / "session.tape", "--", "true")
        assert said.status == 3 and "session.tape" in said.stderr, said


def test_lost_bytes_and_a_command_give_125(tmp_path, root, nginx):
    server = nginx()
    random_file(server.files / "big", 8 * MIB)
    with mounted(tmp_path / "disk", "2m") as disk:
        done = subprocess.run(
            [str(w) for w in (WIRETAPE, "record", "--listen", "127.0.0.1:0", "--upstream",
                              server.address, "-o", disk / "t.tape", "--", "sh", "-c",
                              "curl -sf -o /dev/null $WIRETAPE_URL/big")],
            capture_output=True, timeout=60, check=False)
        assert done.returncode == 125, done.stderr
        assert stat(disk / "t.tape")["bytes_not_recorded"] > 5 * MIB


def test_on_record_error_stop_ends_the_recording(record, tmp_path, root):
    with mounted(tmp_path / "disk", "4m") as disk, SocketServer(http_handler(answer)) as server:
        recording = record(server.address, "--on-record-error", "stop", tape=disk / "t.tape")
        load = Load(recording.address)
        wait_until(lambda: load.answered, "the first answer")
        fill(disk)
        assert recording.wait(30) == 1
        load.stop()


class Piped:
    """A recording to stdout whose reader, `cat` into a file, can be stopped."""

    def __init__(self, upstream, folder, *options):
        self.tape = folder / "piped.tape"
        from_pipe, to_pipe = os.pipe()
        with open(self.tape, "wb") as out:
            self.cat = Process("cat", stdin=from_pipe, stdout=out)
        self.recording = Recording(upstream, *options, tape="-", stdout=to_pipe)
        os.close(from_pipe)
        os.close(to_pipe)

    def stop_reader(self):
        self.cat.send_signal(signal.SIGSTOP)

    def continue_reader(self):
        self.cat.send_signal(signal.SIGCONT)

    def stop(self, status):
        ended = self.recording.stop(status=status)
        assert self.cat.wait(30) == 0
        return ended


@pytest.fixture
def bulk_server(nginx):
    server = nginx()
    random_file(server.files / "bulk", BULK)
    return server


def start_download(piped, into):
    return Process("curl", "-sf", "-o", into, f"{piped.recording.url}/bulk")


def wait_until_still(path):
    """Waits until a file has grown and then stayed as it is for a second."""
    def still():
        size = path.exists() and path.stat().st_size
        time.sleep(1)
        return size and path.stat().st_size == size
    wait_until(still, f"{path} to stand still", 30)


def test_wait_pauses_traffic_while_the_disk_hangs(bulk_server, tmp_path):
    """TCP's own backpressure holds the peers; nothing is lost, and the stall is on the tape."""
    piped = Piped(bulk_server.address, tmp_path, "--overload", "wait")
    piped.stop_reader()
    curl = start_download(piped, tmp_path / "got")
    wait_until_still(tmp_path / "got")
    assert curl.running and (tmp_path / "got").stat().st_size < BULK
    piped.continue_reader()
    assert curl.wait(60) == 0
    ended = piped.stop(status=0)
    run("cmp", tmp_path / "got", bulk_server.files / "bulk")
    verify(piped.tape)
    totals = stat(piped.tape)
    assert totals["complete"] and totals["bytes_server_to_client"] > BULK
    assert totals["stalls"] >= 1 and totals["stalled_ns"] > 5e8
    assert "stall" in ended.stderr or "paused" in ended.stderr


def test_skip_lets_traffic_go_on_and_counts_what_is_missing(bulk_server, tmp_path):
    piped = Piped(bulk_server.address, tmp_path, "--overload", "skip")
    piped.stop_reader()
    curl = start_download(piped, tmp_path / "got")
    assert curl.wait(60) == 0  # with nobody reading the tape
    piped.continue_reader()
    ended = piped.stop(status=1)
    run("cmp", tmp_path / "got", bulk_server.files / "bulk")
    totals = stat(piped.tape)
    assert 0 < totals["bytes_not_recorded"] < BULK
    assert not totals["complete"] and totals["bytes_server_to_client"] > BULK
    assert str(totals["bytes_not_recorded"]) in ended.stderr.replace(",", "")
    verify(piped.tape, status=1)


@pytest.mark.long
def test_a_disk_that_hangs_for_over_10_s_turns_wait_into_skip(bulk_server, tmp_path):
    piped = Piped(bulk_server.address, tmp_path, "--overload", "wait")
    piped.stop_reader()
    curl = start_download(piped, tmp_path / "got")
    piped.recording.wait_for_line("skip", seconds=30)
    assert curl.wait(60) == 0
    piped.continue_reader()
    piped.stop(status=1)
    totals = stat(piped.tape)
    assert totals["bytes_not_recorded"] > 0 and not totals["complete"]
