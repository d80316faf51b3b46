"""How long history is kept: by age, for each resolution, and by size.

By size the oldest readings go first, then the oldest 10-minute statistics, then the hourly ones; of
each the last day stays.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
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

    def __post_init__(self) -> None:
        """Refuse to keep finer data for longer than coarser, since no page would find it."""
        ages = {
            "RawDays": self.raw_days,
            "10minDays": self.ten_minutes_days,
            "HourDays": self.hour_days,
        }
        for (finer, longer), (key, days) in pairwise(ages.items()):
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
        ages = (
            (RAW, self._keep.raw_days),
            (TEN_MINUTES, self._keep.ten_minutes_days),
            (HOUR, self._keep.hour_days),
        )
        for resolution, days in ages:
            if days is not None:
                before_ms = now_ms - int(days * DAY_MS)
                self._drop(
                    lambda r=resolution, b=before_ms: store.drop_before(r, b),  # type: ignore[misc]
                    f"older than {days:g} days",
                )
        if self._keep.most_mb is not None:
            self._shorten(store, now_ms, int(self._keep.most_mb * 1e6))

    def _shorten(self, store: StatisticsStore, now_ms: int, most_bytes: int) -> None:
        for resolution in (RAW, TEN_MINUTES, HOUR):

            def oldest(resolution: int = resolution) -> Dropped | None:
                if store.size_bytes() <= most_bytes:
                    return None
                return store.drop_oldest(resolution, now_ms - LEAST_MS)

            self._drop(oldest, f"beyond {most_bytes / 1e6:g} MB")
        size = store.size_bytes()
        if size > most_bytes:
            large = f"history takes {size / 1e6:.0f} MB, more than MostMB {most_bytes / 1e6:g}"
            self._too_large.note(f"{large}, and nothing more can be dropped now")
        else:
            self._too_large.end(f"history takes {size / 1e6:.0f} MB, which MostMB allows")

    def _drop(self, drop: Callable[[], Dropped | None], why: str) -> None:
        """Drop pieces of one resolution until there are no more, and log them."""
        pieces = 0
        size = 0
        last: Dropped | None = None
        while self._goes_on() and (piece := drop()) is not None:
            pieces, size, last = pieces + 1, size + piece.bytes, piece
        if last is not None:
            log.info(
                "dropped %s up to %s, %s: about %.1f MB",
                NAMES[last.resolution],
                _utc(last.before_ms),
                why,
                size / 1e6,
            )


def _utc(time_ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"
