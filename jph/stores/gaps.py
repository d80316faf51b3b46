"""Find the gaps in a history: where readings are further apart than they may be.

Where the readings are few, each of them is looked at. Else a bucket of statistics stands for the
time that it covers, so that gaps shorter than a bucket are not seen, and only the readings at the
edges of a gap are looked at.
"""

from itertools import pairwise

from jph.stores.buckets import RAW, Span
from jph.stores.series import Gaps
from jph.stores.span import rough_plan
from jph.stores.span_reader import SpanReader

COUNT_ALONE = "0, NULL, 0, 0, 0, 0, count"


def read_gaps(source: SpanReader, start_ms: int, end_ms: int, longest_ms: int) -> Gaps | None:
    """Return the gaps of more than longest_ms between readings with start_ms <= timestamp < end_ms.

    None: there are no readings, or there are too many that are no numbers.
    """
    span = source.known((start_ms - 1, end_ms - 1))
    if span is None:
        return None
    covered: list[tuple[int, int, int]] = []  # first, last, width of the bucket
    for resolution, part in rough_plan(source, span):
        if resolution == RAW:
            covered += [(time_ms, time_ms, 0) for time_ms in source.times(part)]
        else:
            width_ms = resolution * 60_000
            ends = [end_ms for end_ms, _ in source.statistics(part, resolution, COUNT_ALONE)]
            covered += [(end_ms - width_ms + 1, end_ms, width_ms) for end_ms in ends]
    if not covered:
        return None
    covered.sort()
    gaps: list[Span] = []
    for before, after in pairwise(covered):
        if after[0] - before[1] <= longest_ms:
            continue
        last_ms = _edge(source, before, span)[1]
        first_ms = _edge(source, after, span)[0]
        gaps.append((last_ms, first_ms))
    first, last = covered[0], covered[-1]
    return Gaps(
        _edge(source, first, span)[0],
        _edge(source, last, span)[1],
        gaps,
        max(longest_ms, *(width_ms for _, _, width_ms in covered)),
    )


def _edge(source: SpanReader, bucket: tuple[int, int, int], span: Span) -> Span:
    """Return the first and the last reading of a bucket; its bounds where they were dropped."""
    first_ms, last_ms, width_ms = bucket
    times = source.times((first_ms - 1, last_ms)) if width_ms else []
    if times:
        return times[0], times[-1]
    return max(first_ms, span[0] + 1), min(last_ms, span[1])
