"""The rows of a history writer that its store does not have yet, in files that outlive the process.

Each call of `append` is one write(2) of one record, into the page cache: no fsync, so it costs some
microseconds, survives any end of the process, and does not survive a power cut; for that there is
`sync`. The next process of the same writer finds the files, and offers their rows to the store
again, which keeps none twice.

    record  "jph:", crc32 of what follows, generation, bytes of the numbers, bytes of the others;
            then the numbers, 22 bytes each, and the other rows as JSON; on the disk both are
            compressed, the numbers to 6 bytes each, and filled up with zeros to whole pages

Whole pages, since an append to one that was synced already has it written again, with neighbours. A
record that is damaged or was cut off is left out, and the next one is looked for.

Files grow to SEGMENT_BYTES. A file goes when all of its rows are stored elsewhere; the last one is
written again from its start instead. In memory it is emptied before. On the disk it keeps its
length, since a file that grows has its file system write as much again; there each round is a
generation, and the records of the one before are forgotten. So the journal is as large as the rows
that wait, and two files more at most.
"""

import json
import logging
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jph import owned
from jph.errors import ConfigError
from jph.faults import Fault
from jph.owned import OwnedFile
from jph.stores import Row

log = logging.getLogger(__name__)

SEGMENT_BYTES = 1 << 20
SUFFIX = ".rows"
ON_DISK = ".synced"  # of a journal that is synced

_MAGIC = b"jph:"
_HEAD = struct.Struct("<4sIIII")
_NOTHING = zlib.compress(b"")
_CHECKED_AT = 8  # behind magic and checksum
_PAGE_BYTES = 4096
_RESERVED_BYTES = 32 * _PAGE_BYTES  # on the disk: half an hour of a small network
_NUMBER = struct.Struct("<Q2sId")  # timestamp, Codifier, sequence, value


@dataclass(slots=True)
class _Segment:
    file: OwnedFile
    size: int  # bytes that are in use: where the next record goes
    end: int  # position behind its last row
    generation: int = 0  # of its next record


@dataclass(frozen=True, slots=True)
class _Record:
    start: int  # where it begins
    end: int
    generation: int
    numbers: bytes
    others: bytes


class Journal:
    """The rows of one writer, each with a position: 0, 1, 2, … in the order of `append`.

    One thread may call at a time. A journal that cannot be written says so, and the writer goes on.

    Args:
        folder: private; None: there is none, and nothing is kept.
        codifier: of the writer.
        suffix: of its files.
        first: the position of the first row.

    Attributes:
        left: the rows that killed processes left; their positions come first.
        end: the position of the next row.
    """

    def __init__(
        self, folder: Path | None, codifier: str, *, suffix: str = SUFFIX, first: int = 0
    ) -> None:
        self.fault = Fault(log, logging.ERROR)
        self.left: list[Row] = []
        self.folder = folder
        self.end = first
        self._codifier = codifier
        self._suffix = suffix
        self._on_disk = suffix == ON_DISK
        self._segments: list[
            _Segment
        ] = []  # oldest first; rows are added to the last, if it is open
        self._is_open = False
        self._closed = False
        if folder is not None:
            for file in owned.left_behind(folder, codifier, suffix):
                self._take_over(file)

    def append(self, rows: Sequence[Row]) -> None:
        """Keep rows; when this returns they outlive the process."""
        self.end += len(rows)
        if self.folder is None or self._closed:
            return
        try:
            segment = self._open_segment()
            segment.end = self.end
            record = encode(rows, packed=self._on_disk, generation=segment.generation)
            if os.pwrite(segment.file.fileno, record, segment.size) < len(record):
                raise OSError("its disk is full: free some space")
            segment.size += len(record)
        except OSError as error:
            self._failed(error)
        else:
            self.fault.end("the journal is written again")

    def sync(self) -> None:
        """Bring the last file to the disk."""
        if self._is_open:
            try:
                os.fdatasync(self._segments[-1].file.fileno)
            except OSError as error:
                self._failed(error)

    def release(self, position: int) -> None:
        """Forget the rows before a position: they are stored elsewhere."""
        kept = []
        for segment in self._segments:
            is_last = self._is_open and segment is self._segments[-1]
            if segment.end > position:
                kept.append(segment)
            elif is_last:
                kept.append(segment)
                if segment.size:
                    self._begin_again(segment)
            else:
                segment.file.remove()
        self._segments = kept

    def move(self, folder: Path) -> None:
        """Go on in another folder, and bring there what is in the present one.

        Raises:
            OSError: a file cannot be moved.
        """
        before, self.folder = self.folder, folder
        if before is not None and before != folder and before.is_dir():
            for path in before.iterdir():  # also those of others who keep files for this home
                with suppress(FileNotFoundError):
                    path.rename(folder / path.name)
            with suppress(OSError):
                before.rmdir()
        for segment in self._segments:
            segment.file.path = folder / segment.file.path.name

    def close(self) -> None:
        """Close the files; the next process finds the rows that are not released."""
        self._closed = True
        for segment in self._segments:
            if segment.size:
                segment.file.close()
            else:
                segment.file.remove()
        self._segments, self._is_open = [], False
        if self.folder is not None:
            with suppress(OSError):  # it is in use, by another writer or by rows that wait
                self.folder.rmdir()

    def _begin_again(self, segment: _Segment) -> None:
        """Forget the records of a file, and write it from its start."""
        segment.size = 0
        if not self._on_disk:
            os.ftruncate(segment.file.fileno, 0)
            return
        segment.generation += 1
        nothing = encode([], packed=True, generation=segment.generation)
        try:
            os.pwrite(segment.file.fileno, nothing, 0)  # over it comes the next record
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        self.fault.note(
            reason,
            f"the journal in {self.folder} cannot be written ({reason}); until it can, the readings"
            " in memory are lost at a kill or a power cut",
        )

    def _open_segment(self) -> _Segment:
        """Return the segment to write to, a new one if the last is full or was deleted."""
        assert self.folder is not None
        last = self._segments[-1] if self._is_open else None
        if last is None or last.size >= SEGMENT_BYTES or not last.file.is_there:
            file = owned.create(self.folder, self._codifier, self._suffix)
            if self._on_disk:
                with suppress(OSError):  # then it grows
                    os.posix_fallocate(file.fileno, 0, _RESERVED_BYTES)
            last = _Segment(file, 0, self.end)
            self._segments.append(last)
            self._is_open = True
        return last

    def _take_over(self, file: OwnedFile) -> None:
        content = file.path.read_bytes()
        rows, damaged = decode(content, packed=self._on_disk)
        if damaged:
            log.warning("%s: left out %d damaged bytes of %d", file.path, damaged, len(content))
        self.left += rows
        self.end += len(rows)
        self._segments.append(_Segment(file, len(content), self.end))


