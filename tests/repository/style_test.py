"""The style that a machine can hold: lengths, opening comments, words and paths that do not belong.

A rule is a function from a file's name and text to complaints. The limits are ratchets: they may be
made smaller, never larger.
"""
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("base/", "proto/", "recorder/", "proxy/", "replayer/", "cli/")

columns_max = 100
file_lines_max = 500
function_lines_max = 70


def is_cpp(name):
    return name.endswith((".h", ".cc"))


def is_product(name):
    return is_cpp(name) and name.startswith(PRODUCT)


def long_lines(name, text):
    if not (is_cpp(name) or name.endswith((".py", ".cmake"))):
        return []
    return [f"{name}:{n}: over {columns_max} columns"
            for n, line in enumerate(text.splitlines(), 1) if len(line) > columns_max]


def long_files(name, text):
    lines = len(text.splitlines())
    if not is_product(name) or lines <= file_lines_max:
        return []
    return [f"{name}: {lines} lines; {file_lines_max} are enough for one idea"]


# clang-format puts a function's last brace alone, below the beginning of its first line.
BEGIN = re.compile(r"^( {0,2})[^\s#}/].*\{$")
NOT_A_FUNCTION = re.compile(r"^\s*(template.*>\s*)?(namespace|class|struct|enum|union|extern)\b")


def long_functions(name, text):
    if not is_product(name):
        return []
    complaints, lines = [], text.splitlines()
    for begin, line in enumerate(lines):
        found = BEGIN.match(line)
        if found and not NOT_A_FUNCTION.match(line):
            length = body_length(lines[begin:], found[1] + "}")
            if length > function_lines_max:
                complaints.append(f"{name}:{begin + 1}: a function of {length} lines")
    return complaints


def body_length(lines, end):
    return next((n for n, line in enumerate(lines, 1) if n > 1 and line.startswith(end)), 0)


def missing_opening_comment(name, text):
    if not is_product(name) or text.startswith("// "):
        return []
    return [f"{name}: does not open with a comment that says why it exists"]


def missing_pragma_once(name, text):
    if not name.endswith(".h") or "\n#pragma once\n" in text:
        return []
    return [f"{name}: no #pragma once"]


FOREIGN = re.compile(
    r"(?<![\w.:])/(?:work|root|home)(?![\w-])|\.\./shared\b"
    r"|\b(?:TO" r"DO|FIX" r"ME)\b|\bissue #?\d")


def foreign_words(name, text):
    return [f"{name}:{n}: '{found[0]}' does not belong here"
            for n, line in enumerate(text.splitlines(), 1) if (found := FOREIGN.search(line))]


RULES = [long_lines, long_files, long_functions, missing_opening_comment, missing_pragma_once,
         foreign_words]


def tracked_files():
    """Names and texts of the text files that git knows."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        path = ROOT / name
        data = path.read_bytes() if path.is_file() else b"\0"
        if b"\0" not in data:
            yield name, data.decode(errors="replace")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_file_breaks_the_rule(rule):
    complaints = [c for name, text in tracked_files() for c in rule(name, text)]
    assert not complaints, "\n" + "\n".join(complaints)


FINE = "// Why it exists.\n#pragma once\n\nvoid f();  // /proc/self/root, GET /homework\n"


@pytest.mark.parametrize("rule, name, text", [
    (long_lines, "tests/a.cc", "x" * 101),
    (long_files, "base/a.cc", "// \n" * 501),
    (long_functions, "base/a.cc", "int f() {\n" + "  x();\n" * 70 + "}\n"),
    (long_functions, "base/a.h", "class A {\n  int f() {\n" + "    x();\n" * 70 + "  }\n};\n"),
    (missing_opening_comment, "cli/a.cc", "#include <vector>\n"),
    (missing_pragma_once, "cli/a.h", "// Why.\n#ifndef A_H\n"),
    (foreign_words, "README.md", "see /" "work/main"),
    (foreign_words, "docs/a.md", "as issue" " 12 says"),
    (foreign_words, "base/a.cc", "// TO" "DO: more"),
])
def test_a_made_up_file_breaks_the_rule(rule, name, text):
    assert len(rule(name, text)) == 1
    assert rule("base/fine.h", FINE) == []


def scripts():
    """What a user runs: every file in scripts, and every program in docker."""
    return sorted(p for folder in ("scripts", "docker") for p in (ROOT / folder).iterdir()
                  if p.is_file() and (folder == "scripts" or p.stat().st_mode & 0o111))


@pytest.mark.parametrize("script", scripts(),
                         ids=lambda script: script.relative_to(ROOT).as_posix())
def test_a_script_is_executable_and_helpful(script):
    run = subprocess.run([script, "--help"], capture_output=True, text=True, timeout=10)
    assert run.returncode == 0 and run.stderr == ""
    assert run.stdout.startswith(f"Usage: {script.relative_to(ROOT)}") and "Example" in run.stdout
    wrong = subprocess.run([script, "--no-such-flag"], capture_output=True, text=True, timeout=10)
    assert wrong.returncode == 2 and "--help" in wrong.stderr


def test_continuous_integration_runs_the_same_tests():
    runner = ROOT / ".ci" / "run"
    assert runner.stat().st_mode & 0o111
    assert "scripts/test" in runner.read_text()
