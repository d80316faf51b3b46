"""Fixtures of the tests that run over all stores of history."""

from contextlib import closing

import pytest

from jph.stores import open_history
from tests.jph.stores.histories import KINDS, history_url


@pytest.fixture(params=KINDS)
def url(request):
    """Return the URL of an empty history, of each kind."""
    return history_url(request)


@pytest.fixture
def store(url, tmp_path):
    """Return an empty history, opened."""
    with closing(open_history(url, tmp_path)) as opened:
        yield opened
