"""Take over what another Tenta or hermes has stored; nothing there is changed.

It may be repeated as often as you like, also while both servers run: users, networks, sensors and
revisions are known by their identifiers, and of measurements and lines of a log only as many are
added as there are more of over there, of one sensor, time, revision, attribute and value. So a run
that was ended goes on with the next, and the last run brings what came since.

Strategy: their rows come in the order of time. A portion ends between two times, and what we have
of its span is read by the index and taken off.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, func, select, text

from gateways.store import Store
from gateways.tenta import tables
from gateways.tenta.configurations import Outgoing, publish
from gateways.tenta.originals import Original, finite
from gateways.tenta.readings import as_microseconds, timestamp_of
from gateways.tenta.writing import Batch, storable, write

log = logging.getLogger(__name__)

PORTION = 5000  # rows, and those of the last time

Progress = Callable[[str, int, int], None]  # kind, rows done, rows in all


@dataclass(slots=True)
class Imported:
    """What an import brought.

    Args:
        added: new rows by kind; of measurements the data points.
        renamed: kind, name there, name here, where another one had the name already.
        left_out: data points and lines that cannot be taken over, such as NaN or a text.
    """

    added: dict[str, int] = field(default_factory=dict)
    renamed: list[tuple[str, str, str]] = field(default_factory=list)
    left_out: int = 0


def take_over(
    original: Original,
    store: Store,
    progress: Progress = lambda kind, done, total: None,
    to: Outgoing | None = None,
) -> Imported:
    """Bring everything from a database of Tenta or hermes into a store.

    Args:
        to: where new revisions of configurations are published; None: nowhere.

    Raises:
        StoreError: one of the two is away; what was brought stays, and another run goes on.
    """
    imported = Imported()
    with store.writing() as connection:
        for kind in ("user", "network", "sensor"):
            _add_named(connection, kind, original.rows(kind), imported)
        for kind in ("permission", "session"):
            _add_others(connection, kind, original.rows(kind), imported)
    with store.writing() as connection:
        sensors = _add_revisions(connection, original.rows("configuration"), imported)
        if to is not None:
            publish(connection, to, sensors)
    for kind, rows, add in (
        ("measurement", original.measurements(), _add_measurements),
        ("log", original.logs(), _add_lines),
    ):
        total, without_time = original.count(kind)
        imported.left_out += without_time
        imported.added[kind] = done = 0
        for portion in _portions(rows):
            with store.writing() as connection:
                add(connection, portion, imported)
            done += len(portion)
            progress(kind, done, total)
    return imported


def _portions(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield rows in portions; those of one time are in the same portion."""
    portion: list[tuple[Any, ...]] = []
    for row in rows:
        if len(portion) >= PORTION and row[1] != portion[-1][1]:
            yield portion
            portion = []
        portion.append(row)
    if portion:
        yield portion


def _add_named(
    connection: Connection, kind: str, rows: Iterable[dict[str, Any]], imported: Imported
) -> None:
    """Add users, networks or sensors; one whose name is taken gets another."""
    table: Table = getattr(tables, kind)
    known = set(connection.scalars(select(table.c.identifier)))
    count = 0
    for row in rows:
        if row["identifier"] in known:
            continue
        name = storable(row["name"])
        among = [table.c.name == name]
        if kind == "sensor":
            among.append(table.c.network_identifier == row["network_identifier"])
        number = 1
        while connection.scalar(select(func.count()).select_from(table).where(*among)):
            number += 1
            among[0] = table.c.name == f"{name}-{number}"
        row["name"] = name if number == 1 else f"{name}-{number}"
        if row["name"] != name:
            imported.renamed.append((kind, name, row["name"]))
        connection.execute(table.insert(), row)
        count += 1
    imported.added[kind] = count


def _add_others(
    connection: Connection, kind: str, rows: Iterable[dict[str, Any]], imported: Imported
) -> None:
    """Add permissions or sessions that are not there."""
    table: Table = getattr(tables, kind)
    keys = [column.name for column in table.primary_key]
    known = {tuple(row) for row in connection.execute(select(*table.primary_key))}
    new = [row for row in rows if tuple(row[key] for key in keys) not in known]
    if new:
        connection.execute(table.insert(), new)
    imported.added[kind] = len(new)


