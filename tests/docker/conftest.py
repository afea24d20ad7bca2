"""The images under test, and a network: docker/test has built and exported what is used here."""
import pytest

import containers


@pytest.fixture(scope="session")
def wiretape():
    return containers.Image("localhost/wiretape")


@pytest.fixture(scope="session")
def peers():
    return containers.Image("localhost/wiretape-peers")


@pytest.fixture
def network():
    names = ["wiretape", "server", "client"]
    containers.wire(names)
    yield
    for name in names:  # what a failed test has left running
        containers.Service(name).stop()
    containers.unwire()
