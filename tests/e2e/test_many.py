"""Thousands of idle connections cost next to nothing and do not disturb the busy ones."""
import re
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from conftest import ALL
from processes import run
from servers import MIB, random_file
from sockets import connect, request
from wiretape import stat, verify

IDLE = 8500 if ALL else 2000
BUSY = 500 if ALL else 200
WARM = 500
BATCHES = 10
BYTES_PER_PAIR_MAX = 1024


def user_space_bytes(pid):
    """The memory it has taken; sockets are the kernel's and not in it.

    Not the pages of files: what they count for depends on who else runs the same program.
    """
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(re.search(r"^Pss_Anon:\s+(\d+) kB", rollup, re.MULTILINE).group(1)) * 1024


def warm_up(recording):
    """Lets buffers and tables grow to the size that work needs."""
    for _ in range(2):
        run("curl", "-sf", "-o", "/dev/null", f"{recording.url}/bulk")
    run("wrk", "-t1", f"-c{BUSY}", "-d2s", f"{recording.url}/hello")


def bytes_per_pair(sizes):
    """The median of the batches: a queue that ran full for a moment is not the connections'."""
    batch = IDLE // BATCHES
    grown = [(after - before) / batch for before, after in zip(sizes, sizes[1:])]
    mean = (sizes[-1] - sizes[0]) / IDLE
    print(f"user space for an idle pair: median {median(grown):.0f}, mean {mean:.0f} bytes")
    return median(grown)


def test_idle_connections(record, nginx, tape):
    server = nginx()
    random_file(server.files / "bulk", 96 * MIB)
    recording = record(server.address)
    warm_up(recording)
    with ExitStack() as stack:
        def open_idle(count):
            """Connections that did one request and stay open."""
            opened = [stack.enter_context(connect(recording.address)) for _ in range(count)]
            for s in opened:
                request(s)
            time.sleep(0.2)  # the recorder is behind by a block
            return opened
        idle = open_idle(WARM)
        sizes = [user_space_bytes(recording.pid)]
        for _ in range(BATCHES):
            idle += open_idle(IDLE // BATCHES)
            sizes.append(user_space_bytes(recording.pid))
        said = run("wrk", "-t1", f"-c{BUSY}", "-d2s", f"{recording.url}/hello").decode()
        assert "Socket errors" not in said and "Non-2xx" not in said, said
        for s in idle[::100]:
            assert request(s).endswith(b"hello\n")  # still there
    recording.stop(seconds=60)
    assert bytes_per_pair(sizes) <= BYTES_PER_PAIR_MAX
    verify(tape)
    totals = stat(tape)
    assert totals["complete"] and totals["connections"] >= WARM + IDLE + BUSY
