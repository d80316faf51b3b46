"""A history as a writer on the bus uses it: readings whose time cannot be right are kept apart."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from jph.clock import time_now_ms
from jph.stores import HistoryStore, Row
from jph.stores.quarantine import split

log = logging.getLogger(__name__)

SAID_S = 600.0  # between two messages about readings in quarantine


class LiveHistory:
    """Stores rows of a live bus.

    Args:
        store: closed here.
        is_clock_right: tells whether the clock of this machine may judge those of others.
    """

    def __init__(self, store: HistoryStore, is_clock_right: Callable[[], bool]) -> None:
        self._store = store
        self._is_clock_right = is_clock_right
        self._said_s: float | None = None

    def append(self, rows: Sequence[Row]) -> int:
        """Store rows durably, all or none; return how many of them are new in the history."""
        absurd: list[Row] = []
        if self._is_clock_right():
            rows, absurd = split(rows, time_now_ms())
        added = self._store.append(rows) if rows else 0
        quarantine = self._store.quarantine
        quarantine.look()
        if absurd:
            dropped = quarantine.dropped
            quarantine.add(absurd)
            self._say(absurd, quarantine.dropped > dropped)
        return added

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _say(self, rows: Sequence[Row], is_full: bool) -> None:
        now_s = time.monotonic()
        if self._said_s is not None and now_s < self._said_s + SAID_S:
            return
        self._said_s = now_s
        log.warning(
            "%s sends readings of %s, more than a year back or a day ahead: such readings %s; set "
            "the clock of the sender, or of this machine, and see jph history quarantine",
            rows[0][1],
            _text(rows[0][0]),
            "are dropped, since the quarantine is full" if is_full else "go to the quarantine",
        )


def _text(time_ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError):  # beyond the year 9999
        return f"{time_ms} ms"
