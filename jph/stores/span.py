"""Make a few points of a span of history: from readings, 10-minute or hourly statistics.

Strategy: take the readings if they are few; else the coarsest statistics that are no wider than a
point. Where statistics are not computed yet, and at the edges of the span, take readings; where the
readings were dropped, take statistics. Each falls into one of the cells, which have equal width and
make one point each.
"""

from collections import defaultdict
from typing import NamedTuple

from jph.stores.buckets import (
    HOUR,
    HOUR_MS,
    RAW,
    RESOLUTIONS,
    TEN_MINUTES,
    TEN_MINUTES_MS,
    Span,
    Statistic,
    end_of,
    merged,
    statistic_of,
    without,
)
from jph.stores.series import Series
from jph.stores.span_reader import Cell, SpanReader

FIELDS = ("value", "mean", "median", "mode", "max", "min", "stdev")
FROM_VALUES = ("median", "mode", "stdev")  # no database computes them while it groups readings
MOST_HOLES = 32  # stretches that are read from readings instead, so that a query stays short

# The columns of a statistic that each field needs: to read all would take longer.
_ALL = "mean, NULL, {median}, max, min, {stdev}, count"
COLUMNS = {
    "median": _ALL.format(median="median", stdev=0),
    "mode": "mean, mode, 0, max, min, 0, count",
    "stdev": _ALL.format(median=0, stdev="stdev"),
}
EVERY_COLUMN = "mean, mode, median, max, min, stdev, count"
MOST_TEN_MINUTES = 4_500  # buckets that are read at once, those of a month; of a longer span hours
NEVER_MS = -(1 << 62)  # up to where nothing was dropped

Plan = list[tuple[int, Span]]  # which resolution to read in each part of a span


class Field(NamedTuple):
    """A column, and the resolution if a suffix forces one."""

    name: str
    resolution: int | None


def parse_field(text: str) -> Field:
    """Return the column and the resolution that a field such as `mean-10min` asks for.

    Raises:
        ValueError: no such field.
    """
    name, dash, suffix = text.partition("-")
    if name not in FIELDS or (dash and suffix not in RESOLUTIONS):
        raise ValueError(
            f"no field {text[:40]!r}: one of {', '.join(FIELDS)}, perhaps with -10min or -hour"
        )
    return Field(name, RESOLUTIONS[suffix] if dash else None)


