"""Memory in which datagrams arrive, in a file that a killed process leaves behind.

The kernel writes a datagram into this memory in the same call that takes it from the socket. So
there is no moment at which only the process itself has it: what was not handed over yet when the
process was killed is in the file. The receiver wipes the memory before it is used again, so that a
datagram that is too short does not become a message by the rest of the one before.

The file has to be in a tmpfs: a disk would be written every few seconds for nothing.
"""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jph import owned
from jph.bus import wire
from jph.bus.recvmmsg import HEAD, TAIL
from jph.bus.wire import LENGTH_AT, Reading
from jph.errors import DatagramError

SUFFIX = ".received"
BATCH = 256  # datagrams with one system call
SINGLE = wire.MAX_SIZE + 1
WIPED = b"\xff" * HEAD  # ends no message that JPH sends: an f would be -1.7e38 or less, or NaN

_SENDER = ("", 0)  # the file does not tell


class ReceiveFile:
    """Pieces of memory in one file: for a single datagram, and for the heads and tails of a batch.

    Raises:
        OSError: the file cannot be made, or its tmpfs is full.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self._file = owned.create(folder, owner, SUFFIX)
        self._used = 0
        try:
            # Without a page behind it, memory of a full tmpfs would end the process when used.
            os.posix_fallocate(self._file.fileno, 0, _whole_pages(SINGLE) + _BATCH_BYTES)
        except OSError:
            self._file.remove()
            raise
        self.single = self.memory(SINGLE)

    def memory(self, size: int) -> mmap.mmap:
        """Return the next piece of memory."""
        piece = mmap.mmap(self._file.fileno, size, offset=self._used)
        self._used += _whole_pages(size)
        return piece

    def close(self) -> None:
        """Remove the file: everything in it was handed over."""
        self._file.remove()


@contextmanager
def left_behind(folder: Path, owner: str) -> Iterator[list[Reading]]:
    """Yield the readings that killed processes had received last, and forget them at the end."""
    files = list(owned.left_behind(folder, owner, SUFFIX))
    yield [reading for file in files for reading in _readings(file.path.read_bytes())]
    for file in files:
        file.remove()


def _readings(content: bytes) -> Iterator[Reading]:
    for datagram in _datagrams(content):
        try:
            sequence, time_ms, flag, codifier, value = wire.unpack_data(datagram)
        except DatagramError:
            continue
        if flag != "n":
            length = len(datagram) - wire.HEADER_SIZE
            yield codifier, time_ms, sequence, value, flag, length, _SENDER


def _datagrams(content: bytes) -> Iterator[bytes]:
    heads_at = _whole_pages(SINGLE)
    tails_at = heads_at + _whole_pages(BATCH * HEAD)
    slots = [(content[:HEAD], content[HEAD:SINGLE])]
    for slot in range(BATCH):
        head = content[heads_at + slot * HEAD :][:HEAD]
        slots.append((head, content[tails_at + slot * TAIL :][:TAIL]))
    for head, tail in slots:
        if head[-1:] != WIPED[-1:]:
            length = int.from_bytes(head[LENGTH_AT : LENGTH_AT + 4], "little")
            yield (head + tail)[: wire.HEADER_SIZE + length]


def _whole_pages(size: int) -> int:
    return -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY


_BATCH_BYTES = _whole_pages(BATCH * HEAD) + _whole_pages(BATCH * TAIL)
