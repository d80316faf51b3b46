"""From a socket to decoded messages, in batches, with every source's sequence accounted for.

Strategy: while messages come singly, each is received on its own, which costs the least latency;
when many came within a short time a batch is tried, and when that brings several, batches follow.
(A batch of one costs some 40 us more: tried every 128th time whatever the pace, it made the 99th
percentile of the latency double.) A batch in which every datagram is a well-formed f (the usual
case, and a flood) is checked with a few strided comparisons and unpacked in one sweep. Any other is
decoded message by message through `jph.bus.wire`. Invalid datagrams are counted and dropped here.
"""

import logging
import math
import mmap
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat

from jph.bus import wire
from jph.bus.receive_file import BATCH, WIPED, ReceiveFile
from jph.bus.recvmmsg import HEAD, NAME, DatagramBatch
from jph.bus.sequence import SequenceTracker
from jph.bus.wire import (
    DESTINATION_AT,
    FLAG_AT,
    LENGTH_AT,
    SEQUENCE_MASK,
    Address,
    Control,
    Reading,
)
from jph.clock import time_now_ms
from jph.errors import DatagramError

log = logging.getLogger(__name__)

_SINGLES = 128  # received one by one before the pace is looked at
_HURRY_S = 0.025  # a batch is tried when they came within this: 5,000 a second
_RARELY_S = 10.0  # and this often anyway, since only a batch tells what the kernel dropped
_FEW = 2  # a batch of no more than this many: messages come singly again
_SO_RXQ_OVFL = 40
_LOG_EVERY_S = 60
_MOST_ADDRESSES = 1000  # remembered, so that forged addresses fill no memory

_FLOATS = wire.CHECKED_FLOAT.iter_unpack
_FLOAT = wire.FLOAT.unpack_from
_NAMES = struct.Struct("8s8x").iter_unpack


class Refusals:
    """Counts invalid datagrams; logs the first of each address in a minute."""

    def __init__(self, channel: str) -> None:
        self.count = 0
        self._channel = channel
        self._last: dict[str, tuple[float, int]] = {}  # address -> when logged, count then

    def add(self, address: Address, reason: object) -> None:
        self.count += 1
        now_s = time.monotonic()
        logged_s, count = self._last.get(address[0], (-math.inf, 0))
        if now_s - logged_s < _LOG_EVERY_S:
            return
        if len(self._last) >= _MOST_ADDRESSES:
            self._last.clear()
        self._last[address[0]] = (now_s, self.count)
        log.warning(
            "%s channel: invalid datagram from %s:%d: %s (%d dropped since the last report)",
            self._channel,
            *address,
            reason,
            self.count - count,
        )


class Datagrams:
    """The datagrams waiting in one socket, and the kernel's count of those it had to drop."""

    def __init__(self, receiver: socket.socket | None = None) -> None:
        self.socket = receiver
        self.kernel_drops = 0

    def fileno(self) -> int:
        return self.socket.fileno() if self.socket else -1

    def close(self) -> None:
        if self.socket:
            self.socket.close()

    def __iter__(self) -> Iterator[tuple[bytes, Address]]:
        """Yield at most a batch, without blocking; none where the socket fails."""
        if self.socket is None:
            return
        for _ in range(BATCH):
            try:
                datagram, extra, _, address = self.socket.recvmsg(wire.MAX_SIZE + 1, 64)
            except OSError:  # nothing there, or the network went; the node joins again
                return
            for level, kind, content in extra:
                if (level, kind) == (socket.SOL_SOCKET, _SO_RXQ_OVFL):
                    self.kernel_drops = int.from_bytes(content[:4], "little")
            yield datagram, address


class ControlReceiver:
    """Receives and decodes the control channel."""

    def __init__(self) -> None:
        self.sources: dict[str, SequenceTracker] = {}
        self.refusals = Refusals("control")
        self.received = 0
        self.datagrams = Datagrams()

    def use(self, receiver: socket.socket) -> None:
        """Receive from this non-blocking socket from now on; close the one before."""
        self.close()
        self.datagrams = Datagrams(receiver)

    def fileno(self) -> int:
        return self.datagrams.fileno()

    def close(self) -> None:
        self.datagrams.close()

    @property
    def kernel_drops(self) -> int:
        return self.datagrams.kernel_drops

    @property
    def lost(self) -> int:
        return _lost(self.sources)

    def receive(self) -> list[tuple[Control, Address]]:
        """Return the waiting messages, without duplicates and invalid datagrams."""
        messages = []
        now_ms = time_now_ms()
        for datagram, address in self.datagrams:
            self.received += 1
            try:
                message = wire.decode_control(datagram)
            except DatagramError as error:
                self.refusals.add(address, error)
                continue
            source = self.sources.get(message.source)
            if source is None:
                source = SequenceTracker(message.source, message.sequence, now_ms)
                self.sources[message.source] = source
            count = source.start if message.flag == "N" else source.arrive
            if count(message.sequence, now_ms):
                messages.append((message, address))
        return messages


