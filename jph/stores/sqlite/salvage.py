"""What can still be read of a damaged file of SQLite, page by page, without SQLite.

Strategy: SQLite finds a row by the pages above it, and gives up where one is damaged; but every
page of rows says itself what is in it. So each page is read on its own, wherever it belongs. On one
whose own table of contents is damaged, rows are found by the look of their headers, which give the
size of a row twice. The log is read in the same way. Only pages that are free by an undamaged list
are left out: their rows were deleted. A row that the damage turned into another valid one cannot be
told from a good one, since SQLite keeps no checksums.

    page    byte 0: kind; 3-4: number of cells; from 8, or 12 if it points to others: their offsets
    cell    [page below, 4 bytes] size of the record, [rowid,] record, [first page with the rest]
    record  size of its header, a serial type for each column; then the columns

Numbers are big-endian; sizes, rowids and serial types are varints of 1 to 9 bytes.

Source: https://www.sqlite.org/fileformat2.html
"""

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from jph.stores.sqlite.file import MAGIC, PAGE_SIZE

INDEX_INTERIOR, TABLE_INTERIOR, INDEX_LEAF, TABLE_LEAF = 2, 5, 10, 13
KINDS = (INDEX_INTERIOR, TABLE_INTERIOR, INDEX_LEAF, TABLE_LEAF)
WAL_HEAD, FRAME_HEAD = 32, 24
MOST_RECORD = 1 << 24  # bytes; a larger size is damage
# The header of a row of 3 to 10 columns, at least one of them a Codifier: a text of 2 bytes.
HEADER = re.compile(rb"(?=[\x04-\x0c][\x00-\x09\x11-\xff]{0,9}\x11)", re.DOTALL)

Record = tuple[object, ...]


class DamageError(ValueError):
    """This is no record."""


