"""Fixtures of the end-to-end tests: the real program between real clients and real servers.

Each test records, replays and checks. Programs listen on loopback, on ports picked free, and are
ended by their id when the test is over. Tests marked `long` run only with WIRETAPE_TEST_ALL=1.
With CI=true nothing may be skipped: a skip is a failure that names what is missing.
"""
import faulthandler
import os
import signal

import pytest

import processes
import servers
from chain import Chain
from wiretape import Recording

ALL = os.environ.get("WIRETAPE_TEST_ALL") == "1"
CI = os.environ.get("CI") == "true"
DEADLINE_S = 900 if ALL else 90


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes minutes; runs with WIRETAPE_TEST_ALL=1")


def pytest_collection_modifyitems(config, items):
    if ALL:
        return
    config.hook.pytest_deselected(items=[i for i in items if i.get_closest_marker("long")])
    items[:] = [i for i in items if not i.get_closest_marker("long")]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    outcome = yield
    report = outcome.get_result()
    if CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"must not be skipped in CI: {report.longrepr}"


@pytest.fixture(autouse=True)
def deadline():
    """A test that hangs says where, instead of stopping everything."""
    def too_late(*_):
        faulthandler.dump_traceback(all_threads=True)
        raise TimeoutError(f"the test took over {DEADLINE_S} s")
    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(DEADLINE_S)
    yield
    signal.alarm(0)


@pytest.fixture(autouse=True)
def ended_processes():
    yield
    processes.end_all()


@pytest.fixture
def tape(tmp_path):
    return tmp_path / "session.tape"


@pytest.fixture
def chain(tmp_path):
    """chain(upstream, *options): client -> relay A -> recording -> relay B -> upstream."""
    return lambda upstream, *options: Chain(upstream, tmp_path, *options)


@pytest.fixture
def record(tape):
    """record(upstream, *options): a running recording to the test's tape."""
    def start(upstream, *options, **more):
        return Recording(upstream, *options, **{"tape": tape, **more})
    return start


@pytest.fixture
def nginx(tmp_path):
    """nginx(**options): a fresh nginx, see servers.Nginx."""
    return lambda **options: servers.Nginx(tmp_path, **options)


@pytest.fixture
def redis(tmp_path):
    """redis(): a fresh, empty redis."""
    return lambda: servers.Redis(tmp_path)


@pytest.fixture(scope="session")
def postgres_template():
    """A cluster as initdb left it: every fresh server starts from a copy."""
    template = servers.PostgresTemplate()
    yield template
    template.remove()


@pytest.fixture
def postgres(postgres_template):
    """postgres(): a fresh PostgreSQL with the same contents (and object ids) each time."""
    return lambda: servers.Postgres(postgres_template)


@pytest.fixture
def git_http(tmp_path):
    return servers.GitHttp(tmp_path)


@pytest.fixture
def websocket_echo():
    return servers.WebSocketEcho()


@pytest.fixture
def root():
    if os.geteuid() != 0:
        pytest.skip("needs root")