def read_series(
    source: SpanReader, field: Field, start_ms: int, end_ms: int, most_points: int
) -> Series:
    """Return the numbers with start_ms <= timestamp < end_ms as at most most_points points."""
    if most_points < 1:
        raise ValueError(f"most_points {most_points}, must be at least 1")
    early_ms = 0 if field.resolution is None else field.resolution * 60_000  # before its label
    asked = (start_ms - 1 - early_ms, end_ms - 1)
    extent = source.extent(asked) if start_ms < end_ms else None
    if extent is None:
        return Series.of([])
    if field.resolution is not None:
        # The label of a bucket lies up to one width behind its last reading.
        last_ms = end_of(extent[1], field.resolution)
        span = (max(start_ms - 1, extent[0]), min(end_ms - 1, last_ms))
        return _forced(source, field, span, most_points) if span[0] < span[1] else Series.of([])
    span = (max(start_ms - 1, extent[0]), min(end_ms - 1, extent[1]))
    if span[0] >= span[1]:
        return Series.of([])
    width_ms = -(-(span[1] - span[0]) // most_points)
    plan = _plan(source, span, width_ms)
    if [resolution for resolution, _ in plan] == [RAW]:
        readings = source.readings(span, most_points + 1)
        if len(readings) <= most_points:
            values = [0.0 if field.name == "stdev" else value for _, value in readings]
            return Series([time_ms for time_ms, _ in readings], values, values, values)
    else:
        coarsest = max(resolution for resolution, _ in plan)
        width_ms = max(width_ms, coarsest * 60_000)
    return _series(source, field, plan, span[0], width_ms)


def read_summary(source: SpanReader, start_ms: int, end_ms: int) -> Statistic | None:
    """Return the statistics of the numbers with start_ms <= timestamp < end_ms, None without any.

    Of many readings they are made of buckets: then there is no mode, and the median is the one of
    the buckets' medians that has half of the readings on each side.
    """
    span = source.known((start_ms - 1, end_ms - 1))
    if span is None:
        return None
    parts: list[Statistic] = []
    for resolution, part in rough_plan(source, span):
        if resolution != RAW:
            found = source.statistics(part, resolution, EVERY_COLUMN)
            parts += [statistic for _, statistic in found]
        elif values := [value for _, value in source.readings(part)]:
            parts.append(statistic_of(values))
    return joined(parts)


def joined(parts: list[Statistic]) -> Statistic | None:
    """Return the statistics of all numbers of some parts; None if there are none.

    Of several parts there is no mode, and the median is that of one of them.
    """
    if len(parts) < 2:
        return parts[0] if parts else None
    count = sum(part.readings for part in parts)
    mean = sum(part.mean * (part.readings / count) for part in parts)
    return Statistic(
        mean,
        None,
        _weighted_median(parts, count),
        max(part.max for part in parts),
        min(part.min for part in parts),
        _joint_stdev(parts, mean, count),
        count,
    )


def rough_plan(source: SpanReader, span: Span) -> Plan:
    """Plan how to read a whole span: its readings if they are few, else statistics."""
    if span[0] >= source.dropped_ms().get(RAW, NEVER_MS) and source.is_quick(span):
        return [(RAW, span)]
    is_long = span[1] - span[0] > MOST_TEN_MINUTES * TEN_MINUTES_MS
    return _plan(source, span, HOUR_MS if is_long else TEN_MINUTES_MS)


def _weighted_median(parts: list[Statistic], count: int) -> float:
    seen = 0
    for part in sorted(parts, key=lambda part: part.median):
        seen += part.readings
        if seen * 2 >= count:
            break
    return part.median


def _forced(source: SpanReader, field: Field, span: Span, most_points: int) -> Series:
    """Read the buckets of one resolution that end in a span, several as one where they are many."""
    resolution = field.resolution or TEN_MINUTES
    bucket_ms = resolution * 60_000
    start_ms = span[0] // bucket_ms * bucket_ms
    end_ms = span[1] // bucket_ms * bucket_ms
    if start_ms >= end_ms:
        return Series.of([])
    buckets = (end_ms - start_ms) // bucket_ms
    width_ms = -(-buckets // most_points) * bucket_ms
    dropped_ms = source.dropped_ms().get(RAW, NEVER_MS)
    plan = _buckets(source, (start_ms, end_ms), resolution, dropped_ms)
    return _series(source, field, plan, start_ms, width_ms, labels=True)


def _plan(source: SpanReader, span: Span, width_ms: int) -> Plan:
    """Plan how to read a span, for points of a width."""
    dropped = source.dropped_ms()
    dropped_ms = dropped.get(RAW, NEVER_MS)
    if width_ms >= HOUR_MS:
        return _pieces(source, span, HOUR, dropped_ms)
    if span[0] >= dropped_ms and source.is_quick(span):
        return [(RAW, span)]
    plan: Plan = []
    old_ms = min(max(dropped.get(TEN_MINUTES, NEVER_MS), span[0]), span[1])
    if span[0] < old_ms:
        plan += _pieces(source, (span[0], old_ms), HOUR, dropped_ms)
        span = (old_ms, span[1])
    return plan + _pieces(source, span, TEN_MINUTES, dropped_ms)


def _pieces(source: SpanReader, span: Span, resolution: int, dropped_ms: int) -> Plan:
    """Return statistics where there are any, readings for the rest of a span."""
    bucket_ms = resolution * 60_000
    start_ms, end_ms = end_of(span[0], resolution), span[1] // bucket_ms * bucket_ms
    if start_ms >= end_ms:
        return _edge(span, resolution, dropped_ms)
    plan = _edge((span[0], start_ms), resolution, dropped_ms)
    plan += _buckets(source, (start_ms, end_ms), resolution, dropped_ms)
    return plan + _edge((end_ms, span[1]), resolution, dropped_ms)


def _edge(span: Span, resolution: int, dropped_ms: int) -> Plan:
    """Return the readings of a part of a bucket; where they were dropped, the bucket itself.

    It is taken where its middle lies in the part, so that no bucket is taken twice.
    """
    cut_ms = min(max(span[0], dropped_ms), span[1])
    plan = [(RAW, (cut_ms, span[1]))] if cut_ms < span[1] else []
    half_ms = resolution * 30_000
    if span[0] < cut_ms:
        plan.append((resolution, (span[0] + half_ms, cut_ms + half_ms)))
    return plan


def _buckets(source: SpanReader, span: Span, resolution: int, dropped_ms: int) -> Plan:
    """Return the statistics of whole buckets, and the readings of those that are not computed."""
    bucket_ms = resolution * 60_000
    ends = (end_of(label, resolution) for label in source.marks(span))
    holes = [(end - bucket_ms, end) for end in ends]
    unmarked = source.unmarked()
    if unmarked is not None:
        start_ms = unmarked[0] // bucket_ms * bucket_ms
        holes.append((start_ms, end_of(unmarked[1], resolution)))
    start_ms = max(span[0], end_of(dropped_ms, resolution))
    cut = ((max(hole[0], start_ms), min(hole[1], span[1])) for hole in holes)
    holes = merged(cut, MOST_HOLES)
    plan = [(RAW, hole) for hole in holes]
    return plan + [(resolution, part) for part in without(span, holes)]


def _series(
    source: SpanReader,
    field: Field,
    plan: Plan,
    origin_ms: int,
    width_ms: int,
    *,
    labels: bool = False,
) -> Series:
    """Read the planned spans, and merge them into cells.

    Args:
        labels: whether a point is placed at the end of its cell, and buckets are sorted by their
            end; else in the middle between its first and its last reading, and by their middle.
    """
    cells: defaultdict[int, list[Cell]] = defaultdict(list)
    for resolution, span in plan:
        half_ms = 0 if labels else resolution * 30_000
        if resolution == RAW:
            found = _groups(source, field, span, origin_ms, width_ms)
        elif field.name not in FROM_VALUES:
            found = source.merged_statistics(span, resolution, half_ms, origin_ms, width_ms)
        else:
            statistics = source.statistics(span, resolution, COLUMNS[field.name])
            placed = ((end_ms - half_ms, statistic) for end_ms, statistic in statistics)
            found = [
                Cell((at_ms - origin_ms - 1) // width_ms, at_ms, at_ms, statistic)
                for at_ms, statistic in placed
            ]
        for cell in found:
            cells[cell.cell].append(cell)
    points = []
    for number, parts in sorted(cells.items()):
        at_ms = origin_ms + (number + 1) * width_ms
        if not labels:
            at_ms = (min(it.first_ms for it in parts) + max(it.last_ms for it in parts)) // 2
        point = _point(field, [it.statistic for it in parts])
        if point is not None:
            points.append((at_ms, *point))
    return Series.of(points, width_ms)


def _groups(
    source: SpanReader, field: Field, span: Span, origin_ms: int, width_ms: int
) -> list[Cell]:
    if field.name not in FROM_VALUES:
        return source.groups(span, origin_ms, width_ms)
    found: dict[int, list[tuple[int, float]]] = {}
    for reading in source.readings(span):
        found.setdefault((reading[0] - origin_ms - 1) // width_ms, []).append(reading)
    return [
        Cell(cell, readings[0][0], readings[-1][0], statistic_of([value for _, value in readings]))
        for cell, readings in found.items()
    ]


def _point(field: Field, parts: list[Statistic]) -> tuple[float, float, float] | None:
    """Return value, lowest and highest of a point that some statistics make together."""
    low = min(part.min for part in parts)
    high = max(part.max for part in parts)
    if field.name == "max":
        return high, high, high
    if field.name == "min":
        return low, low, low
    whole = parts[0] if len(parts) == 1 else None
    if field.name in ("median", "mode"):
        each = [part.median if field.name == "median" else part.mode for part in parts]
        found = sorted(value for value in each if value is not None)
        return (found[(len(found) - 1) // 2], low, high) if found else None
    count = sum(part.readings for part in parts)
    mean = whole.mean if whole else sum(part.mean * (part.readings / count) for part in parts)
    if field.name != "stdev":
        return mean, low, high
    stdev = whole.stdev if whole else _joint_stdev(parts, mean, count)
    return stdev, stdev, stdev


def _joint_stdev(parts: list[Statistic], mean: float, count: int) -> float:
    """Return the standard deviation of all numbers together."""
    squares = [part.stdev**2 + (part.mean - mean) ** 2 for part in parts]
    shares = [part.readings / count for part in parts]
    return float(sum(a * b for a, b in zip(squares, shares, strict=True)) ** 0.5)