@dataclass(slots=True)
class Salvage:
    """The records of one file and of its log, and how much of it could be read.

    Args:
        path: of the file.
        is_wanted: tells whether a record is a row; asked where rows are found by their looks.
    """

    path: Path
    is_wanted: Callable[[Record], bool]
    pages: int = 0  # in file and log
    damaged: int = 0  # of them, with something that could not be read
    _whole: list[int] = field(default_factory=list)  # records on each page that could be read
    _parted: int = 0  # records on pages of which only a part could be read
    _size: int = PAGE_SIZE
    _usable: int = PAGE_SIZE
    _parts: list[tuple[Path, int]] = field(default_factory=list)  # where each page begins
    _place: dict[int, int] = field(default_factory=dict)  # of a page number among _parts
    _rest: set[int] = field(default_factory=set)  # pages that hold the rest of a record
    _unknown: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._read_head()
        size = self.path.stat().st_size
        for number in range(-(-size // self._size)):
            if (number + 1) * self._size <= size:  # else no record may go on there
                self._place[number + 1] = len(self._parts)
            self._parts.append((self.path, number * self._size))
        log = self.path.with_name(self.path.name + "-wal")
        if log.is_file():
            self._add_log(log)
        self.pages = len(self._parts)

    def records(self) -> Iterator[list[Record]]:
        """Yield the records of each page; afterwards the counts are right."""
        free = self._free()
        for index in range(len(self._parts)):
            page = self._page(index)
            is_first = self._parts[index] == (self.path, 0)
            if index in free or (is_first and not any(page)):
                self.damaged += is_first
                yield []
            elif (found := self._cells(page, 100 if is_first else 0)) is not None:
                if found:
                    self._whole.append(len(found))
                yield found
            else:
                self._unknown.add(index)
                found = [it for it in self._by_looks(page) if self.is_wanted(it)]
                self._parted += len(found)
                yield found
        self.damaged += len(self._unknown - self._rest)

    def most_lost(self) -> int:
        """Return about how many records at most were on pages that could not be read."""
        usual = sum(self._whole) / len(self._whole) if self._whole else 0.0
        return max(0, round(self.damaged * usual) - self._parted)

    # Pages

    def _read_head(self) -> None:
        with self.path.open("rb") as file:
            head = file.read(100)
        if len(head) < 100 or not head.startswith(MAGIC):
            return
        size = int.from_bytes(head[16:18], "big")
        size = 65536 if size == 1 else size
        if size >= 512 and not size & (size - 1):
            self._size, self._usable = size, size - head[20]

    def _add_log(self, log: Path) -> None:
        step = FRAME_HEAD + self._size
        frames = max(0, log.stat().st_size - WAL_HEAD) // step
        with log.open("rb") as file:
            for frame in range(frames):
                at = WAL_HEAD + frame * step
                file.seek(at)
                number = int.from_bytes(file.read(4), "big")
                self._place[number] = len(self._parts)  # the newest is read first
                self._parts.append((log, at + FRAME_HEAD))

    def _page(self, index: int) -> bytes:
        """Return a page, or what is left of it."""
        path, offset = self._parts[index]
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(self._size)
        except OSError:  # the disk cannot read it
            return b""

    def _free(self) -> set[int]:
        """Return the places of the pages that the list of free ones names, if it is sound."""
        found: set[int] = set()
        head = self._page(self._place.get(1, 0)) if self._parts else b""
        if not head.startswith(MAGIC):
            return found
        trunk, count = struct.unpack_from(">II", head, 32)
        while trunk and trunk in self._place and self._place[trunk] not in found:
            page = self._page(self._place[trunk])
            found.add(self._place[trunk])
            trunk, leaves = struct.unpack_from(">II", page) if page else (0, self._size)
            if leaves > self._size // 4 - 2:
                return set()
            for leaf in struct.unpack_from(f">{leaves}I", page, 8):
                if leaf in self._place:
                    found.add(self._place[leaf])
        return found if not trunk and len(found) == count else set()

    # Records

    def _cells(self, page: bytes, start: int) -> list[Record] | None:
        """Return the records of a page by its table of contents; None if that is damaged."""
        if len(page) < self._size or page[start] not in KINDS:
            return None
        kind = page[start]
        first = start + (12 if kind in (INDEX_INTERIOR, TABLE_INTERIOR) else 8)
        cells = int.from_bytes(page[start + 3 : start + 5], "big")
        if first + 2 * cells > self._size:
            return None
        if kind == TABLE_INTERIOR:
            return []
        offsets = struct.unpack_from(f">{cells}H", page, first)
        try:
            return [self._cell(page, offset, kind) for offset in offsets]
        except (DamageError, IndexError):
            return None

    def _cell(self, page: bytes, at: int, kind: int) -> Record:
        if kind == INDEX_INTERIOR:
            at += 4
        size, at = _varint(page, at)
        if kind == TABLE_LEAF:
            _, at = _varint(page, at)
        return _decoded(self._payload(page, at, size, is_table=kind == TABLE_LEAF))

    def _payload(self, page: bytes, at: int, size: int, *, is_table: bool) -> bytes:
        """Return the bytes of a record, some of which may be on further pages."""
        if size > MOST_RECORD:
            raise DamageError
        usable = self._usable
        most = usable - 35 if is_table else (usable - 12) * 64 // 255 - 23
        if size <= most:
            if at + size > usable:
                raise DamageError
            return page[at : at + size]
        least = (usable - 12) * 32 // 255 - 23
        here = least + (size - least) % (usable - 4)
        here = here if here <= most else least
        if at + here + 4 > usable:
            raise DamageError
        parts = [page[at : at + here]]
        left, number = size - here, int.from_bytes(page[at + here : at + here + 4], "big")
        used: list[int] = []
        while left > 0:
            if number not in self._place or self._place[number] in used:
                raise DamageError
            used.append(self._place[number])
            rest = self._page(used[-1])
            parts.append(rest[4 : 4 + min(left, usable - 4)])
            if len(rest) < self._size or not any(parts[-1]):
                raise DamageError
            left, number = left - usable + 4, int.from_bytes(rest[:4], "big")
        self._rest.update(used)
        return b"".join(parts)

    def _by_looks(self, page: bytes) -> Iterator[Record]:
        """Yield the records of a page of an index whose table of contents is damaged."""
        after = 0
        for match in HEADER.finditer(page):
            at = match.start()
            if at < after:
                continue
            for digits in (1, 2, 3):  # of the size of the record, in front of it
                with suppress(DamageError, IndexError):
                    size, end = _varint(page, max(0, at - digits))
                    if end != at:
                        continue
                    payload = self._payload(page, at, size, is_table=False)
                    yield _decoded(payload)
                    after = at + min(size, len(page))
                    break


def _decoded(payload: bytes) -> Record:
    """Return the columns of a record.

    Raises:
        DamageError: its sizes contradict each other, or a text is no UTF-8.
    """
    header, at = _varint(payload, 0)
    if not at <= header <= len(payload):
        raise DamageError
    columns: list[object] = []
    here = header
    while at < header:
        kind, at = _varint(payload, at)
        value, here = _column(payload, kind, here)
        columns.append(value)
    if at != header or here != len(payload):
        raise DamageError
    return tuple(columns)


def _column(payload: bytes, kind: int, at: int) -> tuple[object, int]:
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind in (10, 11):
        raise DamageError
    size = (kind - 12) // 2 if kind >= 12 else (1, 2, 3, 4, 6, 8, 8)[kind - 1]
    content = payload[at : at + size]
    if len(content) < size:
        raise DamageError
    if kind < 7:
        return int.from_bytes(content, "big", signed=True), at + size
    if kind == 7:
        return struct.unpack(">d", content)[0], at + size
    if kind % 2 == 0:
        return content, at + size
    try:
        return content.decode(), at + size
    except UnicodeDecodeError as error:
        raise DamageError from error


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number and the offset behind it."""
    value = data[at]
    if value < 0x80:
        return value, at + 1
    value &= 0x7F
    for more in range(1, 9):
        byte = data[at + more]
        if more == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + more + 1
    raise DamageError