class DataReceiver:
    """Receives and decodes the data channel.

    Args:
        plain: do without recvmmsg even where it is there.
    """

    def __init__(self, *, plain: bool = False) -> None:
        self.sources: dict[str, SequenceTracker] = {}
        self.refusals = Refusals("data")
        self.received = 0
        self._by_bytes: dict[bytes, SequenceTracker] = {}
        self._addresses: dict[bytes, Address] = {}
        self._batch: DatagramBatch | None = None
        if not plain:
            try:
                self._batch = DatagramBatch(BATCH)
            except OSError as error:
                log.info("receiving one by one: %s", error)
        self.receive: Callable[[], list[Reading]]
        self.receive = self._receive_adapting if self._batch else self._receive_plain
        self.datagrams = Datagrams()
        self._fileno = -1
        self._recvfrom_into: Callable[[bytearray | mmap.mmap], tuple[int, Address]] | None = None
        self._buffer: bytearray | mmap.mmap = bytearray(wire.MAX_SIZE + 1)
        self._file: ReceiveFile | None = None
        self._singles = 0  # that may still come before the pace is looked at
        self._paced_s = -math.inf  # when it was looked at; inf while batches follow each other
        self._batched_s = -math.inf  # when a batch was tried

    def receive_in(self, file: ReceiveFile) -> None:
        """Receive into the memory of a file from now on; before the first socket is used.

        What `receive` returns has to be kept elsewhere before it is called again.
        """
        if self._batch is not None:
            self._batch = DatagramBatch(BATCH, file.memory)
            self._buffer, self._file = file.single, file

    def use(self, receiver: socket.socket) -> None:
        """Receive from this non-blocking socket from now on; close the one before."""
        self.close()
        self.datagrams = Datagrams(receiver)
        self._fileno = receiver.fileno()
        self._recvfrom_into = receiver.recvfrom_into
        if self._batch:
            self._batch.kernel_drops = 0

    def fileno(self) -> int:
        return self._fileno

    def close(self) -> None:
        self.datagrams.close()
        self._recvfrom_into = None
        self._fileno = -1

    @property
    def kernel_drops(self) -> int:
        return self._batch.kernel_drops if self._batch else self.datagrams.kernel_drops

    @property
    def lost(self) -> int:
        return _lost(self.sources)

    def _receive_plain(self) -> list[Reading]:
        readings: list[Reading] = []
        for datagram, address in self.datagrams:
            self.received += 1
            self._decode(datagram, address, readings)
        return readings

    def _receive_adapting(self) -> list[Reading]:
        if not self._singles:
            now_s = time.monotonic()
            if now_s - self._paced_s < _HURRY_S or now_s - self._batched_s > _RARELY_S:
                self._batched_s = now_s
                return self._receive_batch()
            self._paced_s = now_s
            self._singles = _SINGLES
        self._singles -= 1
        if self._recvfrom_into is None:
            return []
        if self._file is not None:
            self._buffer[:HEAD] = WIPED
        try:
            size, address = self._recvfrom_into(self._buffer)
        except OSError:  # nothing there, or the network went; the node joins again
            return []
        self.received += 1
        if size == HEAD:
            sequence, timestamp_ms, flag, code, to, length, value = _FLOAT(self._buffer)
            source = self._by_bytes.get(code)
            if (
                source is not None
                and sequence == source.expected
                and flag == b"f"
                and length == 4
                and to == b"@@"
                and timestamp_ms < wire.TIMESTAMP_LIMIT
                and value - value == 0.0  # neither NaN nor infinite
            ):
                source.expected = (sequence + 1) & SEQUENCE_MASK
                source.received += 1
                return [(source.codifier, timestamp_ms, sequence, value, "f", 4, address)]
        readings: list[Reading] = []
        self._decode(bytes(self._buffer[:size]), address, readings)
        return readings

    def _receive_batch(self) -> list[Reading]:
        batch = self._batch
        assert batch is not None
        if self._fileno < 0:
            return []
        if self._file is not None:
            batch.head[:] = _WIPED_BATCH
        count = batch.fill(self._fileno)
        if count <= _FEW:
            self._singles, self._paced_s = _SINGLES, time.monotonic()
            if not count:
                return []
        else:
            self._paced_s = math.inf
        self.received += count
        if _all_floats(batch, count):
            return self._decode_floats(batch, count)
        readings: list[Reading] = []
        for at in range(count):
            length = batch.lengths[at]
            address = self._address(bytes(batch.names[NAME * at : NAME * at + 8]))
            if length > wire.MAX_SIZE:
                self.refusals.add(address, f"{length} bytes")
            else:
                self._decode(batch.datagram(at), address, readings)
        return readings

    def _decode(self, datagram: bytes, address: Address, readings: list[Reading]) -> None:
        try:
            sequence, timestamp_ms, flag, codifier, value = wire.unpack_data(datagram)
        except DatagramError as error:
            self.refusals.add(address, error)
            return
        now_ms = time_now_ms()
        source = self.sources.get(codifier) or self._new(codifier, sequence, now_ms)
        if flag == "n":
            source.start(sequence, now_ms)
            return
        if not source.arrive(sequence, now_ms):
            return
        if isinstance(value, float) and not math.isfinite(value):
            self.refusals.add(address, f"{codifier} sent {value}")  # alive, but no value
            return
        length = len(datagram) - wire.HEADER_SIZE
        readings.append((codifier, timestamp_ms, sequence, value, flag, length, address))

    def _decode_floats(self, batch: DatagramBatch, count: int) -> list[Reading]:
        """Decode a batch that holds nothing but well-formed floats; the hot path."""
        readings: list[Reading] = []
        add = readings.append
        known = self._by_bytes.get
        floats = _FLOATS(memoryview(batch.head)[: count * HEAD])
        addresses = self._batch_addresses(batch, count)
        for (sequence, timestamp_ms, code, value), address in zip(floats, addresses, strict=False):
            source = known(code)
            if source is None:
                try:
                    codifier = wire.codifier_text(code)
                except DatagramError as error:
                    self.refusals.add(address, error)
                    continue
                now_ms = time_now_ms()
                source = self.sources.get(codifier) or self._new(codifier, sequence, now_ms)
            if sequence == source.expected:
                source.expected = (sequence + 1) & SEQUENCE_MASK
                source.received += 1
            elif not source.arrive(sequence, time_now_ms()):
                continue
            add((source.codifier, timestamp_ms, sequence, value, "f", 4, address))
        return readings

    def _new(self, codifier: str, sequence: int, now_ms: int) -> SequenceTracker:
        source = SequenceTracker(codifier, sequence, now_ms)
        self.sources[codifier] = self._by_bytes[codifier.encode()] = source
        return source

    def _batch_addresses(self, batch: DatagramBatch, count: int) -> Iterator[Address]:
        names = bytes(batch.names[: count * NAME])
        if names == names[:NAME] * count:
            return repeat(self._address(names[:8]))
        known = self._addresses
        return iter([known.get(name) or self._address(name) for (name,) in _NAMES(names)])

    def _address(self, name: bytes) -> Address:
        """Return the address in the first 8 bytes of a struct sockaddr_in."""
        address = self._addresses.get(name)
        if address is None:
            if len(self._addresses) >= _MOST_ADDRESSES:
                self._addresses.clear()
            address = (socket.inet_ntoa(name[4:8]), int.from_bytes(name[2:4], "big"))
            self._addresses[name] = address
        return address


