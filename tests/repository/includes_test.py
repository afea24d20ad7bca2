"""The house stands: includes go down only, and each library has one door.

docs/architecture.md draws the floors. What is checked is every #include line of the product's
folders, so a wrong one fails here on the day it is written.
"""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# A folder, and the folders whose headers it may include besides its own.
FLOORS = {
    "base": [],
    "proto": ["base"],
    "recorder": ["base", "proto"],
    "proxy": ["base", "proto", "recorder"],
    "replayer": ["base", "proto", "recorder"],
    "cli": ["base", "proto", "recorder", "proxy", "replayer"],
}

# A library, its headers, and the files that may include them.
DOORS = [
    ("libuv", r"uv\.h|uv/.*", r"base/.*"),
    ("OpenSSL", r"openssl/.*", r"base/(digest|tls\w*)\.\w+|proxy/intercept\.\w+"),
    ("xxHash", r"xxhash\.h|xxh3\.h", r"base/digest\.\w+"),
    ("protobuf", r"google/.*|.*\.pb\.h", r"proto/.*"),
    ("zstd", r"zstd\w*\.h", r"proto/.*"),
    ("llhttp", r"llhttp.*", r"proto/http1\.\w+"),
    ("nlohmann-json", r"nlohmann/.*", r"replayer/json_compare\.cc|tests/.*"),
    ("libpcap", r"pcap\.h|pcap/.*", r"recorder/(capture|pcap)\w*\.\w+"),
    ("librdkafka", r"librdkafka/.*", r"recorder/kafka\w*\.\w+"),
    ("CLI11", r"CLI/.*", r"cli/.*"),
    ("fmt", r"fmt/.*", r".*"),
]

# C++ headers have neither dot nor slash; these are the C library's and the kernel's.
SYSTEM = re.compile(
    r"\w+|(sys|net|netinet|arpa|linux|asm)/\w+\.h"
    r"|(dirent|errno|fcntl|fnmatch|glob|grp|limits|netdb|poll|pthread|pwd|sched|signal|spawn"
    r"|stdlib|string|termios|time|unistd|wait)\.h")

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)


def wrong_includes(root):
    """What is wrong with the #include lines under root, one line each."""
    wrong = []
    for folder in FLOORS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".cc"):
                name = path.relative_to(root).as_posix()
                for quote, header in INCLUDE.findall(path.read_text()):
                    complaint = complaint_about(root, name, quote, header)
                    if complaint:
                        wrong.append(f"{name} includes {header}: {complaint}")
    return wrong


def complaint_about(root, name, quote, header):
    for library, headers, files in DOORS:
        if re.fullmatch(headers, header):
            if not re.fullmatch(files, name):
                return f"{library} has its door elsewhere"
            return None
    if quote == "<":
        return None if SYSTEM.fullmatch(header) else "a library without a door"
    return complaint_about_own(root, name, header)


def complaint_about_own(root, name, header):
    if not (root / header).is_file():
        return 'no such file from the root ("folder/file.h")'
    here, there = name.split("/")[0], header.split("/")[0]
    if there != here and there not in FLOORS[here]:
        return f"{here} does not stand on {there}"
    return None


def test_every_include_goes_down_or_through_its_door():
    wrong = wrong_includes(ROOT)
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_floor_is_looked_at():
    for folder in FLOORS:
        assert list((ROOT / folder).glob("*.h")), f"{folder}/ has no headers"


def made_up_tree(root, files):
    for folder in FLOORS:
        (root / folder).mkdir()
        (root / folder / "some.h").write_text("#include <vector>\n")
    for name, text in files.items():
        (root / name).write_text(text)
    return root


def test_what_goes_down_or_through_a_door_is_right(tmp_path):
    tree = made_up_tree(tmp_path, {
        "base/loop.h": "#include <uv.h>\n#include <sys/socket.h>\n",
        "base/digest.cc": '#include <openssl/evp.h>\n#include <xxhash.h>\n#include "base/loop.h"\n',
        "proto/tape.cc": '#include <zstd.h>\n#include "proto/tape.pb.h"\n#include "base/loop.h"\n',
        "proto/http1.cc": "#include <llhttp.h>\n",
        "replayer/report.cc": '#include "recorder/some.h"\n',
        "cli/main.cc": '#include <CLI/CLI.hpp>\n#include "proxy/some.h"\n',
    })
    assert wrong_includes(tree) == []


def test_every_wrong_include_is_found(tmp_path):
    wrong = {
        "base/a.h": '#include "proto/some.h"',
        "proto/a.h": '#  include "recorder/some.h"',
        "recorder/a.h": '#include "proxy/some.h"',
        "proxy/a.h": '#include "replayer/some.h"',
        "replayer/a.h": '#include "proxy/some.h"',
        "replayer/b.h": '#include "cli/some.h"',
        "cli/a.h": '#include "some.h"',
        "recorder/uv.cc": "#include <uv.h>",
        "base/tape.cc": '#include "proto/tape.pb.h"',
        "base/stream.cc": "#include <openssl/ssl.h>",
        "proto/hash.cc": "#include <xxhash.h>",
        "recorder/zip.cc": "#include <zstd.h>",
        "proto/exchange.cc": "#include <llhttp.h>",
        "recorder/json.cc": "#include <nlohmann/json.hpp>",
        "replayer/compare.cc": "#include <nlohmann/json.hpp>",
        "proxy/options.cc": "#include <CLI/CLI.hpp>",
        "proxy/pcap.cc": "#include <pcap/pcap.h>",
        "cli/new.cc": "#include <boost/asio.hpp>",
    }
    found = wrong_includes(made_up_tree(tmp_path, {k: v + "\n" for k, v in wrong.items()}))
    assert sorted(line.split(" includes ")[0] for line in found) == sorted(wrong)
