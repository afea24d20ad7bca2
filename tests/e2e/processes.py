"""Starts programs, waits for the lines they print, and ends them by their id.

Every program started here is ended when the test that started it is over, whatever happened: the
`processes` fixture in conftest.py calls end_all().
"""
import os
import re
import signal
import socket
import subprocess
import threading
import time

WAIT_S = 15  # for anything that should happen at once; only a failing test waits that long

_started = []


def wait_until(condition, what, seconds=WAIT_S):
    """Waits until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.01)


def free_port(host="127.0.0.1"):
    """A port that nobody listens on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, 0))
        return s.getsockname()[1]


def accepts(port, host="127.0.0.1"):
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection((host, port), 1).close()
        return True
    except OSError:
        return False


class Process:
    """A running program whose stderr is collected line by line."""

    def __init__(self, *command, env=None, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                 **options):
        self.command = [str(word) for word in command]
        self.lines = []
        self._changed = threading.Condition()
        self._child = subprocess.Popen(self.command, stdin=stdin, stdout=stdout,
                                       stderr=subprocess.PIPE, env={**os.environ, **(env or {})},
                                       **options)
        self.pid = self._child.pid
        self.stdout = self._child.stdout
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()
        _started.append(self)

    def _collect(self):
        for line in self._child.stderr:
            with self._changed:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self.lines.append(None)  # end of file
            self._changed.notify_all()

    @property
    def stderr(self):
        with self._changed:
            return "\n".join(line for line in self.lines if line is not None)

    def wait_for_line(self, pattern, count=1, seconds=WAIT_S):
        """The first `count` matches of `pattern`, each on a line of stderr."""
        def matches():
            found = [re.search(pattern, line) for line in self.lines if line is not None]
            return [m for m in found if m]
        with self._changed:
            self._changed.wait_for(lambda: len(matches()) >= count or None in self.lines, seconds)
            found = matches()
        assert len(found) >= count, f"no line {pattern!r} from {self.command}:\n{self.stderr}"
        return found[:count]

    @property
    def running(self):
        return self._child.poll() is None

    def send_signal(self, number):
        os.kill(self.pid, number)

    def wait(self, seconds=WAIT_S):
        """The exit status; 128+n after signal n."""
        status = self._child.wait(seconds)
        self._thread.join(seconds)
        return status if status >= 0 else 128 - status

    def end(self, number=signal.SIGTERM, seconds=WAIT_S):
        if self.running:
            self.send_signal(number)
        return self.wait(seconds)

    def _kill(self):
        if self.running:
            for number in (signal.SIGCONT, signal.SIGKILL):
                self.send_signal(number)
            self._child.wait(WAIT_S)


def run(*command, status=0, input=None, env=None, seconds=60, **options):
    """Runs a program to its end and returns its standard output; fails on another exit status."""
    done = finish(*command, input=input, env=env, seconds=seconds, **options)
    assert done.returncode == status, (
        f"{' '.join(map(str, command))} exited with {done.returncode}:\n"
        f"{done.stdout[-2000:]!r}\n{done.stderr.decode(errors='replace')[-4000:]}")
    return done.stdout


def finish(*command, input=None, env=None, seconds=60, **options):
    """Runs a program to its end, whatever its exit status is."""
    if input is None:
        options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([str(word) for word in command], input=input, capture_output=True,
                          env={**os.environ, **(env or {})}, timeout=seconds, check=False,
                          **options)


def end_all():
    """Ends what was started, the newest first."""
    while _started:
        _started.pop()._kill()