def _lost(sources: Mapping[str, SequenceTracker]) -> int:
    known = list(sources.values())  # another thread adds to them
    return sum(source.lost + source.lost_before for source in known)


_WIPED_BATCH = WIPED * BATCH
_FLAGS = b"f" * BATCH
_BROADCAST = b"@" * BATCH  # either byte of it
_LENGTHS = [4] * BATCH
_SIZES = [HEAD] * BATCH
_ZEROS = bytes(BATCH)
_EXPONENT_AT = HEAD - 1  # the byte with the sign and the upper bits of the exponent
_TIMESTAMP_END = wire.TIMESTAMP_AT + wire.TIMESTAMP.size


def _all_floats(batch: DatagramBatch, count: int) -> bool:
    """Tell whether every datagram of the batch is a well-formed f, its source apart.

    Exponent bytes of 0x7f mark NaN, infinities and numbers beyond 1e38: the slow path tells which.
    """
    if batch.lengths[:count].tolist() != _SIZES[:count]:
        return False
    head, end = batch.head, count * HEAD
    exponents = head[_EXPONENT_AT:end:HEAD]
    lengths = memoryview(head).cast("I")[LENGTH_AT // 4 : end // 4 : HEAD // 4]
    return (
        head[FLAG_AT:end:HEAD] == _FLAGS[:count]
        and head[DESTINATION_AT:end:HEAD] == _BROADCAST[:count]
        and head[DESTINATION_AT + 1 : end : HEAD] == _BROADCAST[:count]
        and lengths.tolist() == _LENGTHS[:count]
        # Beyond TIMESTAMP_LIMIT one of the two upper bytes is set.
        and head[_TIMESTAMP_END - 2 : end : HEAD] == _ZEROS[:count]
        and head[_TIMESTAMP_END - 1 : end : HEAD] == _ZEROS[:count]
        and b"\x7f" not in exponents
        and b"\xff" not in exponents
    )
