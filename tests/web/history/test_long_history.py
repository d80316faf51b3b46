"""The readings of several components as one stream, by time."""

import random

import pytest

from jph.stores import open_history, row_of
from tests.web.bus import reading
from web.history import long_history

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def stream(web, monkeypatch):
    """Return what streams readings that were stored, in small pages."""
    monkeypatch.setattr(long_history, "PAGE", 10)
    site = web._server._site

    def ask(stored, heard=(), start_ms=0, end_ms=1 << 47):
        history = open_history("sqlite:///history.sqlite", web.home)
        history.append([row_of(one) for one in stored])
        history.close()
        web.on_batch(list(heard))
        components = [site.config.components[code] for code in ("A1", "A2", "A3")]
        found = long_history.readings_of(site, "127.0.0.1", components, start_ms, end_ms)
        return [(time_ms, one.codifier, value) for one, (time_ms, value) in found]

    return ask


def numbers(times, codifier="A1"):
    return [reading(codifier, float(n), timestamp_ms=t, sequence=n) for n, t in enumerate(times)]


def test_dense_and_sparse_times_and_long_silences_come_in_order(stream):
    chance = random.Random(7)
    base = 700 * DAY_MS
    times = sorted(
        {
            *(base + chance.randrange(200) for _ in range(80)),
            *(base + DAY_MS + n * 60_000 for n in range(50)),
            *(base + 90 * DAY_MS + n for n in range(35)),
        }
    )
    assert stream(numbers(times)) == [(t, "A1", float(n)) for n, t in enumerate(times)]


def test_more_readings_of_one_ms_than_a_page_has_come_all(stream):
    readings = [reading("A1", float(n), timestamp_ms=5000, sequence=n) for n in range(37)]
    around = numbers([4999, 5001], "A2")
    found = stream(readings + around)
    assert [one[0] for one in found] == [4999, *[5000] * 37, 5001]
    assert sorted(value for _, code, value in found if code == "A1") == [*map(float, range(37))]


def test_sensors_are_mixed_by_time_and_what_was_just_heard_comes_last(stream):
    stored = [*numbers([1000, 3000]), reading("A3", "on", timestamp_ms=2000)]
    heard = [
        reading("A2", 7, timestamp_ms=2500),
        reading("A1", 9.5, timestamp_ms=4000, sequence=9),
        reading("A1", 1.0, timestamp_ms=3000, sequence=1),  # stored already
    ]
    assert stream(stored, heard) == [
        (1000, "A1", 0.0),
        (2000, "A3", "on"),
        (3000, "A1", 1.0),
        (2500, "A2", 7),
        (4000, "A1", 9.5),
    ]


def test_a_span_is_cut_to_the_ms(stream):
    times = range(1000, 1100)
    found = stream(numbers(times), start_ms=1010, end_ms=1090)
    assert [one[0] for one in found] == [*range(1010, 1090)]
    assert stream([], start_ms=5_000_000, end_ms=6_000_000) == []
