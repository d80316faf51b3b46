"""Statistics and retention; each test runs on SQLite and on PostgreSQL."""

import random
import statistics
import threading
from collections import defaultdict
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jph.stores import open_history
from jph.stores.buckets import HOUR, HOUR_MS, RAW, TEN_MINUTES, TEN_MINUTES_MS, end_of
from tests.jph.stores.histories import statistics_of

START = 1_795_000_000_000 // HOUR_MS * HOUR_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
LATER = START + 10 * DAY_MS


@pytest.fixture
def other(url, tmp_path):
    with closing(open_history(url, tmp_path)) as opened:
        yield opened


def rows(values, codifier="C1", start_ms=START + 1, step_ms=60_000, sequence=0):
    return [
        (start_ms + i * step_ms, codifier, sequence + i, value, None)
        for i, value in enumerate(values)
    ]


def compute(store, until_ms=LATER):
    """Compute all that is due; return how many marks that were."""
    marks = 0
    while done := store.statistics.compute(until_ms):
        marks += done
    return marks


def expected(readings, until_ms=LATER):
    """Return the statistics that some rows come to, by resolution, Codifier and end."""
    buckets = defaultdict(list)
    for timestamp_ms, codifier, _, value, _ in readings:
        for resolution in (TEN_MINUTES, HOUR):
            end_ms = end_of(timestamp_ms, resolution)
            if value is not None and end_ms <= until_ms:
                buckets[resolution, codifier, end_ms].append(value)
    return buckets


def check(store, readings, until_ms=LATER):
    """Fail unless the store has the statistics of these rows and no others."""
    found = {row[:3]: row[3:] for row in statistics_of(store)}
    buckets = expected(readings, until_ms)
    assert sorted(found) == sorted(buckets)
    for key, values in buckets.items():
        mean, mode, median, highest, lowest, stdev, count = found[key]
        largest = max(map(abs, values))
        assert mean == pytest.approx(statistics.fmean(values), rel=1e-9, abs=1e-12 * largest)
        # The squares of smaller ones are nought in the database.
        assert stdev == pytest.approx(
            statistics.pstdev(values), rel=1e-6, abs=max(1e-9 * largest, 1e-150)
        )
        assert median == pytest.approx(
            statistics.median(values), rel=1e-12, abs=max(1e-12 * largest, 1e-300)
        )
        modes = statistics.multimode(values)
        assert mode == (modes[0] if len(modes) == 1 else None)
        assert (highest, lowest, count) == (max(values), min(values), len(values))


READINGS = st.lists(
    st.tuples(
        st.integers(START, START + 3 * HOUR_MS),
        st.sampled_from(["C1", "c1", "!'"]),
        st.integers(0, 1 << 31),
        st.none() | st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 2.0]),
        st.none() | st.just("text"),
    ),
    max_size=60,
    unique_by=lambda row: row[:3],
)


@settings(max_examples=40)
@given(
    batches=st.lists(READINGS, min_size=1, max_size=4),
    untils=st.lists(st.integers(START, START + 4 * HOUR_MS), max_size=4),
)
def test_statistics_are_those_of_the_readings_in_whatever_order_they_come(store, batches, untils):
    if name := store.path:
        name.unlink(missing_ok=True)
        for rest in name.parent.glob(f"{name.name}-*"):
            rest.unlink()
    else:
        with store.writing() as connection, connection.cursor() as cursor:
            cursor.execute("TRUNCATE measurement, statistic, pending, dropped")
            connection.commit()
    stored = {}
    until_ms = 0
    for place, batch in enumerate(batches):
        store.append(batch)
        for row in batch:
            stored.setdefault(row[:3], row)
        if place < len(untils):
            until_ms = max(until_ms, untils[place])
            compute(store, until_ms)
    compute(store)
    check(store, stored.values())
    assert store.statistics.due(1 << 60) == 0


def test_a_bucket_is_computed_when_it_is_over_and_its_hour_when_that_is(store):
    given = rows([1.0, 2.0, 2.0, 5.0])
    store.append(given)
    assert store.statistics.due(START + TEN_MINUTES_MS - 1) == 0
    assert compute(store, START + TEN_MINUTES_MS - 1) == 0
    assert store.statistics.due(START + TEN_MINUTES_MS) == 1
    compute(store, START + TEN_MINUTES_MS)
    assert statistics_of(store) == [
        (10, "C1", START + TEN_MINUTES_MS, 2.5, 2.0, 2.0, 5.0, 1.0, 1.5, 4)
    ]
    assert compute(store, START + HOUR_MS - 1) == 0
    compute(store, START + HOUR_MS)
    check(store, given)


