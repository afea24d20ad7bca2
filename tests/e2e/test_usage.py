"""A wrong command line gets exit 2, one clear line on stderr, and leaves nothing behind."""
import os
import stat as file_mode

import pytest

from processes import finish
from sockets import SocketServer, echo
from wiretape import WIRETAPE, wiretape

SUBCOMMANDS = ("record", "replay", "show", "stat", "verify")
RECORD = ("record", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:9")


def assert_refused(said, status, *parts):
    """The exit status, one line that starts with the program's name, and nothing on stdout."""
    assert said.status == status, said
    assert said.stdout == "", said
    first = said.stderr.splitlines()[0]
    assert first.startswith("wiretape: "), said
    for part in parts:
        assert part in said.stderr, said
    assert len(said.stderr.splitlines()) <= 2  # the line, and the way to --help


@pytest.mark.parametrize("words, parts", [
    (["recrod"], ["recrod", "did you mean", "record"]),
    (["shwo", "x.tape"], ["did you mean", "show"]),
    ([*RECORD, "-o", "t.tape", "--lisen", "127.0.0.1:1"], ["--lisen", "did you mean", "--listen"]),
    ([*RECORD, "-o", "t.tape", "--frobnicate"], ["--frobnicate"]),
    (["replay", "t.tape", "--target", "127.0.0.1:9", "--sped", "2"],
     ["--sped", "did you mean", "--speed"]),
    (["record", "--upstream", "127.0.0.1:9", "-o", "t.tape"], ["--listen"]),
    (["record", "--listen", "127.0.0.1:0", "-o", "t.tape"], ["--upstream"]),
    ([*RECORD], ["-o"]),
    (["replay", "t.tape"], ["--target"]),
    (["replay"], ["TAPE"]),
    ([*RECORD, "--listen", "127.0.0.1:0", "-o", "t.tape"], ["--upstream"]),
    (["record", "--listen", "nonsense", "--upstream", "127.0.0.1:9", "-o", "t.tape"], ["nonsense"]),
    (["record", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:99999", "-o", "t.tape"],
     ["99999"]),
    (["record", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:0", "-o", "t.tape"], [":0"]),
    ([*RECORD, "-o", "t.tape", "--drain", "soon"], ["--drain", "soon"]),
    ([*RECORD, "-o", "t.tape", "--threads", "0"], ["--threads", "0"]),
    ([*RECORD, "-o", "t.tape", "--threads", "many"], ["--threads", "many"]),
    ([*RECORD, "-o", "t.tape", "--overload", "panic"], ["--overload", "panic", "wait"]),
    ([*RECORD, "-o", "t.tape", "--compress", "99"], ["--compress", "99"]),
    ([*RECORD, "-o", "t.tape", "--connections-max", "-1"], ["--connections-max"]),
    ([*RECORD, "-o", "t.tape", "--threads"], ["--threads"]),
    (["replay", "t.tape", "--target", "127.0.0.1:9", "--speed", "fast"], ["--speed", "fast"]),
    (["replay", "t.tape", "--target", "127.0.0.1:9", "--speed", "0"], ["--speed", "0"]),
    (["stat", "t.tape", "u.tape"], ["u.tape"]),
], ids=lambda value: " ".join(value)[:60])
def test_a_wrong_command_line(tmp_path, words, parts):
    assert_refused(wiretape(*words, cwd=tmp_path), 2, *parts)
    assert os.listdir(tmp_path) == []


NOT_BUILT = [(command, flag) for command, flags in (
    ([*RECORD, "-o", "t.tape"], (
        "--pcap x.pcap", "--filter x", "--redact default", "--fsync 1s", "--rotate 1G", "--append",
        "--tls-intercept", "--keylog k", "--tls-cert c", "--tls-key k", "--socks5",
        "--http-proxy", "--transparent redirect")),
    (["replay", "t.tape", "--target", "127.0.0.1:9"], (
        "--clones 3", "--html x", "--junit x", "--rewrite x")),
) for flag in flags]


@pytest.mark.parametrize("command, flag", NOT_BUILT,
                         ids=lambda value: value if isinstance(value, str) else value[0])
def test_what_is_not_built_yet_is_said_so(tmp_path, command, flag):
    name = flag.split()[0]
    said = wiretape(*command, *flag.split(), cwd=tmp_path)
    assert_refused(said, 2, name, "not in this version")
    assert os.listdir(tmp_path) == []
    assert name not in wiretape(command[0], "--help").stdout


@pytest.mark.parametrize("name", ["export", "import", "capture", "serve"])
def test_subcommands_that_are_not_built_yet(tmp_path, name):
    said = wiretape(name, "x.tape", cwd=tmp_path)
    assert_refused(said, 2, name, "not in this version")


def test_help_and_version_go_to_stdout():
    assert wiretape("--version").stdout.startswith("wiretape ")
    overview = wiretape("--help")
    assert overview.status == 0 and overview.stderr == ""
    for name in SUBCOMMANDS:
        assert name in overview.stdout
        said = wiretape(name, "--help")
        assert said.status == 0 and said.stderr == ""
        assert said.stdout.count(f"wiretape {name} ") >= 3  # usage and two examples


def test_no_subcommand_is_a_usage_error():
    said = wiretape()
    assert said.status == 2 and "record" in said.stderr + said.stdout


def test_no_color_in_pipes(tmp_path):
    for words in (["--help"], ["record", "--help"], ["show", "nothing.tape"]):
        said = wiretape(*words, cwd=tmp_path)
        assert "\x1b" not in said.stdout + said.stderr


def test_an_existing_tape_is_kept_without_f(record, tape):
    tape.write_text("precious")
    said = wiretape(*RECORD, "-o", tape)
    assert_refused(said, 2, str(tape), "-f")
    assert tape.read_text() == "precious"
    with SocketServer(echo) as server:
        record(server.address, "-f").stop()
    assert tape.stat().st_size > 24 and not tape.read_bytes().startswith(b"precious")


def test_a_port_in_use(tape):
    with SocketServer(echo) as server:
        said = wiretape("record", "--listen", server.address, "--upstream", "127.0.0.1:9", "-o",
                        tape)
    assert_refused(said, 3, server.address, "in use")
    assert not tape.exists()  # nothing half-written


def test_a_port_in_use_leaves_an_existing_tape_alone(tape):
    tape.write_text("precious")
    with SocketServer(echo) as server:
        said = wiretape("record", "--listen", server.address, "--upstream", "127.0.0.1:9", "-f",
                        "-o", tape)
    assert said.status == 3 and tape.read_text() == "precious"


def test_an_address_that_is_not_ours(tape):
    said = wiretape("record", "--listen", "198.51.100.1:0", "--upstream", "127.0.0.1:9", "-o",
                    tape)
    assert_refused(said, 3, "198.51.100.1")
    assert not tape.exists()


@pytest.mark.parametrize("where", ["no/such/folder/t.tape", "."])
def test_an_output_that_cannot_be_made(tmp_path, where):
    said = wiretape(*RECORD, "-o", where, cwd=tmp_path)
    assert said.status in (2, 3) and where in said.stderr
    assert os.listdir(tmp_path) == []


def test_an_unwritable_folder(tmp_path, root):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    done = finish("setpriv", "--reuid=65534", "--clear-groups", WIRETAPE, *RECORD, "-o",
                  "closed/t.tape", cwd=tmp_path)
    assert done.returncode == 3 and b"closed/t.tape" in done.stderr, done.stderr


def test_tapes_are_for_their_owner_only(record, tape):
    with SocketServer(echo) as server:
        recording = record(server.address, umask=0)
        assert file_mode.S_IMODE(tape.stat().st_mode) == 0o600
        recording.stop()
    assert file_mode.S_IMODE(tape.stat().st_mode) == 0o600


@pytest.mark.parametrize("command", ["show", "stat", "verify", "replay"])
def test_a_tape_that_is_not_there(tmp_path, command):
    more = ["--target", "127.0.0.1:9"] if command == "replay" else []
    assert_refused(wiretape(command, "gone.tape", *more, cwd=tmp_path), 3, "gone.tape")


def test_quiet_says_less(tape):
    with SocketServer(echo) as server:
        loud = wiretape("record", "--listen", "127.0.0.1:0", "--upstream", server.address, "-o",
                        tape, "--", "true")
        quiet = wiretape("record", "--listen", "127.0.0.1:0", "--upstream", server.address, "-f",
                         "-q", "-o", tape, "--", "true")
    assert loud.status == quiet.status == 0
    assert len(quiet.stderr) < len(loud.stderr)
