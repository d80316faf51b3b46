import math
import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph.stores.buckets import HOUR, TEN_MINUTES, end_of, merged, statistic_of, without

NUMBERS = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 0.1, 1.0, 2.0]), min_size=1)
HUGE = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20)


@pytest.mark.parametrize(
    "timestamp_ms, resolution, end_ms",
    [
        (0, TEN_MINUTES, 0),
        (1, TEN_MINUTES, 600_000),
        (600_000, TEN_MINUTES, 600_000),
        (600_001, TEN_MINUTES, 1_200_000),
        (600_001, HOUR, 3_600_000),
        (3_600_000, HOUR, 3_600_000),
    ],
)
def test_a_reading_at_the_end_belongs_to_the_bucket_one_at_the_start_does_not(
    timestamp_ms, resolution, end_ms
):
    assert end_of(timestamp_ms, resolution) == end_ms


@given(NUMBERS)
def test_statistics_are_those_of_python(values):
    found = statistic_of(values)
    largest = max(map(abs, values))
    assert math.isclose(found.mean, statistics.mean(values), rel_tol=1e-12, abs_tol=1e-12 * largest)
    spread = statistics.pstdev(values)
    assert math.isclose(found.stdev, spread, rel_tol=1e-9, abs_tol=1e-12 * largest)
    assert found.median == statistics.median(values)
    assert (found.max, found.min) == (max(values), min(values))
    modes = statistics.multimode(values)
    assert found.mode == (modes[0] if len(modes) == 1 else None)
    assert found.readings == len(values)


@given(HUGE)
def test_numbers_whose_squares_no_double_holds_have_statistics_too(values):
    found = statistic_of(values)
    assert all(map(math.isfinite, (found.mean, found.median, found.stdev)))
    assert found.min <= found.mean <= found.max
    assert found.min <= found.median <= found.max
    assert found.stdev <= (found.max / 2 - found.min / 2) * (1 + 1e-9)


def test_equal_numbers_have_no_deviation():
    assert statistic_of([0.1] * 3) == (0.1, 0.1, 0.1, 0.1, 0.1, 0.0, 3)


SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12)


def inside(spans):
    return {n for start, end in spans for n in range(start, end)}


@given(SPANS, st.integers(1, 5))
def test_merged_spans_are_few_in_order_and_hold_all_that_they_held(spans, most):
    whole = merged(spans)
    assert inside(whole) == inside(spans)
    assert all(a[1] < b[0] for a, b in pairwise(whole))
    few = merged(spans, most)
    assert len(few) == min(most, len(whole))
    assert inside(few) >= inside(spans)
    if few:
        assert (few[0][0], few[-1][1]) == (whole[0][0], whole[-1][1])


@given(st.integers(0, 30), st.integers(31, 60), SPANS)
def test_a_span_without_holes_is_what_lies_beside_them(start, end, holes):
    left = without((start, end), merged(holes))
    assert inside(left) == set(range(start, end)) - inside(holes)
