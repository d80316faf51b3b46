"""A node of the existing network, played by bare sockets after the description of the wire alone.

It gives a sign of life every KeepAliveInterval, answers a ping at once, even while it is halted,
and ends at the first N or I of its own Codifier with a later configuration time.
"""

import itertools
import random
import struct
import threading
import time

from tests import helpers

LONGEST_S = 120.0  # it ends by itself then


class OldNode:
    """One component in a thread; use it as a context manager.

    Args:
        bus: whose channels it is on.
        loaded_ms: its configuration time; now if None.
        keep_alive_s: between its signs of life.
    """

    def __init__(
        self,
        bus: helpers.Bus,
        codifier: str,
        *,
        loaded_ms: float | None = None,
        keep_alive_s: float = 60.0,
    ) -> None:
        self.codifier = codifier
        self.loaded_ms = float(int(time.time() * 1000) if loaded_ms is None else loaded_ms)
        self.ended = threading.Event()  # since a newer instance was heard, or the test is over
        self.was_replaced = False
        self.is_active = True
        self._bus = bus
        self._keep_alive_s = keep_alive_s
        self._sequence = itertools.count(random.randint(1, 2**30))
        self._receiver = helpers.bare_receiver(bus.control, timeout_s=0.02)
        self._sender = helpers.bare_sender()
        self._thread = threading.Thread(target=self._run, name=f"old-{codifier}")

    def __enter__(self) -> "OldNode":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def end(self) -> None:
        """End without a word, as a node that was switched off."""
        self.ended.set()
        self._thread.join()

    def _run(self) -> None:
        until_s = time.monotonic() + LONGEST_S
        try:
            self._send("N", "@@", self.loaded_ms)
            due_s = time.monotonic() + self._keep_alive_s
            while not self.ended.is_set() and time.monotonic() < until_s:
                if time.monotonic() >= due_s:
                    self._send("I", "@@", self.loaded_ms)
                    due_s += self._keep_alive_s
                try:
                    self._hear(self._receiver.recv(1500))
                except TimeoutError:
                    self._send_reading()
        finally:
            self.ended.set()
            self._receiver.close()
            self._sender.close()

    def _hear(self, datagram: bytes) -> None:
        flag, source, to = datagram[16:17], datagram[17:19].decode(), datagram[19:21].decode()
        (number,) = struct.unpack_from("<d", datagram, 28)
        if flag in (b"N", b"I") and source == self.codifier and number > self.loaded_ms:
            self.was_replaced = True
            self.ended.set()
        elif to in (self.codifier, "@@") and flag == b"P":
            self._send("T", source, number)
        elif to in (self.codifier, "@@") and flag in (b"H", b"S"):
            self.is_active = flag == b"S"

    def _send(self, flag: str, to: str, number: float) -> None:
        names = (flag + self.codifier + to).encode()
        head = struct.pack("<IIQ", next(self._sequence), 0, int(time.time() * 1000))
        payload = struct.pack("<d?", number, self.is_active)
        datagram = head + names + bytes(3) + struct.pack("<I", len(payload)) + payload
        self._sender.sendto(datagram, self._bus.control)

    def _send_reading(self) -> None:
        if not self.is_active:
            return
        names = f"f{self.codifier}@@".encode()
        head = struct.pack("<IIQ", next(self._sequence), 0, int(time.time() * 1000))
        datagram = head + names + bytes(3) + struct.pack("<If", 4, 1.5)
        self._sender.sendto(datagram, self._bus.data)
