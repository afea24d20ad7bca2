#!/usr/bin/python3
"""The few commands of `docker compose` that docker/demo uses, on buildah and namespaces.

It reads the same docker/compose.yaml, so that file and script are really run where there is no
Docker. What it does not know it refuses: nothing in the file is passed over in silence.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys

import yaml

import containers
from containers import Image, Service

FOLDER = containers.ROOT / "docker"
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
SAME_FOR_ALL = {"read_only": True, "tmpfs": ["/tmp"], "cap_drop": ["ALL"],
                "security_opt": ["no-new-privileges:true"]}  # containers.py always does these
KNOWN = {"image", "build", "command", "environment", "healthcheck", "volumes", "depends_on",
         "stop_grace_period", "profiles", *SAME_FOR_ALL}


def read_file():
    text = (FOLDER / "compose.yaml").read_text()
    filled = VARIABLE.sub(lambda found: os.environ.get(found[1]) or found[2], text)
    services = yaml.safe_load(filled)["services"]
    for name, service in services.items():
        unknown = set(service) - KNOWN
        other = [key for key, value in SAME_FOR_ALL.items() if service.get(key) != value]
        if unknown or other:
            sys.exit(f"compose.py: {name}: cannot do {sorted(unknown)}, must have {other}")
    return services


def build(services, _):
    for image, made in {s["image"]: s["build"] for s in services.values()}.items():
        arguments = [f"--build-arg={key}={value}" for key, value in made["args"].items()]
        context = FOLDER / made["context"]
        subprocess.run(["buildah", "bud", "--quiet", "--layers", "--isolation", "chroot",
                        "--network", "host", "--pull-never", *arguments, "--target",
                        made["target"], "--file", context / made["dockerfile"], "--tag",
                        f"localhost/{image}", context], check=True, stdout=sys.stderr)


def command_line(services, name, arguments=None):
    service = services[name]
    image = Image(f"localhost/{service['image']}")
    volumes = {}
    for mount in service.get("volumes", []):
        source, path = mount.split(":")
        volumes[path] = containers.volume(source, image, path)
    return containers.command_of(name, image, arguments or service.get("command"),
                                 environment=service.get("environment"), volumes=volumes)


def up(services, options):
    containers.wire(services)
    for name in in_order(services, options.services):
        Service(name).start(command_line(services, name))
        if "healthcheck" in services[name]:
            containers.wait_until(lambda name=name: healthy(services, name), f"healthy {name}")
    ended = [name for name in options.services if Service(name).ended()]
    if ended:
        sys.exit(f"compose.py: ended at once: {ended}")


def in_order(services, names):
    """Each after what it depends on."""
    done = []
    for name in names:
        for needed in [*services[name].get("depends_on", {}), name]:
            if needed not in done:
                done.append(needed)
    return done


def healthy(services, name):
    """The check runs beside the service, in its network."""
    kind, *check = services[name]["healthcheck"]["test"]
    assert kind == "CMD"
    return subprocess.run(command_line(services, name, check), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def run(services, options):
    sys.stdout.flush()
    sys.exit(subprocess.run(command_line(services, options.service,
                                         options.arguments)).returncode)


def stop(services, options):
    for name in options.services:
        grace = services[name].get("stop_grace_period", "10s")
        Service(name).stop(int(grace.removesuffix("s")))


def logs(_, options):
    for name in options.services:
        for line in Service(name).log.read_text().splitlines():
            print(f"{name}  | {line}")


def down(services, _):
    for name in services:
        Service(name).stop()
    containers.unwire()
    shutil.rmtree(containers.STATE, ignore_errors=True)


def version(*_):
    print("compose.py")


def options_of(arguments):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--profile")
    commands = parser.add_subparsers(required=True)

    def command(function, *flags):
        added = commands.add_parser(function.__name__, allow_abbrev=False)
        added.set_defaults(function=function)
        for flag in flags:
            added.add_argument(flag, action="store_true", required=True)
        return added

    command(version)
    command(build)
    command(up, "--detach", "--wait").add_argument("services", nargs="+")
    command(stop).add_argument("services", nargs="+")
    command(logs).add_argument("services", nargs="+")
    command(down, "--volumes")
    running = command(run, "--rm")
    running.add_argument("--no-deps", action="store_true")
    running.add_argument("service")
    running.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser.parse_args(arguments)


def main():
    options = options_of(sys.argv[1:])
    options.function(read_file(), options)


if __name__ == "__main__":
    main()