def _add_revisions(
    connection: Connection, rows: Iterable[dict[str, Any]], imported: Imported
) -> set[UUID]:
    """Add revisions of configurations, and what became of those that are there.

    Returns:
        The sensors that have new ones.
    """
    table = tables.configuration
    columns = table.c
    known = {
        (row.sensor_identifier, row.revision): row
        for row in connection.execute(
            select(
                columns.sensor_identifier,
                columns.revision,
                columns.publication_timestamp,
                columns.acknowledgment_timestamp,
            )
        )
    }
    new = []
    for row in rows:
        key = row["sensor_identifier"], row["revision"]
        ours = known.get(key)
        if ours is None:
            new.append(row)
            continue
        later = {
            name: row[name]
            for name in ("publication_timestamp", "acknowledgment_timestamp")
            if getattr(ours, name) is None and row[name] is not None
        }
        if "acknowledgment_timestamp" in later:
            later |= {name: row[name] for name in ("receipt_timestamp", "success")}
        if later:
            of_this = (columns.sensor_identifier == key[0], columns.revision == key[1])
            connection.execute(table.update().where(*of_this).values(later))
    if new:
        connection.execute(table.insert(), new)
    imported.added["configuration"] = len(new)
    return {row["sensor_identifier"] for row in new}


def _add_measurements(
    connection: Connection, portion: list[tuple[Any, ...]], imported: Imported
) -> None:
    points = []
    for sensor, created_us, revision, received_us, values in portion:
        numbers = finite(values)
        imported.left_out += len(values) - len(numbers)
        for name, value in numbers.items():
            points.append((sensor, created_us, revision, received_us, storable(name), value))
    ours = _ours(
        connection,
        points,
        "SELECT creation_timestamp, revision, attribute, value FROM measurement",
        "SELECT creation_timestamp, revision, name, value FROM measurement JOIN attribute"
        " ON attribute = number",
    )
    batch = Batch()
    for sensor, created_us, revision, received_us, name, value in points:
        key = sensor, created_us, revision, name, value
        if ours[key] > 0:
            ours[key] -= 1
        else:
            batch.measurements.append((sensor, created_us, revision, received_us, {name: value}))
    imported.added["measurement"] += write(connection, batch).readings


def _add_lines(connection: Connection, portion: list[tuple[Any, ...]], imported: Imported) -> None:
    columns = "creation_timestamp, revision, severity, message"
    ours = _ours(connection, portion, *[f"SELECT {columns} FROM log"] * 2)
    batch = Batch()
    for row in portion:
        sensor, created_us, revision, _, severity, message, *_ = row
        key = sensor, created_us, revision, storable(severity), storable(message)
        if ours[key] > 0:
            ours[key] -= 1
        else:
            batch.logs.append(row)
    imported.added["log"] += write(connection, batch).logs


def _ours(
    connection: Connection, rows: Iterable[tuple[Any, ...]], postgresql: str, sqlite: str
) -> Counter[tuple[Any, ...]]:
    """Count what we have in the span of some rows, by sensor, time and what the query returns."""
    spans: dict[UUID, list[int]] = defaultdict(list)
    for row in rows:
        spans[row[0]].append(row[1])
    is_postgres = connection.dialect.name == "postgresql"
    ours: Counter[tuple[Any, ...]] = Counter()
    for sensor, times in spans.items():
        of_sensor = (
            "sensor_identifier = :sensor"
            if is_postgres
            else "sensor = (SELECT number FROM sensor WHERE identifier = :sensor)"
        )
        query = text(
            f"{postgresql if is_postgres else sqlite} WHERE {of_sensor}"
            " AND creation_timestamp BETWEEN :first AND :last"
        )
        first, last = min(times), max(times)
        span: dict[str, Any]
        if is_postgres:
            span = {"sensor": sensor, "first": timestamp_of(first), "last": timestamp_of(last)}
        else:
            span = {"sensor": sensor.hex, "first": first, "last": last}
        for created, *others in connection.execute(query, span):
            ours[sensor, as_microseconds(created), *others] += 1
    return ours
