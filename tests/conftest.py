"""Fixtures of all tests."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests import helpers
from tests.brokers import (  # noqa: F401
    broker_like_ours,
    mosquitto,
    mosquitto_like_ours,
    mqtt_broker,
    nats,
)
from tests.http_server import server  # noqa: F401
from tests.servers import (  # noqa: F401
    postgres_database,
    postgres_process,
    postgres_server,
    postgres_url,
    redis_process,
    redis_server,
)

LONGEST_TEST_S = 240  # the longest ones take 30 s
# What a test needs, told by the fixtures and the context managers that it uses.
NEEDS = {
    "mosquitto": "mosquitto",
    "running_mosquitto": "mosquitto",
    "mqtt_broker": "mosquitto",
    "broker_like_ours": "mosquitto",
    "mosquitto_like_ours": "mosquitto",
    "redis_process": "redis",
    "running_redis": "redis",
    "postgres_process": "postgres",
    "running_postgres": "postgres",
    "store_of": "postgres",
    "server_on_small_disk": "postgres",
    "chromium": "browser",
    "analyze": "systemd",
    "CONFINED": "systemd",
}
# Files whose tests all run in the same worker, beside those that open pages in a browser.
TOGETHER = {"tests/systemd/test_machine.py", "tests/test_install.py"}

# A busy machine is no mistake: Hypothesis would look for the smallest example that takes 0.2 s. And
# examples may share what the fixtures of their test made, such as a folder. What lands is judged by
# the same examples each time; runs of people try others.
settings.register_profile(
    "jph",
    parent=settings.default,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("jph")


def pytest_configure() -> None:
    """Hear SIGINT, which a shell has programs in its background ignore, with all they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before the items are selected by their markers
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark each test by what it needs."""
    for item in items:
        used = {*item.fixturenames, *item.function.__code__.co_names}
        for name in used & NEEDS.keys():
            item.add_marker(NEEDS[name])


@cache
def _is_together(file: str) -> bool:
    """Tell whether the tests of a file share what takes long to make, such as a browser."""
    return file in TOGETHER or "open_page" in (Path(__file__).parents[1] / file).read_text()


class Together(LoadScopeScheduling):
    """Gives each test to the next worker that is free, and those of some files to one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if _is_together(file) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """Distribute by file: --dist=loadgroup of xdist 3.8 groups nothing since pytest 9.2."""
    return Together(config, log)


@pytest.fixture(autouse=True)
def no_endless_test() -> Iterator[None]:
    """Fail a test that stands still; where this cannot wake it, faulthandler ends the whole run."""

    def fail(number: int, frame: object) -> None:
        pytest.fail(f"it has not ended after {LONGEST_TEST_S} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(LONGEST_TEST_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test after which a thread goes on running."""
    before = set(threading.enumerate())
    yield
    until_s = time.monotonic() + 20
    while left := [thread for thread in threading.enumerate() if thread not in before]:
        if time.monotonic() > until_s:
            pytest.fail(f"threads left running: {', '.join(thread.name for thread in left)}")
        left[0].join(0.05)


@pytest.fixture
def bus() -> helpers.Bus:
    """Return a bus on which nobody else speaks."""
    return helpers.new_bus()


@pytest.fixture
def free_tcp_port() -> int:
    """Return a TCP port that nobody listens on."""
    return helpers.free_tcp_port()


@pytest.fixture
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home directory of JPH, and name it to the programs a test starts."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("JPH_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of the browser."""
    for name in ("chromium", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.fail("no Chromium on this machine; ./scripts/test installs it")
