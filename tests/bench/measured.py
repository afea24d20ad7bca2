"""Runs a program to its end and says what it cost; shared by the benchmarks of the replayer."""
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import namedtuple
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Cost = namedtuple("Cost", "status cpu_s wall_s peak_bytes stdout stderr")


def run_measured(command, seconds=300, before_end=None):
    """CPU is the kernel's final account, of all threads; the peak is looked at each 10 ms.

    (The kernel's own peak, ru_maxrss, is of no use: it begins with that of the parent.)
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun = time.monotonic()
        child = subprocess.Popen([str(word) for word in command], stdout=out, stderr=err,
                                 stdin=subprocess.DEVNULL)
        peak = 0
        while True:
            peak = peak_of(child.pid) or peak
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > begun + seconds or (before_end and before_end()):
                child.terminate()
            time.sleep(0.01)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.monotonic() - begun
        texts = [(f.seek(0), f.read().decode(errors="replace"))[1] for f in (out, err)]
    return Cost(child.returncode, usage.ru_utime + usage.ru_stime, wall_s, peak, *texts)


def peak_of(pid):
    """The most memory a running process has had."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def on_core(core):
    """Words before a command that keep it on one core."""
    return ["taskset", "-c", str(core)]


def accepts_flag(program, flag):
    """Whether `wiretape replay` knows a flag: help names what is built."""
    return flag in subprocess.run([program, "replay", "--help"], capture_output=True, text=True,
                                  check=True).stdout


def installed(program):
    return shutil.which(program) is not None


def in_turn(names, rounds):
    """(round, name) for every cell; each round begins with another entrant."""
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            yield number, name


def median_of(cells, field):
    values = [getattr(c, field) for c in cells if getattr(c, field) is not None]
    return statistics.median(values) if values else None


def ratio_of(cells, others, field):
    """The median over the rounds of one entrant's figure by another's of the same round."""
    base = {c.round: getattr(c, field) for c in others}
    ratios = [getattr(c, field) / base[c.round] for c in cells
              if getattr(c, field) is not None and base.get(c.round)]
    return statistics.median(ratios) if ratios else None


def markdown(heads, rows):
    """A table; a cell that is None stays empty."""
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    lines += ["| " + " | ".join("" if v is None else v for v in row) + " |" for row in rows]
    return "\n".join(lines)
