"""Rows in the binary form that PostgreSQL's COPY reads. Pure: nothing here connects.

PostgreSQL cannot hold NUL in text, which becomes its symbol, U+2400. Numbers are doubles there as
here, and the times of the bus end long before those of bigint.

Source: https://www.postgresql.org/docs/15/sql-copy.html, section "Binary Format".
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

from jph.stores import Row
from jph.stores.buckets import TEN_MINUTES_MS as BUCKET_MS
from jph.stores.postgres.schema import WEEK_MS

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # signature, flags, length of an extension
TRAILER = b"\xff\xff"

_BEGIN = struct.Struct(">hi").pack  # columns, bytes of the Codifier
_KEY = struct.Struct(">iqiq").pack  # timestamp, sequence
_VALUE = struct.Struct(">id").pack
_LENGTH = struct.Struct(">i").pack
_NULL = _LENGTH(-1)
_IN_GROUP = itemgetter(0, 2)  # of a Row: timestamp, sequence


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows in the order of their keys.

    Args:
        content: for COPY … FROM STDIN (FORMAT binary).
        marks: (Codifier, end) of the 10-minute buckets of their numbers, in order.
        weeks: the weeks of their timestamps.
    """

    content: bytes
    marks: list[tuple[str, int]]
    weeks: set[int]


def pack(rows: Iterable[Row]) -> Packed:
    """Pack rows in any order.

    Raises:
        ValueError: a time or sequence that no bigint holds.
    """
    groups: dict[str, list[Row]] = {}  # sorting each is cheaper: most are in order already
    for row in rows:
        try:
            groups[row[1]].append(row)
        except KeyError:
            groups[row[1]] = [row]
    parts = [HEADER]
    marks: list[tuple[str, int]] = []
    weeks: set[int] = set()
    try:
        for codifier in sorted(groups):
            group = groups[codifier]
            group.sort(key=_IN_GROUP)
            code = codifier.encode("utf-8", "replace")
            size, number = len(code), _number(len(code))
            parts += [
                number(5, size, code, 8, row[0], 8, row[2], 8, row[3], -1)
                if row[4] is None and row[3] is not None
                else _with_text(code, row)
                for row in group
            ]
            marks += [(codifier, end_ms) for end_ms in _ends(group)]
            weeks |= _weeks(group)
    except struct.error as error:
        raise ValueError(f"PostgreSQL cannot hold it: {error}") from error
    parts.append(TRAILER)
    return Packed(b"".join(parts), marks, weeks)


def _ends(group: list[Row]) -> list[int]:
    """Return the ends of the buckets of numbers among sorted rows."""
    first, last = (-(-row[0] // BUCKET_MS) * BUCKET_MS for row in (group[0], group[-1]))
    if first == last and group[0][3] is not None:
        return [first]
    return sorted({-(-row[0] // BUCKET_MS) * BUCKET_MS for row in group if row[3] is not None})


def _weeks(group: list[Row]) -> set[int]:
    first, last = group[0][0] // WEEK_MS, group[-1][0] // WEEK_MS
    return {first} if first == last else {row[0] // WEEK_MS for row in group}


@lru_cache(maxsize=8)
def _number(size: int) -> Callable[..., bytes]:
    """Return the packer of a row with a Codifier of so many bytes, a number and no text."""
    return struct.Struct(f">hi{size}siqiqidi").pack


def _with_text(code: bytes, row: Row) -> bytes:
    time_ms, _, sequence, value, text = row
    parts = [_BEGIN(5, len(code)), code, _KEY(8, time_ms, 8, sequence)]
    parts.append(_NULL if value is None else _VALUE(8, value))
    if text is None:
        parts.append(_NULL)
    else:
        encoded = text.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace")
        parts += [_LENGTH(len(encoded)), encoded]
    return b"".join(parts)
