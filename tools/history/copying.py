"""Copy all readings of one history store to another, while both are in use."""

import time
from collections.abc import Sequence
from contextlib import suppress
from operator import itemgetter

import click

from jph.backoff import Backoff
from jph.errors import StoreError
from jph.stores import HistoryStore, Row
from tools.history.rows import FIRST_MS, Rows, spans
from tools.progress import Position, Progress

BATCH_ROWS = 10_000  # in a transaction: other writers wait for it
TRIES = 5
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 8.0


def copy_all(source: Rows, target: HistoryStore, position: Position) -> tuple[int, bool]:
    """Copy the rows of one history that another lacks.

    An interrupted run is continued at its position.

    Returns:
        The time up to which there were rows, ms, and whether a run was continued.
    """
    until_ms = source.last()
    begin_ms = position.get()
    read = new = 0
    if until_ms is not None:
        after_ms = FIRST_MS if begin_ms is None else begin_ms
        progress = Progress("copied", sum(source.counts(after_ms, until_ms).values()))
        for end_ms, rows in spans(source, after_ms, until_ms):
            rows.sort(key=itemgetter(0))
            for at in range(0, len(rows), BATCH_ROWS):
                batch = rows[at : at + BATCH_ROWS]
                new += append(target, batch)
                progress.add(len(batch))
            read += len(rows)
            position.set(end_ms)
        position.set(None)  # the next run looks at all rows again
        progress.end()
    click.echo(f"{read:,} readings copied, {new:,} of them were new")
    return FIRST_MS if until_ms is None else until_ms, begin_ms is not None


def copy_quarantine(source: Rows, target: HistoryStore) -> int:
    """Copy the readings in quarantine that another history lacks, as long as there is room.

    Returns:
        How many found no room.
    """
    rows = source.quarantine()
    goal = target.quarantine
    kept = [row for known in goal.summary() for row in goal.rows(known.codifier, known.readings)]
    there = {row[:3] for row in kept}
    new = [row for row in rows if row[:3] not in there]
    before = goal.dropped
    for at in range(0, len(new), BATCH_ROWS):
        goal.add(new[at : at + BATCH_ROWS])
    without_room = goal.dropped - before
    if rows:
        copied = len(new) - without_room
        click.echo(
            f"{len(rows):,} readings in quarantine, {copied:,} of them copied to that of the target"
        )
    return without_room


def append(store: HistoryStore, rows: Sequence[Row]) -> int:
    """Store rows, trying again for a while if the store is busy; return how many were new."""
    backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S)
    for _ in range(TRIES - 1):
        with suppress(StoreError):
            return store.append(rows)
        time.sleep(backoff.next_s())
    return store.append(rows)
