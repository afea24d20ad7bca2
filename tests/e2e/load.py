"""A client that notes when it was answered, to hold against what is on a tape after a crash."""
import threading
import time

from sockets import connect, request


class Heartbeat:
    """Notes the longest time this machine kept a sleeping thread from running.

    A crash test allows that much more: on a loaded machine a client learns of an answer late.
    """

    def __init__(self):
        self.longest_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self):
        last = time.monotonic()
        while not self._stop.wait(0.005):
            now = time.monotonic()
            self.longest_s = max(self.longest_s, now - last)
            last = now

    def stop(self):
        self._stop.set()
        self._thread.join()
        return self.longest_s


class Load:
    """Threads that send GET /<name>/<n> on a connection each, until it breaks or stop()."""

    def __init__(self, address, threads=3, pause_s=0.001, tolerate_errors=True):
        self.answered = []  # (path, monotonic time), appended by all threads
        self.failures = []
        self._address = address
        self._pause_s = pause_s
        self._tolerate_errors = tolerate_errors
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(f"/t{i}",), daemon=True)
                         for i in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self, name):
        number = 0
        try:
            with connect(self._address) as s:
                while not self._stop.wait(self._pause_s):
                    number += 1
                    path = f"{name}/{number}"
                    request(s, path)
                    self.answered.append((path, time.monotonic()))
        except (OSError, AssertionError) as failure:
            if not self._tolerate_errors:
                self.failures.append(failure)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        assert not self.failures, self.failures
        return self.answered