def test_booleans_count_as_0_and_1_and_texts_do_not(store):
    texts = [(START + 5 + i, "C1", 90 + i, None, "on") for i in range(3)]
    both = [(START + 50, "C1", 99, 1.0, '{"value":true,"voltage":3}')]
    given = rows([1.0, 0.0, 1.0]) + texts + both
    store.append(given)
    compute(store)
    (first, *_) = statistics_of(store)
    assert first[3:] == (0.75, 1.0, 1.0, 1.0, 0.0, pytest.approx(0.4330127), 4)
    check(store, given)


def test_texts_alone_are_never_due(store):
    store.append([(START + 5, "C1", 1, None, "on")])
    assert store.statistics.due(LATER) == 0
    assert compute(store) == 0


def test_a_reading_that_comes_late_has_its_bucket_and_hour_computed_again(store):
    given = rows([1.0] * 120)
    store.append(given)
    compute(store)
    late = rows([9.0], start_ms=START + 30 * 60_000, sequence=5000)
    store.append(late)
    assert store.statistics.due(LATER) == 1
    compute(store)
    check(store, given + late)


def test_what_was_stored_already_may_be_computed_again_and_changes_nothing(store):
    given = rows([1.0, 3.0])
    store.append(given)
    compute(store)
    before = statistics_of(store)
    store.append(given)
    compute(store)
    assert statistics_of(store) == before


def test_numbers_whose_squares_no_double_holds_stop_nothing(store):
    given = [*rows([1e308, -1e308, 1e308]), *rows([1.0, 2.0], "C2")]
    store.append(given)
    compute(store)
    found = {row[:2]: row[3:] for row in statistics_of(store)}
    assert found[HOUR, "C1"][:5] == (pytest.approx(1e308 / 3), 1e308, 1e308, 1e308, -1e308)
    assert found[HOUR, "C1"][5] == pytest.approx(9.428e307, rel=1e-3)
    assert found[HOUR, "C2"][0] == 1.5


def test_clocks_far_off_have_statistics_too(store):
    given = [(0, "C1", 1, 1.0, None), (5, "C1", 2, 3.0, None), ((1 << 48) - 1, "C1", 3, 7.0, None)]
    store.append(given)
    compute(store, 1 << 50)
    check(store, given, 1 << 50)


def test_marking_everything_has_everything_computed_again(store):
    given = rows([1.0, 2.0]) + rows([3.0, 5.0], "C2", START + DAY_MS + 1)
    store.append(given)
    compute(store)
    before = statistics_of(store)
    assert store.statistics.mark("C2") == 1
    assert store.statistics.due(LATER) == 1
    store.statistics.mark()
    assert store.statistics.due(LATER) == 2
    compute(store)
    assert statistics_of(store) == before


def test_a_bucket_without_readings_loses_its_statistics_when_it_is_computed_again(store):
    store.append(rows([1.0, 2.0]))
    compute(store)
    store.statistics.mark()
    with store.writing() as connection:
        cursor = connection.cursor()
        cursor.execute("DELETE FROM measurement")
        if hasattr(connection, "set_session"):
            connection.commit()
        cursor.close()
    compute(store)
    assert statistics_of(store) == []


# Several at once


