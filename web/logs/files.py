"""A log in a file, with those that were rotated away from it: read backwards, and followed.

A place in the log is "<inode>.<offset>", so that it stays where it was when a file gets another
name. Files are read in blocks from the end, never whole; a part that gzip packed is unpacked into a
temporary file first.
"""

import gzip
import os
import re
import tempfile
import zlib
from collections.abc import Container, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from web.logs.formats import Format
from web.logs.line import MOST, Line, LogError, Page, Wanted

BLOCK = 64 * 1024  # bytes
MOST_BYTES = 16 << 20  # of one answer
MOST_NEWER = 1 << 20
MOST_RECORD = 256 * 1024  # bytes of a record, with its traceback
GZIP = ".gz"
MOST_UNPACKED = 256 << 20  # bytes of a packed part
PACKED = (".xz", ".bz2", ".zst")  # which are left out


@dataclass(slots=True)
class _File:
    path: Path
    inode: int
    size: int
    unpacked: IO[bytes] | None = field(default=None, repr=False)

    def unpack(self) -> None:
        """Unpack it, if it is packed; one that is far too large has nothing."""
        if self.path.suffix != GZIP or self.unpacked is not None:
            return
        self.unpacked = tempfile.TemporaryFile()  # noqa: SIM115  # `close` does it
        self.size = 0
        try:
            with gzip.open(self.path) as packed:
                while data := packed.read1(BLOCK):
                    self.size += self.unpacked.write(data)
                    if self.size > MOST_UNPACKED:
                        self.size = 0
                        return
        except (OSError, EOFError, zlib.error):
            pass  # what came before the damage is shown

    def read(self, offset: int, size: int) -> bytes:
        """Return some bytes.

        Raises:
            LogError: it cannot be read.
        """
        try:
            if self.unpacked is not None:
                self.unpacked.seek(offset)
                return self.unpacked.read(max(0, size))
            with open(self.path, "rb") as file:
                file.seek(offset)
                return file.read(max(0, size))
        except OSError as error:
            raise LogError(f"{self.path}: {error.strerror}") from error

    def close(self) -> None:
        if self.unpacked is not None:
            self.unpacked.close()


class _Parts(NamedTuple):
    files: list[_File]

    def close(self) -> None:
        """Forget what was unpacked."""
        for file in self.files:
            file.close()


class _Piece(NamedTuple):
    """A line of a file, and where it begins."""

    offset: int
    text: str


