"""docker/demo runs docker/compose.yaml: here through compose.py, in containers of the images."""
import os
import subprocess

from containers import ROOT


def demo(**environment):
    return subprocess.run([ROOT / "docker/demo"], env={**os.environ, **environment},
                          capture_output=True, text=True, timeout=300)


def test_the_difference_is_found_and_nothing_else():
    shown = demo()
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.endswith("# Done: recorded and replayed; the difference was found\n")
    assert "\n(exit status 1)\n" in shown.stdout


def test_a_staging_that_differs_in_nothing_fails_the_demo():
    shown = demo(STAGING_REEL_PRICE="99.00")
    assert shown.returncode == 1
    assert "expected exit status 1" in shown.stderr


def test_without_compose_it_says_so():
    shown = demo(COMPOSE="/no/such/compose")
    assert shown.returncode == 3
    assert shown.stderr.startswith("docker/demo: '/no/such/compose' does not run")
