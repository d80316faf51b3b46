"""Fixtures of the tests of the API."""

from collections.abc import Callable

import pytest

from tests.web.api_v1.program import Program, stores


@pytest.fixture
def program(web) -> Program:
    """Return a program that may do everything."""
    return Program(web)


@pytest.fixture
def store(web) -> Callable[..., None]:
    """Return what puts readings into the history, see `stores`."""
    return stores(web)