def folder_of(home: Path, given: Path | None) -> Path | None:
    """Return the folder of the journals of a home: a given one, else a tmpfs, else in the home.

    Raises:
        ConfigError: the given folder cannot be used.
    """
    try:
        if given is not None:
            return owned.private_folder(given / owned.name_for(home))
        return owned.memory_folder(home) or disk_folder(home)
    except OSError as error:
        reason = error.strerror or str(error)
        if given is not None:
            raise ConfigError(f"Journal: {given} cannot be used ({reason})") from error
        log.error("there is no place for a journal: %s", reason)
        return None


def disk_folder(home: Path) -> Path | None:
    """Return the folder of the journals in the home, None if it cannot be made."""
    try:
        return owned.private_folder(home / "journal")
    except OSError as error:
        log.error("there is no place for a journal: %s", error.strerror or error)
        return None


def encode(rows: Sequence[Row], *, packed: bool = False, generation: int = 0) -> bytes:
    """Return the record of some rows, perhaps compressed."""
    pack = _NUMBER.pack
    numbers = b"".join(
        [
            pack(time_ms, codifier.encode(), sequence, value)
            for time_ms, codifier, sequence, value, text in rows
            if text is None and value is not None
        ]
    )
    others = b""
    if len(numbers) < len(rows) * _NUMBER.size:
        texts = [row for row in rows if row[4] is not None or row[3] is None]
        others = json.dumps(texts, separators=(",", ":")).encode()
    if packed:
        numbers = zlib.compress(_every(numbers, _NUMBER.size))  # like stands by like
        others = zlib.compress(others) if others else b""
    body = numbers + others
    head = _HEAD.pack(_MAGIC, 0, generation, len(numbers), len(others))
    crc = zlib.crc32(body, zlib.crc32(head[_CHECKED_AT:]))
    record = _HEAD.pack(_MAGIC, crc, generation, len(numbers), len(others)) + body
    return record + bytes(-len(record) % _PAGE_BYTES) if packed else record


def decode(content: bytes, *, packed: bool = False) -> tuple[list[Row], int]:
    """Return the rows of all whole records of the last generation.

    Returns:
        The rows, and how many bytes are damaged: they belong to no record, and are no rest of an
        earlier generation.
    """
    rows: list[Row] = []
    damaged = end = 0
    filling = b"\0" if packed else b""
    records = list(_records(content))
    last = max([record.generation for record in records], default=0)
    for record in records:
        if record.generation != last:
            continue
        damaged += len(content[end : record.start].strip(filling))
        end = record.end
        numbers, others = record.numbers, record.others
        if packed:
            end += -end % _PAGE_BYTES
            numbers = zlib.decompress(numbers)
            numbers = _every(numbers, len(numbers) // _NUMBER.size)
            others = zlib.decompress(others or _NOTHING)
        rows += [
            (time_ms, codifier.decode("latin-1"), sequence, value, None)
            for time_ms, codifier, sequence, value in _NUMBER.iter_unpack(numbers)
        ]
        if others:
            rows += [tuple(row) for row in json.loads(others)]
    rest = content[end:]
    if packed and records and not _is_begun(rest, last):
        rest = b""
    return rows, damaged + len(rest.strip(filling))


def _every(content: bytes, step: int) -> bytes:
    """Return the bytes at 0, step, 2 step, …, then those at 1, 1 + step, … to the end."""
    return b"".join([content[place::step] for place in range(step)])


def _is_begun(content: bytes, generation: int) -> bool:
    """Tell whether content begins as a record of this generation, whole or not."""
    if len(content) < _HEAD.size:
        return False
    magic, _, found, *_ = _HEAD.unpack_from(content)
    return bool(magic == _MAGIC and found == generation)


def _records(content: bytes) -> Iterator[_Record]:
    """Yield the whole records."""
    at = 0
    while (at := content.find(_MAGIC, at)) >= 0 and at + _HEAD.size <= len(content):
        _, crc, generation, numbers, others = _HEAD.unpack_from(content, at)
        middle = at + _HEAD.size + numbers
        end = middle + others
        if end <= len(content) and zlib.crc32(content[at + _CHECKED_AT : end]) == crc:
            body = content[at + _HEAD.size : middle], content[middle:end]
            yield _Record(at, end, generation, *body)
            at = end
        else:
            at += 1
