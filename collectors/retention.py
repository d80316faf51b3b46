"""How long history is kept: by age, for each resolution, and by size.

By size the oldest readings go first, then the oldest 10-minute statistics, then the hourly ones; of
each the last day stays.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

from jph.faults import Fault
from jph.settings import setting
from jph.stores import Dropped, StatisticsStore
from jph.stores.buckets import HOUR, RAW, TEN_MINUTES

log = logging.getLogger(__name__)

DAY_MS = 86_400_000
LEAST_MS = DAY_MS  # a limit of size does not drop the last day
NAMES = {RAW: "readings", TEN_MINUTES: "10-minute statistics", HOUR: "hourly statistics"}


@dataclass(frozen=True, slots=True)
class Keep:
    """What of history is kept; None: all of it."""

    raw_days: float | None = setting(None, key="RawDays", gt=0, doc="age of readings, days")
    ten_minutes_days: float | None = setting(
        None, key="10minDays", gt=0, doc="age of 10-minute statistics, days"
    )
    hour_days: float | None = setting(
        None, key="HourDays", gt=0, doc="age of hourly statistics, days"
    )
    most_mb: float | None = setting(None, key="MostMB", gt=0, doc="size of all, MB")

    @property
    def days(self) -> dict[int, float | None]:
        """The age that each resolution may reach, from the finest on."""
        return {RAW: self.raw_days, TEN_MINUTES: self.ten_minutes_days, HOUR: self.hour_days}

    def __post_init__(self) -> None:
        """Refuse to keep finer data for longer than coarser, since no page would find it."""
        ages = zip(("RawDays", "10minDays", "HourDays"), self.days.values(), strict=True)
        for (finer, longer), (key, days) in pairwise(ages):
            if (days or math.inf) < (longer or math.inf):
                given = "which is absent: for ever" if longer is None else f"{longer:g}"
                raise ValueError(f"{key}: must not be less than {finer}, {given}")


class Retention:
    """Drops history piece by piece, and logs it.

    Args:
        keep: what is kept.
        goes_on: asked before each piece.
    """

    def __init__(self, keep: Keep, goes_on: Callable[[], bool] = lambda: True) -> None:
        self._keep = keep
        self._goes_on = goes_on
        self._too_large = Fault(log)

    def apply(self, store: StatisticsStore, now_ms: int) -> None:
        """Drop data that is too old, then data beyond the size."""
        for resolution, days in self._keep.days.items():
            if days is not None:
                drop = partial(store.drop_before, resolution, now_ms - int(days * DAY_MS))
                self._drop(drop, f"older than {days:g} days")
        if self._keep.most_mb is not None:
            self._shorten(store, now_ms, self._keep.most_mb)

    def _shorten(self, store: StatisticsStore, now_ms: int, most_mb: float) -> None:
        def drop(resolution: int) -> Dropped | None:
            if store.size_bytes() <= most_mb * 1e6:
                return None
            return store.drop_oldest(resolution, now_ms - LEAST_MS)

        for resolution in NAMES:
            self._drop(partial(drop, resolution), f"beyond {most_mb:g} MB")
        size_mb = store.size_bytes() / 1e6
        if size_mb > most_mb:
            large = f"history takes {size_mb:.0f} MB, more than MostMB {most_mb:g}"
            self._too_large.note(f"{large}, and nothing more can be dropped now: raise MostMB")
        else:
            self._too_large.end(f"history takes {size_mb:.0f} MB, which MostMB allows")

    def _drop(self, drop: Callable[[], Dropped | None], why: str) -> None:
        """Drop pieces of one resolution until there are no more, and log them."""
        size_mb = 0.0
        last: Dropped | None = None
        while self._goes_on() and (piece := drop()) is not None:
            size_mb, last = size_mb + piece.bytes / 1e6, piece
        if last is not None:
            name, until = NAMES[last.resolution], _utc(last.before_ms)
            log.info("dropped %s up to %s, %s: about %.1f MB", name, until, why, size_mb)


def _utc(time_ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"
