"""Totals of a counter per hour, day or month, by the calendar of a person's zone. Pure.

A counter rises, and begins again at 0 when it is exchanged or loses its memory. A value of less
than half of the one before is such a new beginning; a smaller step down is a correction, and counts
as what it is: otherwise a meter that once shows 5000.1 after 5000.2 would have counted 5000.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from jph.stores.buckets import HOUR_MS

Per = Literal["hour", "day", "month"]

MOST_PERIODS = 800  # two years of days


class Cell(NamedTuple):
    """A time with at least one reading, the lowest and the highest; a reading has no width."""

    begin_ms: int
    end_ms: int
    low: float
    high: float


class Total(NamedTuple):
    """How much a counter rose in a period; None: no readings."""

    begin_ms: int
    end_ms: int
    value: float | None


def periods(start_ms: int, end_ms: int, zone: ZoneInfo, per: Per) -> list[tuple[int, int]]:
    """Return the hours, days or months of a zone that a span touches, each (begin, end) in ms.

    Raises:
        ValueError: there are too many.
    """
    found: list[tuple[int, int]] = []
    begin = datetime.fromtimestamp(start_ms / 1000, zone).replace(
        hour=0, minute=0, second=0, microsecond=0, fold=0
    )
    if per == "month":
        begin = begin.replace(day=1)
    while (begin_ms := _ms(begin)) < end_ms:
        after = _next_month(begin) if per == "month" else begin + timedelta(days=1)
        whole = (begin_ms, _ms(after))
        pieces = _hours(*whole) if per == "hour" else [whole]
        found += [piece for piece in pieces if piece[1] > start_ms and piece[0] < end_ms]
        if len(found) > MOST_PERIODS:
            raise ValueError(f"more than {MOST_PERIODS} periods: ask for a shorter span")
        begin = after
    return found


def totals(cells: Sequence[Cell], wanted: Sequence[tuple[int, int]]) -> list[Total]:
    """Return how much a counter rose in each of some periods.

    What it rose between two readings counts where the later one lies. A cell across the border of
    two periods is divided by time.

    Args:
        cells: in order; those before the first period tell where it began.
        wanted: periods in order, without overlaps.
    """
    sums: list[float | None] = [None] * len(wanted)
    place = 0
    for cell, gain in _gains(cells):
        while place < len(wanted) and wanted[place][1] <= cell.begin_ms:
            place += 1
        width_ms = cell.end_ms - cell.begin_ms
        for at in range(place, len(wanted)):
            begin_ms, end_ms = wanted[at]
            if begin_ms > cell.end_ms or (begin_ms == cell.end_ms and width_ms):
                break
            inside_ms = min(end_ms, cell.end_ms) - max(begin_ms, cell.begin_ms)
            share = inside_ms / width_ms if width_ms else 1.0
            sums[at] = (sums[at] or 0.0) + gain * share
    return [Total(*period, value) for period, value in zip(wanted, sums, strict=True)]


def _gains(cells: Sequence[Cell]) -> Iterator[tuple[Cell, float]]:
    """Yield each cell with how much the counter rose since the one before."""
    level: float | None = None
    for place, cell in enumerate(cells):
        if level is None:
            yield cell, cell.high - cell.low
            level = cell.high
        elif cell.low >= level / 2 or level <= 0:
            yield cell, cell.high - level
            level = cell.high
        elif cell.high < level:  # it began again before the first reading of the cell
            yield cell, cell.high
            level = cell.high
        else:  # in the cell: up to its highest, and from 0 to where the next cell goes on
            after = cells[place + 1].low if place + 1 < len(cells) else cell.low
            level_before, level = level, min(after, cell.high)
            yield cell, cell.high - level_before + max(level, 0.0)


def _hours(begin_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """Return the hours of a day, 23 or 25 of them where the clocks change."""
    return [(at, min(at + HOUR_MS, end_ms)) for at in range(begin_ms, end_ms, HOUR_MS)]


def _next_month(begin: datetime) -> datetime:
    return (begin + timedelta(days=32)).replace(day=1)


def _ms(local: datetime) -> int:
    return round(local.timestamp() * 1000)
