"""The tables of ESP32 boards, in both kinds of store; times are ms since 1970.

esp32_board    the boards of each gateway, with the session that each has
esp32_reading  what they reported; `n` counts values of one ms from 0
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from sqlalchemy import Connection, Row, TextClause, text

from gateways.esp32.boards import MOST_LIGHT, Board
from gateways.esp32.protocol import Kind
from gateways.steps import Step

KINDS: tuple[Kind, ...] = get_args(Kind)  # a kind's place in it is its number in the store
SHOWN = MOST_LIGHT

_BOARD = (
    "gateway TEXT NOT NULL, mac TEXT NOT NULL, name TEXT NOT NULL, own_name TEXT NOT NULL,"
    " session TEXT NOT NULL, stage TEXT NOT NULL, since_ms BIGINT NOT NULL,"
    " joined_ms BIGINT NOT NULL, seen_ms BIGINT NOT NULL, UNIQUE (gateway, mac))"
)
_READING = (
    "CREATE TABLE esp32_reading (board BIGINT NOT NULL, kind SMALLINT NOT NULL,"
    " at_ms BIGINT NOT NULL, n INTEGER NOT NULL, value SMALLINT NOT NULL,"
    " PRIMARY KEY (board, kind, at_ms, n))"
)
STEPS = (
    Step(
        "esp32",
        sqlite=(
            f"CREATE TABLE esp32_board (number INTEGER PRIMARY KEY AUTOINCREMENT, {_BOARD}",
            f"{_READING} WITHOUT ROWID",
        ),
        postgresql=(
            "CREATE TABLE esp32_board (number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
            f" {_BOARD}",
            _READING,
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A value that a board reported."""

    mac: str
    kind: Kind
    at_ms: int
    value: int


KEEP = text(
    "INSERT INTO esp32_board (gateway, mac, name, own_name, session, stage, since_ms, joined_ms,"
    " seen_ms) VALUES (:gateway, :mac, :name, :own_name, :session, :stage, :since_ms, :joined_ms,"
    " :seen_ms) ON CONFLICT (gateway, mac) DO UPDATE SET name = excluded.name,"
    " own_name = excluded.own_name, session = excluded.session, stage = excluded.stage,"
    " since_ms = excluded.since_ms, joined_ms = excluded.joined_ms, seen_ms = excluded.seen_ms"
)
FORGET = text("DELETE FROM esp32_board WHERE gateway = :gateway AND mac = :mac")
ADD = text(
    "INSERT INTO esp32_reading SELECT :board, :kind, :at_ms, coalesce(max(n) + 1, 0), :value"
    " FROM esp32_reading WHERE board = :board AND kind = :kind AND at_ms = :at_ms"
)
LAST = text(
    "SELECT at_ms, value FROM esp32_reading WHERE board = :board AND kind = :kind"
    f" ORDER BY at_ms DESC, n DESC LIMIT {SHOWN}"
)


def _number(mac: str, gateway: str) -> tuple[TextClause, dict[str, str]]:
    query = text("SELECT number FROM esp32_board WHERE gateway = :gateway AND mac = :mac")
    return query, {"gateway": gateway, "mac": mac}


def keep_boards(connection: Connection, gateway: str, boards: Collection[Board]) -> None:
    """Write boards as they are now, and delete those that are forgotten."""
    kept = [_row(gateway, board) for board in boards if not board.forgotten]
    forgotten = [{"gateway": gateway, "mac": board.mac} for board in boards if board.forgotten]
    if kept:
        connection.execute(KEEP, kept)
    if forgotten:
        connection.execute(FORGET, forgotten)


def _row(gateway: str, board: Board) -> dict[str, Any]:
    return {
        "gateway": gateway,
        "mac": board.mac,
        "name": board.name,
        "own_name": board.own_name,
        "session": board.session,
        "stage": board.stage,
        "since_ms": board.since_ms,
        "joined_ms": board.joined_ms,
        "seen_ms": board.seen_ms,
    }


def numbers(connection: Connection, gateway: str) -> dict[str, int]:
    """Return the numbers of all boards, by MAC address."""
    query = text("SELECT mac, number FROM esp32_board WHERE gateway = :gateway")
    return {mac: number for mac, number in connection.execute(query, {"gateway": gateway})}


def add_readings(
    connection: Connection, readings: Sequence[Reading], boards: Mapping[str, int]
) -> None:
    """Write what boards reported.

    Args:
        boards: their numbers.
    """
    if readings:
        rows = [
            {
                "board": boards[each.mac],
                "kind": KINDS.index(each.kind),
                "at_ms": each.at_ms,
                "value": each.value,
            }
            for each in readings
        ]
        connection.execute(ADD, rows)


def boards(connection: Connection, gateway: str) -> list[Board]:
    """Return all boards with their last values."""
    query = text("SELECT * FROM esp32_board WHERE gateway = :gateway ORDER BY number")
    rows = connection.execute(query, {"gateway": gateway}).all()
    return [_board(connection, row) for row in rows]


def _board(connection: Connection, row: Row[Any]) -> Board:
    last = {kind: _last(connection, row.number, kind) for kind in KINDS}
    led, button, light = last["led"], last["button"], last["photoresistor"]
    times = (at_ms for values in last.values() for at_ms, _ in values)
    return Board(
        row.mac,
        row.name,
        row.own_name,
        row.session,
        row.stage,
        row.since_ms,
        row.joined_ms,
        max(row.seen_ms, *times, 0),  # it is not written with each value
        bool(led[-1][1]) if led else None,
        bool(button[-1][1]) if button else None,
        light,
        led[-1][0] if led else None,
        button[-1][0] if button else None,
    )


def last_values(
    connection: Connection, gateway: str, mac: str
) -> dict[Kind, tuple[tuple[int, int], ...]]:
    """Return the last values of each kind of a board, oldest first."""
    number = connection.scalar(*_number(mac, gateway))
    return {kind: _last(connection, number, kind) for kind in KINDS}


def _last(connection: Connection, number: int | None, kind: Kind) -> tuple[tuple[int, int], ...]:
    rows = connection.execute(LAST, {"board": number, "kind": KINDS.index(kind)})
    return tuple((at_ms, value) for at_ms, value in reversed(rows.all()))
