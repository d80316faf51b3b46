"""Bars of switches and texts."""

from jph.stores import Series
from web.component.timeline import Bar, Share, shares, switch_bars, text_bars


def series(*points, bucket_ms=0):
    return Series.of([(t, v, low, high) for t, v, low, high in points], bucket_ms)


def raw(*points):
    return series(*((t, float(v), float(v), float(v)) for t, v in points))


def nothing(start_ms, end_ms):
    raise AssertionError("nothing is to be read again")


def test_readings_of_one_state_are_one_bar():
    points = raw((0, 0), (10, 0), (20, 1), (30, 1), (40, 0))
    bars = switch_bars(points, 50, 15, nothing)
    assert bars == [Bar(0, 20, "off"), Bar(20, 40, "on", 1.0), Bar(40, 50, "off")]
    assert shares(bars) == [Share("off", 30, 2), Share("on", 20, 1)]


def test_a_gap_is_no_state():
    bars = switch_bars(raw((0, 1), (10, 1), (100, 1)), 200, 15, nothing)
    assert [(bar.begin_ms, bar.end_ms) for bar in bars] == [(0, 25), (100, 115)]


def test_a_point_of_both_states_is_looked_at_again():
    points = series((5, 0.0, 0.0, 0.0), (15, 0.3, 0.0, 1.0), (25, 1.0, 1.0, 1.0), bucket_ms=10)
    asked = []

    def reread(start_ms, end_ms):
        asked.append((start_ms, end_ms))
        return raw((10, 0), (17, 1))

    bars = switch_bars(points, 30, 25, reread)
    assert asked == [(10, 20)]
    assert [bar[:3] for bar in bars] == [(0, 17, "off"), (17, 30, "on")]


def test_where_it_changed_too_often_the_share_counts():
    points = series((50, 0.25, 0.0, 1.0), bucket_ms=100)
    bars = switch_bars(points, 100, 250, lambda start_ms, end_ms: points)
    assert bars == [Bar(0, 100, None, 0.25)]
    assert shares(bars) == [Share("off", 75, 0), Share("on", 25, 0)]


def test_texts_last_until_another_one():
    bars = text_bars([(0, "idle"), (10, "idle"), (20, "heating"), (30, "idle")], 40, 15)
    assert [bar[:3] for bar in bars] == [(0, 20, "idle"), (20, 30, "heating"), (30, 40, "idle")]
    assert shares(bars) == [Share("idle", 30, 2), Share("heating", 10, 1)]
    assert text_bars([], 40, 15) == []
