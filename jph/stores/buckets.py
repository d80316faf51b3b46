"""Buckets of time, and the statistics of the numbers in one. Pure: no store is opened here.

A bucket is (start, end], labelled by its end, ms since 1970; its resolution is its width in
minutes, 10 or 60. A reading at the very end belongs to the bucket, one at the start to that before.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

RAW = 0  # the resolution of readings themselves
TEN_MINUTES = 10
HOUR = 60
RESOLUTIONS = {"10min": TEN_MINUTES, "hour": HOUR}  # names in fields and views

TEN_MINUTES_MS = TEN_MINUTES * 60_000
HOUR_MS = HOUR * 60_000

Span = tuple[int, int]  # (start, end], ms since 1970


class Statistic(NamedTuple):
    """The statistics of the numbers in a bucket.

    Args:
        mode: the most frequent number; None when there is no single one.
        median: the middle one by size, or the mean of the two in the middle.
        stdev: population standard deviation.
    """

    mean: float
    mode: float | None
    median: float
    max: float
    min: float
    stdev: float
    readings: int


def width_ms(resolution: int) -> int:
    """Return the width of a bucket of a resolution."""
    return resolution * 60_000


def end_of(timestamp_ms: int, resolution: int) -> int:
    """Return the end of the bucket that a time lies in."""
    width = width_ms(resolution)
    return -(-timestamp_ms // width) * width


def statistic_of(values: Sequence[float]) -> Statistic:
    """Return the statistic of one number or more, all of them finite.

    Numbers are scaled if they are so large or so small that a double cannot hold their squares.
    """
    ordered = sorted(values)
    count = len(ordered)
    low, high = ordered[0], ordered[-1]
    if low == high:
        return Statistic(low, low, low, high, low, 0.0, count)
    exponent = math.frexp(max(-low, high))[1]
    shift = exponent if abs(exponent) > 450 else 0  # 2**450 squared a million times is a double
    scaled = [math.ldexp(value, -shift) for value in ordered] if shift else ordered
    mean = math.fsum(scaled) / count
    deviations = [value - mean for value in scaled]
    # The second term takes back what the rounding of the mean added.
    squares = math.fsum(d * d for d in deviations) - math.fsum(deviations) ** 2 / count
    stdev = math.sqrt(max(squares, 0.0) / count)
    half = count // 2
    median = ordered[half]
    if not count % 2:
        median = ordered[half - 1] / 2 + median / 2 if shift else (ordered[half - 1] + median) / 2
    return Statistic(
        min(max(math.ldexp(mean, shift), low), high),
        single_mode(ordered),
        median,
        high,
        low,
        math.ldexp(stdev, shift),
        count,
    )


def single_mode(values: Iterable[float]) -> float | None:
    """Return the most frequent number, None if several are equally frequent."""
    (first, most), *second = Counter(values).most_common(2)
    return None if second and second[0][1] == most else first


def merged(spans: Iterable[Span], most: int | None = None) -> list[Span]:
    """Sort spans and join those that touch, then the closest ones until at most `most` are left."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        elif start < end:
            result.append((start, end))
    if most is None or len(result) <= most:
        return result
    gaps = sorted(
        (result[place][0] - result[place - 1][1], place) for place in range(1, len(result))
    )
    kept = {place for _, place in gaps[len(result) - most :]}
    fewer = [result[0]]
    for place in range(1, len(result)):
        if place in kept:
            fewer.append(result[place])
        else:
            fewer[-1] = (fewer[-1][0], result[place][1])
    return fewer


def without(span: Span, holes: Iterable[Span]) -> list[Span]:
    """Return the parts of a span that lie outside some others, which are in order."""
    start, end = span
    left: list[Span] = []
    for hole_start, hole_end in holes:
        if hole_end <= start or hole_start >= end:
            continue
        if start < hole_start:
            left.append((start, hole_start))
        start = max(start, hole_end)
    if start < end:
        left.append((start, end))
    return left
