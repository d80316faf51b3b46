"""Copying all readings of one history store to another, while both are in use."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from jph.backoff import Backoff
from jph.errors import StoreError
from jph.stores import HistoryStore, Row
from tools.history.rows import FIRST_MS, Rows, spans
from tools.progress import Positions, Progress

BATCH_ROWS = 10_000  # in a transaction: other writers wait for it
TRIES = 5
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 8.0


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy came to.

    Args:
        until_ms: rows up to this time were copied, those that were there when it began.
        read: how many were read.
        new: how many of them were not there yet.
        was_continued: it began where an earlier one was interrupted.
    """

    until_ms: int
    read: int = 0
    new: int = 0
    was_continued: bool = False


def copy_all(source: Rows, target: HistoryStore, home: Path, name: str) -> Copied:
    """Copy what is in one history and not yet in another.

    What is there already is left alone, so it may be interrupted, and done again. A run that was
    interrupted is continued.
    """
    until_ms = source.last()
    if until_ms is None:
        return Copied(FIRST_MS)
    positions = Positions(home)
    begin_ms = positions.get(name)
    after_ms = FIRST_MS if begin_ms is None else begin_ms
    progress = Progress("copied", sum(source.counts(after_ms, until_ms).values()))
    read = new = 0
    for end_ms, rows in spans(source, after_ms, until_ms):
        rows.sort(key=itemgetter(0))
        for at in range(0, len(rows), BATCH_ROWS):
            batch = rows[at : at + BATCH_ROWS]
            new += append(target, batch)
            progress.add(len(batch))
        read += len(rows)
        positions.set(name, end_ms)
    positions.set(name, None)  # done: the next time all is looked at again
    progress.end()
    return Copied(until_ms, read, new, begin_ms is not None)


def append(store: HistoryStore, rows: Sequence[Row]) -> int:
    """Store rows, trying again for a while if the store is busy; return how many were new."""
    backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S)
    for left in reversed(range(TRIES)):
        try:
            return store.append(rows)
        except StoreError:
            if not left:
                raise
            time.sleep(backoff.next_s())
    raise AssertionError
