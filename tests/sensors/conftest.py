"""Fixtures of the tests of sensors."""

from collections.abc import Iterator

import pytest

from tests.sensors import bus_stub


@pytest.fixture(autouse=True)
def no_question_left() -> Iterator[None]:
    """End what channels without a network go on asking."""
    yield
    while bus_stub.MADE:
        bus_stub.MADE.pop().close()
