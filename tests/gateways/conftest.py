"""Fixtures of the tests of gateways that run over both kinds of store."""

from contextlib import closing

import pytest

from gateways import connection
from gateways.store import Store
from gateways.tenta import tables

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(autouse=True)
def quick_connections(monkeypatch):
    """Have gateways connect to a broker again at once."""
    monkeypatch.setattr(connection, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(connection, "LONGEST_PAUSE_S", 1.0)


@pytest.fixture(params=KINDS)
def store_url(request):
    """Return the URL of a new, empty store, of each kind."""
    if request.param == "sqlite":
        return "sqlite:///gateways.sqlite"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def store(store_url, tmp_path):
    """Return an empty store with the tables of Tenta, of each kind."""
    with closing(Store.open(store_url, tmp_path, steps=tables.STEPS)) as opened:
        yield opened
