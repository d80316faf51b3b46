"""Taking over what can still be read of a damaged history, or of a damaged spool."""

import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import click

from jph.bus.wire import is_codifier
from jph.errors import StoreError
from jph.stores import HistoryStore, Row, StatisticRow
from jph.stores.buckets import RESOLUTIONS
from jph.stores.sqlite.file import ASIDE, put_aside_before, set_repaired
from jph.stores.sqlite.salvage import Record, Salvage
from tools.history.copying import append
from tools.progress import Progress

BATCH_ROWS = 10_000  # in a transaction: other writers wait for it
TIMES_MS = range(1 << 48)  # that the bus can carry
SEQUENCES = range(1 << 32)


def damaged_in(store: HistoryStore, home: Path) -> list[Path]:
    """Return the damaged files of a history and of spools that wait for a repair, oldest first."""
    found = [] if store.path is None else put_aside_before(store.path)
    return found + sorted(home.glob(f"spool-*{ASIDE}*.sqlite"))


def repair(path: Path, store: HistoryStore) -> None:
    """Take over the readings and statistics of one file, and print what was read.

    Raises:
        StoreError: the file cannot be read at all, or the history cannot be written.
    """
    if path.is_dir():
        click.echo(f"{path} is a folder, with nothing of a history in it: delete it or move it")
        return
    try:
        salvage = Salvage(path, lambda record: bool(rows_in(record) or _statistic(record)))
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    progress = Progress(path.name, salvage.pages, "pages")
    read = new = read_statistics = new_statistics = 0
    for records in _batches(salvage, progress):
        rows = [row for record in records for row in rows_in(record)]
        if rows:
            new += append(store, rows)
            read += len(rows)
        statistics = [it for record in records if (it := _statistic(record)) is not None]
        if statistics:
            new_statistics += store.statistics.restore(statistics)
            read_statistics += len(statistics)
    progress.end()
    click.echo(f"{path}: {read:,} readings read, {new:,} of them were new")
    if read_statistics:
        click.echo(f"{read_statistics:,} statistics read, {new_statistics:,} of them were new")
    if salvage.damaged:
        lost = f": at most about {salvage.most_lost():,} rows are lost" if read else ""
        pages = f"{salvage.damaged:,} of its {salvage.pages:,} pages"
        click.echo(f"{pages} could not be read, or not as a whole{lost}")
    else:
        click.echo("all of its pages could be read")
    if ASIDE in path.name:
        with suppress(OSError):
            click.echo(f"it is {set_repaired(path).name} now; delete it when you need it no more")


def _batches(salvage: Salvage, progress: Progress) -> Iterator[Sequence[Record]]:
    batch: list[Record] = []
    for records in salvage.records():
        progress.add(1)
        batch += records
        if len(batch) >= BATCH_ROWS:
            yield batch
            batch = []
    yield batch


def rows_in(record: Record) -> list[Row]:
    """Return the readings in a record of a history, or in one of a spool."""
    match record:
        case (int(time_ms), str(codifier), int(sequence), None | int() | float(), None | str()):
            row = _row(time_ms, codifier, sequence, record[3], record[4])
            return [] if row is None else [row]
        case (None, int(), bytes(packed)):
            with suppress(zlib.error, ValueError, TypeError):
                found = [_row(*row) for row in json.loads(zlib.decompress(packed))]
                return [row for row in found if row is not None]
    return []


def _row(time_ms: int, codifier: str, sequence: int, value: object, text: object) -> Row | None:
    is_row = time_ms in TIMES_MS and is_codifier(codifier) and sequence in SEQUENCES
    if not is_row or not (text is None or isinstance(text, str)):
        return None
    number = float(value) if isinstance(value, int | float) else None  # SQLite stores 2.0 as 2
    return time_ms, codifier, sequence, number, text


def _statistic(record: Record) -> StatisticRow | None:
    match record:
        case (int(resolution), str(codifier), int(end_ms), *numbers, int(count)) if (
            resolution in RESOLUTIONS.values()
            and is_codifier(codifier)
            and end_ms in TIMES_MS
            and len(numbers) == 6
        ):
            mean, mode, median, most, least, stdev = (
                float(number) if isinstance(number, int | float) else None for number in numbers
            )
            if None not in (mean, median, most, least, stdev):
                return (
                    *(resolution, codifier, end_ms),
                    *(mean, mode, median, most, least, stdev),
                    count,
                )  # type: ignore[return-value]
    return None
