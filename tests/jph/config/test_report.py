"""What a sensor sends of what it reads."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph.config.report import Report, ReportFilter
from jph.errors import SensorError
from tests.helpers import naming


def sent(report: Report, *readings, timeout_s=None, every_s=1.0):
    """Return what is sent of readings that come at a distance."""
    reporter = ReportFilter(report, timeout_s)
    return [reporter.take(value, at * every_s) for at, value in enumerate(readings)]


def test_without_rules_everything_is_sent_as_it_is():
    readings = (1, 1, 2.5, "on", {"value": 3, "voltage": 0.1})
    assert sent(Report(), *readings) == list(readings)


def test_the_unit_is_converted_before_all_else():
    fahrenheit = Report(scale=1.8, offset=32.0, minimum=0.0, maximum=212.0)
    assert sent(fahrenheit, 100, {"value": 0.0, "voltage": 2}) == [
        212.0,
        {"value": 32.0, "voltage": 2},
    ]
    with pytest.raises(SensorError, match=naming("213.8", "0 to 212")):
        sent(fahrenheit, 101)


@pytest.mark.parametrize(
    ("report", "value", "facts"),
    [
        (Report(maximum=5.0), 6, ["6", "at most 5"]),
        (Report(minimum=5.0), 4.5, ["4.5", "at least 5"]),
    ],
)
def test_a_value_outside_its_range_is_refused(report, value, facts):
    with pytest.raises(SensorError, match=naming(*facts)):
        sent(report, value)


def test_text_has_no_range():
    assert sent(Report(minimum=5.0, scale=2.0, median_of=3), "off") == ["off"]


def test_a_median_takes_out_an_outlier():
    assert sent(Report(median_of=3), 1, 3, 99, 2, 4) == [1, 2.0, 3, 3, 4]


def test_a_dead_band_compares_with_what_was_sent_last():
    """A slow drift is seen: it adds up until it leaves the band."""
    readings = (10.0, 10.1, 10.2, 10.3, 10.0, 9.0)
    assert sent(Report(dead_band=0.25), *readings) == [10.0, None, None, 10.3, 10.0, 9.0]


def test_the_same_value_is_sent_after_the_longest_silence():
    report = Report(longest_silence_s=3.0)
    assert sent(report, 1, 1, 1, 1, 1, 2, 2) == [1, None, None, 1, None, 2, None]
    assert sent(report, "a", "a", "b") == ["a", None, "b"]


def test_the_longest_silence_is_60_s_and_never_more_than_half_of_the_time_out():
    assert Report().silence_s(10.0) is None
    assert Report(dead_band=1.0).silence_s(None) == 60.0
    assert Report(dead_band=1.0).silence_s(30.0) == 15.0
    assert Report(longest_silence_s=20.0).silence_s(30.0) == 15.0
    assert Report(longest_silence_s=20.0).silence_s(300.0) == 20.0


def test_what_somebody_asked_for_is_sent_at_once():
    reporter = ReportFilter(Report(dead_band=5.0), None)
    assert reporter.take(1, 0.0) == 1
    assert reporter.take(1, 1.0) is None
    assert reporter.take(1, 2.0, at_once=True) == 1


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50),
    st.floats(0, 100),
    st.integers(1, 7),
)
def test_the_last_value_sent_is_never_off_by_more_than_the_dead_band(readings, band, count):
    reporter = ReportFilter(Report(dead_band=band, median_of=count), None)
    plain = ReportFilter(Report(median_of=count), None)
    last = math.nan
    for at, reading in enumerate(readings):
        exact, kept = plain.take(reading, at), reporter.take(reading, at)
        last = last if kept is None else kept
        assert abs(exact - last) <= band


def test_a_range_that_nothing_lies_in_is_a_mistake():
    with pytest.raises(ValueError, match=naming("Min: ", "Max")):
        Report(minimum=2.0, maximum=1.0)
