"""The documents are true: what they link to and name is there, and so is every flag.

A flag counts as there when `wiretape SUBCOMMAND --help` names it. The program is the one in the
environment variable WIRETAPE.
"""
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WIRETAPE = os.environ.get("WIRETAPE", ROOT / "build/release/wiretape")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tests/**/*.md")])

LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
FILE = re.compile(
    r"`((?:base|proto|recorder|proxy|replayer|cli|docs|scripts|docker|tests|cmake)/[\w./-]+)`")
COMMAND = re.compile(r"\bwiretape (record|replay|show|stat|verify)\b([^`\n]*)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def missing_links(page, text):
    return [link for link in LINK.findall(text)
            if "://" not in link and not (page.parent / link).exists()]


def missing_files(root, text):
    """`proto/http1` stands for its header and source."""
    return [name for name in FILE.findall(text)
            if not (root / name).exists() and not list(root.glob(name + ".*"))]


def unknown_flags(text, flags_of):
    """Flags in examples of a subcommand that its help does not have."""
    return [(subcommand, flag) for subcommand, rest in COMMAND.findall(text)
            for flag in FLAG.findall(rest.split(" -- ")[0]) if flag not in flags_of(subcommand)]


def flags_of(subcommand):
    run = subprocess.run([WIRETAPE, subcommand, "--help"], capture_output=True, text=True,
                         timeout=10, check=True)
    return set(FLAG.findall(run.stdout))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_is_there(page):
    text = page.read_text()
    assert missing_links(page, text) == []
    assert missing_files(ROOT, text) == []
    assert unknown_flags(text, flags_of) == []


def test_what_is_not_there_is_found(tmp_path):
    text = "[a](b.md) [c](https://d) `proto/no_such`\nwiretape stat --json --nonsense t.tape\n"
    assert missing_links(tmp_path / "page.md", text) == ["b.md"]
    assert missing_files(tmp_path, text) == ["proto/no_such"]
    assert unknown_flags(text, lambda _: {"--json"}) == [("stat", "--nonsense")]
