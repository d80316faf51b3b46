"""Many datagrams with one system call: Linux's recvmmsg through ctypes, into memory laid out once.

Each datagram is scattered over two places: its first 32 bytes, which are the header and the whole
value of an f or i message, into `head`, where the heads of all datagrams lie side by side and are
unpacked in one sweep; the rest into `tail`.

The call never blocks, so it keeps the interpreter lock (PyDLL): giving it up would let every other
thread in between each two batches, for 5 ms each time.
"""

import ctypes
import socket
from collections.abc import Callable
from typing import Any

HEAD = 32  # bytes: header and a 4-byte value
TAIL = 1440  # bytes: the rest of the largest datagram, 1472
NAME = 16  # bytes of a struct sockaddr_in
_SO_RXQ_OVFL = 40


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint))


class _Dropped(ctypes.Structure):
    """A struct cmsghdr with SO_RXQ_OVFL's counter behind it."""

    _fields_ = (
        ("length", ctypes.c_size_t),
        ("level", ctypes.c_int),
        ("type", ctypes.c_int),
        ("count", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
    )


class DatagramBatch:
    """Memory for a batch of datagrams, and the call that fills it.

    Args:
        memory: returns memory for heads and for tails, of so many bytes.

    Raises:
        OSError: this system has no recvmmsg.
    """

    def __init__(self, capacity: int = 256, memory: Callable[[int], Any] = bytearray) -> None:
        try:
            self._recvmmsg = ctypes.PyDLL(None, use_errno=True).recvmmsg
        except (AttributeError, TypeError) as error:
            raise OSError("no recvmmsg here") from error
        self.capacity = capacity
        self.head = memory(capacity * HEAD)
        self.tail = memory(capacity * TAIL)
        self.names = bytearray(capacity * NAME)
        self.kernel_drops = 0  # of this socket since it was opened
        self._dropped = _Dropped()
        self._headers = (_Mmsghdr * capacity)()
        self._iovecs = (_Iovec * (2 * capacity))()
        self._lay_out()
        self._first = self._headers[0].header
        words = memoryview(self._headers).cast("B").cast("I")
        word = ctypes.sizeof(ctypes.c_uint)
        stride = ctypes.sizeof(_Mmsghdr) // word
        self.lengths = words[_Mmsghdr.length.offset // word :: stride]
        self._flags = socket.MSG_DONTWAIT | socket.MSG_TRUNC  # TRUNC: report the true length
        self._address = ctypes.addressof(self._headers)
        self._recvmmsg.argtypes = (
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_void_p,
        )

    def _lay_out(self) -> None:
        head, tail, names = (
            ctypes.addressof(ctypes.c_char.from_buffer(memory))
            for memory in (self.head, self.tail, self.names)
        )
        for at in range(self.capacity):
            self._iovecs[2 * at] = _Iovec(head + HEAD * at, HEAD)
            self._iovecs[2 * at + 1] = _Iovec(tail + TAIL * at, TAIL)
            header = self._headers[at].header
            header.name = names + NAME * at
            header.namelen = NAME
            header.iov = ctypes.addressof(self._iovecs) + 2 * at * ctypes.sizeof(_Iovec)
            header.iovlen = 2
        # One datagram of a batch is enough to carry the counter, which only grows.
        self._headers[0].header.control = ctypes.addressof(self._dropped)

    def fill(self, fileno: int) -> int:
        """Receive the waiting datagrams, without blocking; return their number."""
        first = self._first
        first.controllen = ctypes.sizeof(_Dropped)
        count: int = self._recvmmsg(fileno, self._address, self.capacity, self._flags, None)
        if count <= 0:
            return 0
        if first.controllen and self._dropped.type == _SO_RXQ_OVFL:
            self.kernel_drops = self._dropped.count
        return count

    def datagram(self, at: int) -> bytes:
        """Return one datagram of the batch, cut after 1472 bytes."""
        length = self.lengths[at]
        head = bytes(self.head[HEAD * at : HEAD * at + min(length, HEAD)])
        if length <= HEAD:
            return head
        return head + bytes(self.tail[TAIL * at : TAIL * at + min(length - HEAD, TAIL)])