def test_of_two_that_compute_at_once_the_result_is_that_of_one(store, other):
    rng = random.Random(1)
    given = [
        row
        for n in range(20)
        for row in rows([rng.gauss(20, 5) for _ in range(300)], f"C{n:x}"[-2:].rjust(2, "D"))
    ]
    store.append(given)
    done = []

    def work(one):
        while one.statistics.due(LATER):
            done.append(one.statistics.compute(LATER))

    workers = [threading.Thread(target=work, args=(one,)) for one in (store, other)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(done) == 20 * 30
    check(store, given)


def test_no_reading_is_missed_that_is_stored_while_its_bucket_is_computed(store, other):
    """Two writers with readings of the same few hours, and two who compute, all the time."""
    rng = random.Random(2)
    written = []
    mistakes = []
    done = threading.Event()

    def write(which):
        try:
            for batch in range(60):
                batch_rows = [
                    (
                        rng.randrange(START, START + 2 * HOUR_MS),
                        f"R{rng.randrange(4)}",
                        which * 10**6 + batch * 100 + i,
                        rng.choice([1.0, 2.0, rng.gauss(0, 1)]),
                        None,
                    )
                    for i in range(rng.randrange(1, 20))
                ]
                store.append(batch_rows)
                written.extend(batch_rows)
        except Exception as error:
            mistakes.append(error)

    def work(one):
        try:
            while not done.is_set():
                one.statistics.compute(LATER)
        except Exception as error:
            mistakes.append(error)

    writers = [threading.Thread(target=write, args=(which,)) for which in (1, 2)]
    workers = [threading.Thread(target=work, args=(one,)) for one in (store, other)]
    for thread in writers + workers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in workers:
        thread.join()
    assert mistakes == []
    compute(store)
    check(store, written)


# Retention


def old_readings(weeks=4):
    """Return readings of some whole weeks, one each hour, the first week first."""
    first_ms = START // WEEK_MS * WEEK_MS
    count = weeks * 168
    return first_ms, rows([float(i % 7) for i in range(count)], "C1", first_ms + 1, HOUR_MS)


def drop_all(store, resolution, before_ms):
    pieces = []
    while piece := store.statistics.drop_before(resolution, before_ms):
        pieces.append(piece)
    return pieces


def test_readings_are_dropped_by_age_and_their_statistics_stay(store):
    first_ms, given = old_readings()
    store.append(given)
    compute(store, 1 << 50)
    before = statistics_of(store)
    assert drop_all(store, RAW, first_ms) == []
    pieces = drop_all(store, RAW, first_ms + 2 * WEEK_MS)
    assert pieces
    assert all(piece.resolution == RAW for piece in pieces)
    left = [row[0] for row in store.last("C1", 10**6)]
    assert left == [row[0] for row in given if row[0] > first_ms + 2 * WEEK_MS]
    assert statistics_of(store) == before
    assert drop_all(store, RAW, first_ms + 2 * WEEK_MS) == []


def test_readings_whose_statistics_are_due_are_never_dropped(store):
    first_ms, given = old_readings()
    store.append(given)
    assert drop_all(store, RAW, first_ms + 3 * WEEK_MS) == []
    assert store.statistics.drop_oldest(RAW, 1 << 50) is None
    compute(store, 1 << 50)
    late = [(first_ms + WEEK_MS + 5 * HOUR_MS, "C1", 10**6, 1.0, None)]
    store.append(late)
    drop_all(store, RAW, first_ms + 3 * WEEK_MS)
    assert late[0] in store.last("C1", 10**6)
    compute(store, 1 << 50)
    drop_all(store, RAW, first_ms + 3 * WEEK_MS)
    assert late[0] not in store.last("C1", 10**6)


def test_a_late_reading_of_a_bucket_whose_readings_were_dropped_does_not_spoil_its_statistics(
    store,
):
    first_ms, given = old_readings()
    store.append(given)
    compute(store, 1 << 50)
    before = statistics_of(store)
    drop_all(store, RAW, first_ms + 2 * WEEK_MS)
    store.append([(given[3][0], "C1", 10**6, 999.0, None)])
    compute(store, 1 << 50)
    assert statistics_of(store) == before
    # One that has no statistics gets them: an import.
    store.append([(given[3][0], "C9", 1, 5.0, None)])
    compute(store, 1 << 50)
    assert len(statistics_of(store)) == len(before) + 2


def test_statistics_are_dropped_by_age(store):
    first_ms = START // (52 * WEEK_MS) * 52 * WEEK_MS
    given = rows([1.0, 2.0, 3.0], start_ms=first_ms + 5, step_ms=26 * WEEK_MS)
    store.append(given)
    compute(store, 1 << 50)
    assert drop_all(store, TEN_MINUTES, first_ms + 26 * WEEK_MS)
    assert [row[0] for row in statistics_of(store)] == [10, 10, 60, 60, 60]
    assert drop_all(store, HOUR, first_ms + 52 * WEEK_MS)
    assert [row[0] for row in statistics_of(store)] == [10, 10, 60]
    assert len(store.last("C1", 9)) == 3


def test_the_oldest_is_dropped_whatever_its_age_and_makes_room(store):
    _, given = old_readings()
    store.append(given + rows([1.0] * 50_000, "C2", given[0][0], 1000))
    compute(store, 1 << 50)
    before = store.statistics.size_bytes()
    freed = 0
    while piece := store.statistics.drop_oldest(RAW, given[-1][0] - WEEK_MS):
        freed += piece.bytes
    after = store.statistics.size_bytes()
    assert before - after > 1_000_000
    assert freed == pytest.approx(before - after, rel=0.3)
    left = [row[0] for row in store.last("C1", 10**6)]
    assert 0 < len(left) <= 2 * 168
    while store.statistics.drop_oldest(TEN_MINUTES, 1 << 50):
        pass
    assert {row[0] for row in statistics_of(store)} <= {10, 60}
