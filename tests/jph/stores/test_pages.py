"""Reading history page by page; each test runs on SQLite and on PostgreSQL."""

import statistics

from hypothesis import given, settings
from hypothesis import strategies as st

from jph.stores.buckets import HOUR, HOUR_MS, TEN_MINUTES, TEN_MINUTES_MS

START = 1_795_000_000_000 // HOUR_MS * HOUR_MS


def pages(store, codifier, start_ms, end_ms, most):
    """Return the rows of all pages, read as `HistoryStore.oldest` says."""
    found, after = [], -1
    while page := store.oldest(codifier, start_ms, end_ms, most, after=after):
        assert len(page) <= most
        found += page
        start_ms, after = page[-1][0], page[-1][2]
    return found


READINGS = st.sets(
    st.tuples(st.integers(START, START + 9), st.sampled_from(["C1", "C2"]), st.integers(0, 5)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=40)
@given(
    readings=READINGS,
    first=st.integers(START - 2, START + 11),
    width=st.integers(0, 12),
    most=st.integers(1, 7),
)
def test_pages_together_are_the_span_even_where_many_readings_have_one_time(
    store, readings, first, width, most
):
    store.append([(*reading, 0.5, None) for reading in readings])
    known = {row[:3] for row in store.last("C1", 10**6)}  # of earlier examples, too
    wanted = sorted(key for key in known if first <= key[0] < first + width)
    found = pages(store, "C1", first, first + width, most)
    assert [row[:3] for row in found] == wanted


def test_a_page_has_numbers_and_texts(store):
    store.append([(START, "C1", 1, None, "on"), (START + 1, "C1", 2, 2.5, None)])
    assert [tuple(row) for row in store.oldest("C1", START, START + 2, 9)] == [
        (START, "C1", 1, None, "on"),
        (START + 1, "C1", 2, 2.5, None),
    ]
    assert store.oldest("C9", START, START + 2, 9) == []


@settings(max_examples=20)
@given(readings=READINGS, first=st.integers(START - 2, START + 11), width=st.integers(0, 12))
def test_the_oldest_rows_of_some_codifiers_come_by_time(store, readings, first, width):
    store.append([(*reading, 0.5, None) for reading in readings])
    known = {row[:3] for codifier in ("C1", "C2") for row in store.last(codifier, 10**6)}
    wanted = sorted(key for key in known if first <= key[0] < first + width)
    found = store.oldest_of(["C2", "C1", "C9"], first, first + width, 100)
    assert [tuple(row[:3]) for row in found] == wanted
    assert store.oldest_of(["C1", "C2"], first, first + width, 3) == found[:3]
    only = [key for key in wanted if key[1] == "C2"]
    assert [row[:3] for row in store.oldest_of(["C2"], first, first + width, 100)] == only
    assert store.oldest_of([], first, first + width, 100) == []


def test_buckets_come_page_by_page_with_all_their_columns(store):
    values = [float(n % 7) for n in range(360)]
    store.append([(START + 1 + n * 10_000, "C1", n, v, None) for n, v in enumerate(values)])
    while store.statistics.compute(START + 10 * HOUR_MS):
        pass
    ((end_ms, hour),) = store.buckets("C1", HOUR, START, START + 9 * HOUR_MS, 100)
    assert end_ms == START + HOUR_MS
    assert (hour.readings, hour.min, hour.max) == (360, 0.0, 6.0)
    assert abs(hour.mean - statistics.fmean(values)) < 1e-9
    assert abs(hour.stdev - statistics.pstdev(values)) < 1e-9
    assert hour.median == statistics.median(values)
    page = store.buckets("C1", TEN_MINUTES, START, START + HOUR_MS + 1, 4)
    assert [end for end, _ in page] == [START + TEN_MINUTES_MS * n for n in (1, 2, 3, 4)]
    rest = store.buckets("C1", TEN_MINUTES, page[-1][0] + 1, START + HOUR_MS + 1, 4)
    assert [end for end, _ in rest] == [START + TEN_MINUTES_MS * n for n in (5, 6)]
