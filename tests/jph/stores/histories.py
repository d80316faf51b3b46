"""What the tests of both history stores share."""

import pytest

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


def history_url(request):
    """Return the URL of a new, empty history of the kind that a fixture is parametrized with."""
    if request.param == "sqlite":
        return "sqlite:///history.sqlite"
    return request.getfixturevalue("postgres_url")


def ask(store, query):
    """Return the rows of a query that both databases understand."""
    with store.reading() as connection:
        cursor = connection.cursor()
        cursor.execute(query)
        rows = cursor.fetchall()
        cursor.close()
        return rows


def statistics_of(store):
    """Return all statistics that are stored, in order."""
    columns = "resolution, codifier, timestamp, mean, mode, median, max, min, stdev, count"
    return sorted(ask(store, f"SELECT {columns} FROM statistic"))
