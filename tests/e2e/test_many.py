"""Thousands of idle connections cost next to nothing and do not disturb the busy ones."""
import re
from contextlib import ExitStack
from pathlib import Path

from conftest import ALL
from processes import run
from servers import MIB, random_file
from sockets import connect, request
from wiretape import stat, verify

IDLE = 9000 if ALL else 2000
BUSY = 500 if ALL else 200
BYTES_PER_PAIR_MAX = 1024


def user_space_bytes(pid):
    """The process's share of memory; sockets are the kernel's and not in it."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE).group(1)) * 1024


def warm_up(recording):
    """Touches every page of the queue and of the loop's buffers."""
    for _ in range(2):
        run("curl", "-sf", "-o", "/dev/null", f"{recording.url}/bulk")
    run("wrk", "-t1", f"-c{BUSY}", "-d2s", f"{recording.url}/hello")


def test_idle_connections(record, nginx, tape):
    server = nginx()
    random_file(server.files / "bulk", 96 * MIB)
    recording = record(server.address)
    warm_up(recording)
    before = user_space_bytes(recording.pid)
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(recording.address)) for _ in range(IDLE)]
        for s in idle:
            request(s)
        grown = user_space_bytes(recording.pid) - before
        said = run("wrk", "-t1", f"-c{BUSY}", "-d2s", f"{recording.url}/hello").decode()
        assert "Socket errors" not in said and "Non-2xx" not in said, said
        for s in idle[::100]:
            assert request(s).endswith(b"hello\n")  # still there
    recording.stop(seconds=60)
    print(f"{grown / IDLE:.0f} bytes of user space for an idle pair")
    assert grown / IDLE <= BYTES_PER_PAIR_MAX
    verify(tape)
    totals = stat(tape)
    assert totals["complete"] and totals["connections"] >= IDLE + BUSY
