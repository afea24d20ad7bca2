"""record ... -- COMMAND: starts it when ready, ends with it, and has its exit status."""
import os
import pty
import signal
import subprocess
import time

import pytest

from processes import wait_until
from sockets import SocketServer, echo
from wiretape import WIRETAPE, stat, verify, wiretape


def record_around(tape, upstream, *command, **options):
    return wiretape("record", "--listen", "127.0.0.1:0", "--upstream", upstream, "-o", tape, "--",
                    *command, **options)


@pytest.mark.parametrize("script, status", [
    ("exit 0", 0), ("exit 1", 1), ("exit 7", 7), ("exit 125", 125), ("kill -TERM $$", 128 + 15),
    ("kill -KILL $$", 128 + 9), ("kill -INT $$", 128 + 2)])
def test_exits_with_the_commands_status(tape, nginx, script, status):
    said = record_status(tape, nginx().address, "sh", "-c", script)
    assert said.returncode == status, said.stderr
    verify(tape)


def record_status(tape, upstream, *command):
    return subprocess.run([WIRETAPE, "record", "--listen", "127.0.0.1:0", "--upstream", upstream,
                           "-o", tape, "--", *command], capture_output=True, timeout=30,
                          check=False)


def test_a_command_that_is_not_there(tape, nginx):
    said = record_around(tape, nginx().address, "no-such-command-anywhere")
    assert said.status == 127
    assert "no-such-command-anywhere" in said.stderr


def test_a_command_that_cannot_be_executed(tape, nginx, tmp_path):
    script = tmp_path / "not-executable"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o644)
    said = record_around(tape, nginx().address, script)
    assert said.status == 126
    assert "not-executable" in said.stderr


def test_a_mistyped_command_leaves_an_older_tape_alone(tape, nginx):
    assert record_around(tape, nginx().address, "true").status == 0
    older = tape.read_bytes()
    said = wiretape("record", "--listen", "127.0.0.1:0", "--upstream", nginx().address, "-f",
                    "-o", tape, "--", "no-such-command-anywhere")
    assert said.status == 127
    assert tape.read_bytes() == older


def test_the_command_has_the_descriptor_limit_of_its_user(tape, nginx):
    said = subprocess.run(
        ["sh", "-c", f'ulimit -Sn 256; exec "$0" record --listen 127.0.0.1:0 --upstream '
         f'{nginx().address} -o "$1" -- sh -c "ulimit -Sn"', WIRETAPE, tape],
        capture_output=True, text=True, timeout=30, check=False)
    assert said.returncode == 0, said.stderr
    assert said.stdout.strip() == "256"


def test_usage_stays_2(tape):
    said = wiretape("record", "--no-such-flag", "-o", tape, "--", "true")
    assert said.status == 2 and not tape.exists()


def test_tells_the_command_where_to_connect(tape, nginx):
    said = record_around(tape, nginx().address, "sh", "-c",
                         'curl -sf "$WIRETAPE_URL/hello" && echo "$WIRETAPE_ADDR"')
    assert said.status == 0, said
    answer, address = said.stdout.splitlines()
    assert answer == "hello"
    assert f"recording {address} -> " in said.stderr
    assert stat(tape)["exchanges"] == 1


def test_names_further_pairs_by_number(tape, nginx):
    pairs = [w for _ in range(2)
             for w in ("--listen", "127.0.0.1:0", "--upstream", nginx().address)]
    said = wiretape("record", *pairs, "-o", tape, "--", "sh", "-c",
                    'curl -sf "$WIRETAPE_URL/item/0" "http://$WIRETAPE_ADDR_1/item/1" >&2; '
                    'echo "$WIRETAPE_ADDR $WIRETAPE_ADDR_1"')
    first, second = said.stdout.split()
    assert first != second and f"recording {second} -> " in said.stderr
    assert stat(tape)["exchanges"] == 2


def test_the_commands_words_output_and_input_are_its_own(tape, nginx):
    said = record_around(tape, nginx().address, "sh", "-c", 'cat; printf "%s|" "$@"', "sh",
                         "two words", "--listen", "-o", input=b"from stdin\n")
    assert said.status == 0
    assert said.stdout == "from stdin\ntwo words|--listen|-o|"


def test_a_background_child_does_not_keep_us(tape, nginx):
    said = record_around(tape, nginx().address, "sh", "-c",
                         "sleep 5 >/dev/null 2>&1 </dev/null & exit 3", seconds=4)
    assert said.status == 3


def test_bytes_of_the_command_are_all_recorded(tape, redis):
    server = redis()
    said = record_around(tape, server.address, "sh", "-c",
                         'redis-cli -p ${WIRETAPE_ADDR##*:} SET answer 42')
    assert said.status == 0 and said.stdout == "OK\n"
    assert server.cli("GET", "answer") == b"42\n"
    assert stat(tape)["complete"]


@pytest.fixture
def terminal():
    """(ours, theirs): a pseudo-terminal whose line discipline turns Ctrl-C into SIGINT."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


def run_on_terminal(terminal, *command):
    """Starts a program whose controlling terminal is `terminal`."""
    ours, theirs = terminal
    child = subprocess.Popen(["setsid", "--ctty", "--wait", *map(str, command)], stdin=theirs,
                             stdout=theirs, stderr=theirs)
    os.close(theirs)
    return ours, child


def read_until(fd, text):
    seen = b""

    def more():
        nonlocal seen
        seen += os.read(fd, 4096)
        return text in seen
    wait_until(more, text)


def test_ctrl_c_reaches_the_command_and_we_end_with_it(tape, terminal):
    with SocketServer(echo) as server:
        script = 'trap "echo had ctrl-c; exit 9" INT; echo started; while :; do sleep 0.05; done'
        ours, child = run_on_terminal(
            terminal, WIRETAPE, "record", "--listen", "127.0.0.1:0", "--upstream", server.address,
            "-o", tape, "--", "sh", "-c", script)
        read_until(ours, b"started")
        os.write(ours, b"\x03")
        read_until(ours, b"had ctrl-c")
        assert child.wait(15) == 9
    verify(tape)


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
def test_a_signal_to_us_alone_ends_the_command_too(record, tape, signals, tmp_path):
    """SIGTERM is passed on. A first SIGINT may be a Ctrl-C that the command has had as well."""
    started = tmp_path / "started"
    with SocketServer(echo) as server:
        recording = record(server.address,
                           command=["sh", "-c", f"echo $$ > {started}; exec sleep 60"])
        pid = int(wait_until(lambda: started.exists() and started.read_text(), "the command"))
        for number in signals:
            recording.send_signal(number)
            time.sleep(0.2)
        assert recording.wait() == 128 + signal.SIGTERM
        assert not os.path.exists(f"/proc/{pid}")
    verify(tape)


def test_the_ready_line_comes_before_the_command(tape, nginx):
    said = record_around(tape, nginx().address, "sh", "-c", "echo the command >&2")
    lines = said.stderr.splitlines()
    ready = next(i for i, line in enumerate(lines) if "recording 127.0.0.1:" in line)
    assert ready < lines.index("the command")
