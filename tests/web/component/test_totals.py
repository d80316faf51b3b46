"""Totals of counters, also on the days on which the clocks change."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from jph.stores.buckets import HOUR_MS
from web.component.totals import Cell, periods, totals

BERLIN = ZoneInfo("Europe/Berlin")


def ms(text, zone=BERLIN):
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def readings(*values, start_ms=0, step_ms=60_000):
    times = [start_ms + place * step_ms for place in range(len(values))]
    return [Cell(at, at, value, value) for at, value in zip(times, values, strict=True)]


def values(cells, wanted):
    return [None if it.value is None else round(it.value, 6) for it in totals(cells, wanted)]


@pytest.mark.parametrize(
    "day, hours", [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24), ("2026-02-28", 24)]
)
def test_a_day_has_the_hours_that_it_has_there(day, hours):
    begin_ms = ms(f"{day}T00:00")
    wanted = periods(begin_ms + 5, begin_ms + 6, BERLIN, "day")
    assert wanted == [(begin_ms, begin_ms + hours * HOUR_MS)]
    assert len(periods(*wanted[0], BERLIN, "hour")) == hours


@pytest.mark.parametrize("day, hours", [("2026-03-29", 23), ("2026-10-25", 25)])
def test_a_day_on_which_the_clocks_change_has_the_total_of_its_own_hours(day, hours):
    begin_ms = ms(f"{day}T00:00")
    # One kWh per hour, for three days around it.
    cells = readings(*range(100, 172), start_ms=begin_ms - 24 * HOUR_MS, step_ms=HOUR_MS)
    wanted = periods(begin_ms, begin_ms + 24 * HOUR_MS - 2 * HOUR_MS, BERLIN, "day")
    assert values(cells, wanted) == [hours]


def test_days_are_those_of_the_zone():
    kathmandu = ZoneInfo("Asia/Kathmandu")
    begin_ms = ms("2026-05-01T00:00", kathmandu)
    assert begin_ms % HOUR_MS == 15 * 60_000
    hours = [
        Cell(at, at + HOUR_MS, 10.0 * place, 10.0 * place + 10)
        for place, at in enumerate(range(begin_ms - 15 * 60_000, begin_ms + 25 * HOUR_MS, HOUR_MS))
    ]
    wanted = periods(begin_ms, begin_ms + 2 * 24 * HOUR_MS, kathmandu, "day")
    assert values(hours, wanted)[0] == 240.0


def test_months_have_their_own_lengths():
    wanted = periods(ms("2026-01-15T12:00"), ms("2026-04-01T00:00"), BERLIN, "month")
    assert wanted == [
        (ms("2026-01-01T00:00"), ms("2026-02-01T00:00")),
        (ms("2026-02-01T00:00"), ms("2026-03-01T00:00")),
        (ms("2026-03-01T00:00"), ms("2026-04-01T00:00")),
    ]


def test_a_span_without_end_is_refused():
    with pytest.raises(ValueError, match="shorter span"):
        periods(0, 1 << 43, BERLIN, "hour")


def test_what_rose_between_two_readings_counts_where_the_later_one_lies():
    wanted = [(0, 60_000), (60_000, 120_000), (120_000, 180_000), (180_000, 240_000)]
    cells = [Cell(-9, -9, 4.0, 4.0), *readings(5.0, 7.0, 8.5)]
    assert values(cells, wanted) == [1.0, 2.0, 1.5, None]


def test_a_counter_that_begins_again_at_0_loses_nothing():
    assert values(readings(98.0, 99.0, 100.0, 0.5, 2.0), [(0, 1 << 40)]) == [4.0]
    # In one cell: up to 100, then from 0; the next cell goes on at 2.
    cells = [Cell(0, 9, 90.0, 98.0), Cell(10, 19, 0.0, 100.0), Cell(20, 29, 2.0, 5.0)]
    assert values(cells, [(0, 100)]) == [8.0 + 2.0 + 2.0 + 3.0]
    cells = [Cell(0, 9, 90.0, 98.0), Cell(10, 19, 0.0, 7.0)]
    assert values(cells, [(0, 100)]) == [8.0 + 7.0]


def test_a_small_step_down_is_a_correction():
    assert values(readings(5000.0, 5000.2, 5000.1, 5000.4), [(0, 1 << 40)]) == [0.4]


def test_without_readings_there_is_no_total():
    assert values([], [(0, 10)]) == [None]
    assert values(readings(3.0), [(0, 10)]) == [0.0]
