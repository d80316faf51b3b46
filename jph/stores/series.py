"""What a history returns: points, and the gaps between readings."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Series:
    """The numbers of one Codifier, as columns of one length, oldest first.

    Where there were more readings than points, each point stands for bucket_ms of time: the mean
    of its readings, their lowest and their highest, so that no peak vanishes, placed in the middle
    between its first and its last reading. A stretch without readings has no points: readings are
    missing between two points that are more than 2 * bucket_ms apart.

    Args:
        times_ms: ms since 1970.
        values: readings, or means; or those of another field.
        lows: lowest reading of each point; the same as values if each point is one reading, and
            for the fields max, min and stdev.
        highs: highest reading of each point; likewise.
        bucket_ms: width of a bucket, 0 where the points are the readings themselves.
    """

    times_ms: list[int]
    values: list[float]
    lows: list[float]
    highs: list[float]
    bucket_ms: int = 0

    @classmethod
    def of(cls, points: Iterable[tuple[int, float, float, float]], bucket_ms: int = 0) -> "Series":
        """Return the series of points (time, value, lowest, highest)."""
        columns: list[list[float]] = [list(column) for column in zip(*points, strict=True)]
        if not columns:
            return cls([], [], [], [], bucket_ms)
        times_ms, values, lows, highs = columns
        return cls([int(time_ms) for time_ms in times_ms], values, lows, highs, bucket_ms)


class Gaps(NamedTuple):
    """The gaps between the readings of one Codifier in a span.

    Args:
        first_ms, last_ms: times of the first and the last reading.
        spans: each from the last reading before a gap to the first one after it, oldest first.
        least_ms: shorter gaps than this were not looked for.
    """

    first_ms: int
    last_ms: int
    spans: list[tuple[int, int]]
    least_ms: int
