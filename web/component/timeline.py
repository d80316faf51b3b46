"""The states of a switch or of a text over a span, as bars with their durations. Pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from jph.stores import Series

MIXED = None  # the state of a bar in which a switch changed more often than can be shown
LONGEST_STATE = 200  # letters
MOST_REFINED = 100  # points that are looked at again for when a switch changed

Reread = Callable[[int, int], Series]


class Bar(NamedTuple):
    """A time in one state.

    Args:
        state: on, off or a text; None: it changed often.
        share: of the time in which a switch was on.
    """

    begin_ms: int
    end_ms: int
    state: str | None
    share: float = 0.0


class Share(NamedTuple):
    """How long something was in one state, and how often it went into it."""

    state: str
    ms: int
    times: int


def switch_bars(series: Series, end_ms: int, gap_ms: float, reread: Reread) -> list[Bar]:
    """Return the bars of a switch, whose readings are 0 and others.

    Args:
        end_ms: of the span, not after now.
        gap_ms: where readings are further apart, nothing is known.
        reread: returns the series of a shorter span, to find when the switch changed.
    """
    columns = zip(series.times_ms, series.values, series.lows, series.highs, strict=True)
    points = list(columns)
    half_ms = series.bucket_ms // 2
    refined = 0
    found: list[tuple[int, str | None, float]] = []  # begin, state, share
    for time_ms, mean, low, high in points:
        is_mixed = bool(low) != bool(high)
        if is_mixed and half_ms and refined < MOST_REFINED:
            refined += 1
            finer = reread(time_ms - half_ms, time_ms + half_ms)
            if not finer.bucket_ms and finer.times_ms:
                pairs = zip(finer.times_ms, finer.values, strict=True)
                found += [(at, _word(value), float(bool(value))) for at, value in pairs]
                continue
        found.append((time_ms - half_ms, MIXED if is_mixed else _word(high), mean))
    return _bars(found, end_ms, gap_ms)


def text_bars(texts: Iterable[tuple[int, str]], end_ms: int, gap_ms: float) -> list[Bar]:
    """Return the bars of texts, oldest first."""
    return _bars([(at, text[:LONGEST_STATE], 0.0) for at, text in texts], end_ms, gap_ms)


def shares(bars: Iterable[Bar]) -> list[Share]:
    """Return how long each state lasted, the longest first."""
    lasted: defaultdict[str, float] = defaultdict(float)
    times: Counter[str] = Counter()
    before: Bar | None = None
    for bar in bars:
        width_ms = bar.end_ms - bar.begin_ms
        if bar.state is MIXED:
            lasted["on"] += width_ms * bar.share
            lasted["off"] += width_ms * (1 - bar.share)
        else:
            lasted[bar.state] += width_ms
            times[bar.state] += before is None or before.state != bar.state
        before = bar
    found = [Share(state, round(ms), times[state]) for state, ms in lasted.items()]
    return sorted(found, key=lambda share: -share.ms)


def _bars(points: Sequence[tuple[int, str | None, float]], end_ms: int, gap_ms: float) -> list[Bar]:
    """Join points of one state; each lasts until the next one, or ends where a gap begins."""
    bars: list[Bar] = []
    for place, (begin_ms, state, share) in enumerate(points):
        until_ms = points[place + 1][0] if place + 1 < len(points) else end_ms
        is_gap = until_ms - begin_ms > gap_ms
        stop_ms = min(begin_ms + round(gap_ms), end_ms) if is_gap else until_ms
        last = bars[-1] if bars else None
        if last and last.state == state and state is not MIXED and last.end_ms == begin_ms:
            bars[-1] = last._replace(end_ms=stop_ms)
        elif stop_ms > begin_ms:
            bars.append(Bar(begin_ms, stop_ms, state, share))
    return bars


def _word(value: float) -> str:
    return "on" if value else "off"
