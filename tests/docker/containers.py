"""Runs containers of images that buildah built, as Docker would, without its daemon.

    buildah mount --> root --> ip netns exec, unshare --> chroot, setpriv --> PID 1

Each has namespaces of its own (mounts, processes, network, names), the image's user, working
directory, environment and entry point, no capabilities, and a root it cannot write to. Networks
are wired here too: a switch in a namespace of its own, so that the host's network stays as it is.
"""
import json
import os
import re
import shlex
import signal
import subprocess
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / "build/docker/compose"
NAMESPACE = f"wiretape-{zlib.crc32(str(ROOT).encode()):08x}-"
NO_POWERS = ["setpriv", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
             "--no-new-privs"]


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Image:
    """An image's configuration, and its files mounted for reading."""

    def __init__(self, name):
        inspected = json.loads(output_of("buildah", "inspect", "--type", "image", name))
        self.config = inspected["OCIv1"]["config"]
        self.root = Path(self._mounted(f"mounted-{inspected['FromImageID'][:16]}", name))

    @staticmethod
    def _mounted(container, name):
        if container not in output_of("buildah", "containers", "--format",
                                      "{{.ContainerName}}").split():
            output_of("buildah", "from", "--pull-never", "--name", container, name)
        return output_of("buildah", "mount", container)

    def __getitem__(self, key):
        return self.config.get(key)


# ---------------------------------------------------------------------------------- network

def address_of(number):
    return f"10.77.0.{number + 1}"


def wire(names):
    """A network namespace for each name, on one switch; and a hosts file that knows them all."""
    unwire()
    switch = NAMESPACE + "switch"
    output_of("ip", "netns", "add", switch)
    output_of("ip", "-n", switch, "link", "add", "br0", "type", "bridge")
    output_of("ip", "-n", switch, "link", "set", "br0", "up")
    for number, name in enumerate(names):
        space, port = NAMESPACE + name, f"port{number}"
        output_of("ip", "netns", "add", space)
        output_of("ip", "-n", switch, "link", "add", port, "type", "veth",
                  "peer", "name", "eth0", "netns", space)
        output_of("ip", "-n", switch, "link", "set", port, "master", "br0", "up")
        output_of("ip", "-n", space, "address", "add", f"{address_of(number)}/24", "dev", "eth0")
        output_of("ip", "-n", space, "link", "set", "eth0", "up")
        output_of("ip", "-n", space, "link", "set", "lo", "up")
    STATE.mkdir(parents=True, exist_ok=True)
    lines = [f"{address_of(number)} {name}\n" for number, name in enumerate(names)]
    (STATE / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n" + "".join(lines))


def unwire():
    for line in output_of("ip", "netns", "list").splitlines():
        name = line.split()[0]
        if name.startswith(NAMESPACE):
            output_of("ip", "netns", "delete", name)


# ---------------------------------------------------------------------------------- containers

def volume(name, image, path):
    """A named volume. A new one gets owner and mode from the image, as with Docker."""
    folder = STATE / "volumes" / name
    if not folder.exists():
        folder.mkdir(parents=True)
        seed = (image.root / path.lstrip("/")).stat()
        folder.chmod(seed.st_mode & 0o7777)
        os.chown(folder, seed.st_uid, seed.st_gid)
    return folder


def command_of(name, image, arguments=None, entrypoint=None, environment=None, volumes=None):
    """The command line, outside, of a container's PID 1. volumes: path inside -> folder."""
    user, group = image["User"].split(":")
    begin = image["Entrypoint"] or [] if entrypoint is None else entrypoint
    inside = begin + (image["Cmd"] or [] if arguments is None else arguments)
    variables = image["Env"] + [f"{key}={value}" for key, value in (environment or {}).items()]
    root = str(image.root)
    (image.root / "etc/hosts").touch()
    steps = [["hostname", name],
             ["mount", "--bind", root, root],
             ["mount", "--rbind", "/dev", root + "/dev"],
             ["mount", "-t", "proc", "proc", root + "/proc"],
             ["mount", "-t", "tmpfs", "tmpfs", root + "/tmp"],
             ["mount", "--bind", str(STATE / "hosts"), root + "/etc/hosts"],
             *(["mount", "--bind", str(folder), root + path]
               for path, folder in (volumes or {}).items()),
             ["mount", "-o", "remount,bind,ro", root],
             ["exec", "chroot", root, "env", "-i", "-C", image["WorkingDir"] or "/", *variables,
              *NO_POWERS, "--reuid", user, "--regid", group, *inside]]
    return ["ip", "netns", "exec", NAMESPACE + name,
            "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
            "sh", "-c", " &&\n".join(map(shlex.join, steps))]


def first_process(outer):
    """The pid, seen from outside, of the PID 1 that the process `outer` started; None if gone."""
    try:
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
    except FileNotFoundError:
        return None
    return int(children[0]) if children else None


def wait_until(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.05)


class Service:
    """A container in the background; its output and exit status are kept in files."""

    def __init__(self, name):
        self.name = name
        self.log, self.status, self.pid = (STATE / f"{name}.{kind}"
                                           for kind in ("log", "status", "pid"))

    def start(self, command):
        STATE.mkdir(parents=True, exist_ok=True)
        self.status.unlink(missing_ok=True)
        self.pid.unlink(missing_ok=True)
        keep_status = ["sh", "-c", 'echo $$ >"$1"; status=$2; shift 2; "$@"; echo $? >"$status"',
                       "sh", str(self.pid), str(self.status)]
        with self.log.open("w") as log:
            subprocess.Popen(keep_status + command, stdin=subprocess.DEVNULL, stdout=log,
                             stderr=log, start_new_session=True)
        wait_until(lambda: self.pid.exists() and self.pid.read_text(), f"{self.name} to start")

    def ended(self):
        return self.status.exists() and self.status.read_text() != ""

    def _inner(self):
        """PID 1, seen from outside; None when it has ended."""
        outer = first_process(int(self.pid.read_text()))  # `ip netns exec` became unshare
        return first_process(outer) if outer else None

    def catches(self, number):
        """Whether PID 1 has a handler for a signal. Without one it does not even notice it."""
        status = Path(f"/proc/{self._inner()}/status")
        caught = re.search(r"SigCgt:\s*(\w+)", status.read_text()) if status.exists() else None
        return bool(caught and int(caught[1], 16) >> (number - 1) & 1)

    def send(self, number):
        inner = self._inner()
        if inner:
            os.kill(inner, number)

    def stop(self, seconds=10):
        """As `docker stop` does: SIGTERM, and SIGKILL when that was not enough."""
        if not self.pid.exists():
            return None
        if not self.ended():
            self.send(signal.SIGTERM)
            try:
                wait_until(self.ended, f"{self.name} to end", seconds)
            except TimeoutError:
                self.send(signal.SIGKILL)
                wait_until(self.ended, f"{self.name} to be killed")
        return int(self.status.read_text())
