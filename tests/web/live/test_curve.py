import json
import math

from hypothesis import given
from hypothesis import strategies as st

from web.live.curve import FIRST_LETTER, LEVELS, pack_curve

NOW_MS = 1_700_000_000_000
numbers = st.floats(allow_nan=False, allow_infinity=False)
times = st.integers(0, 1 << 48)


def unpacked(curve):
    """Return the points of a curve, as static/js/spark.js does."""
    time_ms, points = NOW_MS - curve["Age"], []
    for place, letter in enumerate(curve["Levels"]):
        if place:
            time_ms += curve["Times"][place - 1] * curve["Step"]
        level = (ord(letter) - FIRST_LETTER) / LEVELS
        points.append((time_ms, curve["Low"] * (1 - level) + curve["High"] * level))
    return points


@given(st.lists(st.tuples(times, numbers), min_size=2, max_size=120))
def test_a_curve_is_drawn_as_it_was(points):
    curve = json.loads(json.dumps(pack_curve(points, NOW_MS)))
    height = curve["High"] / 2 - curve["Low"] / 2
    rounding = (abs(curve["High"]) + abs(curve["Low"])) * 1e-15
    found = unpacked(curve)
    assert len(found) == len(points)
    for (time_ms, value), (drawn_ms, drawn) in zip(points, found, strict=True):
        assert math.isclose(time_ms, drawn_ms, abs_tol=0.51 * curve["Step"] + 1)
        assert abs(drawn / 2 - value / 2) <= height / LEVELS + rounding


def test_a_steady_interval_is_one_number_again_and_again():
    curve = pack_curve([(1000 * n + n % 3, n % 7) for n in range(120)], NOW_MS)
    assert set(curve["Times"]) == {4}
    assert len(json.dumps(curve)) < 800
