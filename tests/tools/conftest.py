"""Fixtures of the tests of the commands."""

import pytest


@pytest.fixture
def database(postgres_server, postgres_url):
    """Return a function that runs a statement in the database that postgres_url names."""
    return lambda sql: postgres_server.execute(sql, postgres_url.rpartition("/")[2])