class LogFile:
    """One log file that a handler of `Logging` writes, and its older parts.

    Args:
        path: of the newest part.
        format: of the handler.
        codifiers: the components, whose Codifiers messages may begin with.
    """

    def __init__(self, path: Path, format: Format, codifiers: Container[str]) -> None:
        self.path = path
        self.name = f"file:{path}"
        self.title = str(path)
        self._format = format
        self._codifiers = codifiers

    def older(self, before: str | None, wanted: Wanted) -> Page:
        with closing(_Parts(self._files())) as parts:
            return self._older(parts.files, before, wanted)

    def _older(self, files: list[_File], before: str | None, wanted: Wanted) -> Page:
        if before is None:
            place, end = 0, _last_line_end(files[0])
        else:
            inode, end = _place(before)
            place = next((n for n, it in enumerate(files) if it.inode == inode), -1)
            if place < 0:
                return Page([], None, f"{files[0].inode}.{files[0].size}")
        after = f"{files[place].inode}.{end}"
        lines: list[Line] = []
        looked = 0
        rest: list[str] = []  # lines of a record whose first one was not met yet
        rest_size = 0
        for file in files[place:]:
            file.unpack()
            end = min(end, file.size)
            for piece in _backwards(file, end):
                looked += len(piece.text) + 1
                rest.append(piece.text)
                rest_size += len(piece.text)
                is_whole = self._format.begins(piece.text)
                if not is_whole and rest_size < MOST_RECORD:
                    continue
                line = self._format.line("\n".join(reversed(rest)), self._codifiers)
                rest, rest_size = [], 0
                if wanted.takes(line):
                    lines.append(line)
                if len(lines) == MOST or looked > MOST_BYTES:
                    return Page(lines[::-1], f"{file.inode}.{piece.offset}", after)
            end = 1 << 62
        if rest:
            line = self._format.line("\n".join(reversed(rest)), self._codifiers)
            lines += [line] if wanted.takes(line) else []
        return Page(lines[::-1], None, after)

    def newer(self, after: str, wanted: Wanted) -> Page:
        with closing(_Parts(self._files())) as parts:
            return self._newer(parts.files, after, wanted)

    def _newer(self, files: list[_File], after: str, wanted: Wanted) -> Page:
        inode, offset = _place(after)
        place = next((n for n, it in enumerate(files) if it.inode == inode), None)
        if place is None:  # it was deleted: go on with the newest one
            place, offset = 0, max(0, files[0].size - MOST_NEWER)
        records: list[str] = []
        left = MOST_NEWER
        for number in range(place, -1, -1):
            file = files[number]
            file.unpack()
            if offset > file.size:  # it was emptied
                offset = 0
            data = file.read(offset, min(left, file.size - offset))
            is_last = number == 0 or len(data) == left
            whole = data[: data.rfind(b"\n") + 1] if is_last else data
            offset += len(whole)
            left -= len(whole)
            for text in whole.decode("utf-8", "replace").splitlines():
                if records and not self._format.begins(text):
                    records[-1] += "\n" + text
                else:
                    records.append(text)
            if is_last:
                break
            offset = 0
        found = [self._format.line(record, self._codifiers) for record in records]
        lines = [line for line in found if wanted.takes(line)]
        return Page(lines[-MOST:], None, f"{file.inode}.{offset}")

    def _files(self) -> list[_File]:
        """Return the parts of this log, the newest first.

        Raises:
            LogError: there are none, or they cannot be read.
        """
        rotated = re.compile(re.escape(self.path.name) + r"[.-][\w.:-]+")
        found: list[tuple[float, _File]] = []
        try:
            for entry in os.scandir(self.path.parent):
                if not rotated.fullmatch(entry.name) or entry.name.endswith(PACKED):
                    continue
                if entry.is_file(follow_symlinks=False) and os.access(entry.path, os.R_OK):
                    status = entry.stat()
                    file = _File(Path(entry.path), status.st_ino, status.st_size)
                    found.append((status.st_mtime, file))
            status = os.stat(self.path)
        except OSError as error:
            raise LogError(f"{self.path}: {error.strerror}") from error
        found.sort(key=lambda it: it[0], reverse=True)
        return [_File(self.path, status.st_ino, status.st_size), *(file for _, file in found)]


def _place(text: str) -> tuple[int, int]:
    inode, _, offset = text.partition(".")
    return int(inode), int(offset)


def _last_line_end(file: _File) -> int:
    """Return where the last whole line ends; what follows is still being written."""
    start = max(0, file.size - BLOCK)
    data = file.read(start, file.size - start)
    return start + data.rfind(b"\n") + 1 if b"\n" in data else file.size


def _backwards(file: _File, end: int) -> Iterator[_Piece]:
    """Yield the lines of a file before an offset, the last one first."""
    tail = b""  # of a line whose beginning was not read yet
    offset = end
    is_first = True
    while offset > 0:
        size = min(BLOCK, offset)
        offset -= size
        data = file.read(offset, size) + tail
        if is_first and data.endswith(b"\n"):
            data = data[:-1]
        is_first = False
        if len(data) > MOST_RECORD and b"\n" not in data:  # no line of a log is so long
            yield _Piece(offset, data.decode("utf-8", "replace"))
            tail = b""
            continue
        tail, *lines = data.split(b"\n")
        place = offset + len(data)
        for line in reversed(lines):
            place -= len(line)
            yield _Piece(place, line.decode("utf-8", "replace"))
            place -= 1
    if tail or end > 0:
        yield _Piece(0, tail.decode("utf-8", "replace"))
