"""What is promised of the image: small, without powers, a PID 1 that ends when it is told to."""
import json
import os
import shutil
import signal
import stat
import subprocess

import pytest

import containers
from containers import Service

USER = 10001
grown_bytes_max = 40 << 20


@pytest.fixture
def tapes(wiretape, network):
    folder = containers.volume("tapes-of-test", wiretape, "/tapes")
    yield folder
    shutil.rmtree(folder)


def run(name, image, *arguments, **more):
    command = containers.command_of(name, image, list(arguments) or None, **more)
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def start(name, image, *arguments, **more):
    service = Service(name)
    service.start(containers.command_of(name, image, list(arguments), **more))
    return service


def shop(peers, price):
    return start("server", peers, "shop", environment={"REEL_PRICE": price})


def test_it_runs_as_a_number_and_keeps_tapes_in_a_volume(wiretape):
    assert wiretape["User"] == f"{USER}:{USER}"
    assert wiretape["Entrypoint"] == ["wiretape"]
    assert list(wiretape["Volumes"]) == ["/tapes"]
    assert wiretape["WorkingDir"] == "/tapes"


def test_no_program_in_it_changes_the_user(wiretape):
    found = containers.output_of("find", wiretape.root, "-xdev", "-type", "f", "-perm", "/6000")
    assert found == ""


def test_what_built_it_stays_behind(wiretape):
    for path in ["usr/bin/g++", "usr/bin/cmake", "usr/include/uv.h", "source", "scripts"]:
        assert not (wiretape.root / path).exists()


def test_it_is_small():
    def size(name):
        return int(containers.output_of("du", "-sxb", containers.Image(name).root).split()[0])

    assert size("localhost/wiretape") - size(os.environ["BASE"]) < grown_bytes_max


def test_help_and_version_are_printed(wiretape, network):
    assert run("wiretape", wiretape).stdout.startswith("usage: wiretape COMMAND")
    version = run("wiretape", wiretape, "--version")
    assert version.returncode == 0 and version.stdout.startswith("wiretape ")


def test_inside_it_has_no_powers_and_nothing_to_write_to_but_tapes(wiretape, tapes):
    inside = run("wiretape", wiretape, entrypoint=["sh", "-c", """
        id; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status; touch /usr/x || touch ok
        """], volumes={"/tapes": tapes})
    assert f"uid={USER} gid={USER} groups={USER}" in inside.stdout
    assert inside.stdout.split()[-6:] == ["CapEff:", "0" * 16, "CapBnd:", "0" * 16,
                                          "NoNewPrivs:", "1"]
    assert "Read-only file system" in inside.stderr
    assert (tapes / "ok").exists()


def record(wiretape, peers, tapes):
    """Records the client at the server until SIGTERM: how the recorder and the client ended."""
    recorder = start("wiretape", wiretape, "record", "--listen", "0.0.0.0:8080", "--upstream",
                     "server:8080", "-o", "session.tape", volumes={"/tapes": tapes})
    shopping = run("client", peers, "client", "http://wiretape:8080")
    return recorder.stop(), recorder.log.read_text(), shopping


def test_as_pid_1_it_records_until_sigterm(wiretape, peers, tapes):
    server = shop(peers, "99.00")
    status, said, shopping = record(wiretape, peers, tapes)
    assert server.stop() == 0

    assert shopping.returncode == 0 and '"order": 1' in shopping.stdout
    assert status == 0 and "5 exchanges" in said
    tape = (tapes / "session.tape").stat()
    assert (tape.st_uid, tape.st_gid, stat.S_IMODE(tape.st_mode)) == (USER, USER, 0o600)
    stated = run("wiretape", wiretape, "stat", "session.tape", "--json", volumes={"/tapes": tapes})
    counted = json.loads(stated.stdout)
    assert counted["complete"] and counted["exchanges"] == 5


def test_as_pid_1_it_replays_until_sigterm(wiretape, peers, tapes):
    server = shop(peers, "99.00")
    record(wiretape, peers, tapes)
    replayer = start("wiretape", wiretape, "replay", "session.tape", "--target", "server:8080",
                     "--speed", "0.001", volumes={"/tapes": tapes})
    containers.wait_until(lambda: replayer.catches(signal.SIGTERM), "the run to begin")
    assert replayer.stop() == 1
    assert server.stop() == 0
    assert "stopped" in replayer.log.read_text()
