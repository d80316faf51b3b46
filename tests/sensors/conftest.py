"""Fixtures of the tests of sensors."""

from collections.abc import Iterator

import pytest

from tests.sensors import http_server


@pytest.fixture
def server() -> Iterator[http_server.Server]:
    """Yield an HTTP server whose `answers` a test writes."""
    with http_server.running(http_server.Server()) as running:
        yield running
