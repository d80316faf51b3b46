"""`jph history quarantine`: readings whose time cannot be right, and what becomes of them."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from jph.stores import HistoryStore
from tools.history.copying import append

ROWS = 10_000  # moved in one transaction


def show(store: HistoryStore) -> None:
    """Print what is in quarantine."""
    found = store.quarantine.summary()
    for kept in found:
        span = f"{_text(kept.first_ms)} to {_text(kept.last_ms)}"
        click.echo(f"{kept.codifier}: {kept.readings:,} readings of {span}")
    if found:
        click.echo(
            "jph history quarantine --accept moves them into the history, --drop deletes them"
        )
    else:
        click.echo("no readings are in quarantine")


def accept(store: HistoryStore, codifiers: Sequence[str]) -> None:
    """Move readings into the history; it may be interrupted and run again."""
    for codifier in _wanted(store, codifiers):
        moved = new = 0
        while rows := store.quarantine.rows(codifier, ROWS):
            new += append(store, rows)
            store.quarantine.remove(rows)
            moved += len(rows)
        click.echo(
            f"{codifier}: {moved:,} readings moved into the history, {new:,} of them were new"
        )


def drop(store: HistoryStore, codifiers: Sequence[str]) -> None:
    """Delete readings."""
    counts = {kept.codifier: kept.readings for kept in store.quarantine.summary()}
    for codifier in _wanted(store, codifiers):
        store.quarantine.drop(codifier)
        click.echo(f"{codifier}: {counts[codifier]:,} readings deleted")


def _wanted(store: HistoryStore, codifiers: Sequence[str]) -> list[str]:
    there = [kept.codifier for kept in store.quarantine.summary()]
    for codifier in codifiers:
        if codifier not in there:
            click.echo(f"{codifier}: no readings are in quarantine")
    return [codifier for codifier in there if codifier in codifiers or not codifiers]


def _text(time_ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError):  # beyond the year 9999, which the bus can carry
        return f"{time_ms} ms"
