"""A bus of its own for each test, and a peer that speaks it with nothing but sockets.

The peer knows the wire format from its description alone and uses none of the code under test.
"""

import contextlib
import itertools
import random
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from jph.config.model import Config, build
from jph.node.node import Node
from tests import helpers


def config_of(*sensors: dict) -> Config:
    """Return a configuration on a bus of its own; each entry gets what it does not say itself."""
    entries = [{"Type": "Pipe", "KeepAliveInterval": 60, **entry} for entry in sensors]
    return build({"Multicast": helpers.new_bus().multicast(), "Sensors": entries}, "test")


@contextlib.contextmanager
def running(node: Node) -> Iterator[Node]:
    """Start a node and stop it at the end."""
    node.start()
    try:
        yield node
    finally:
        node.stop()


def node_of(config: Config, home: Path, *, plain: bool = False, **builds: object) -> Node:
    """Return a node that is not started, with one component for each Codifier=callbacks."""
    node = Node(config, home, plain=plain)
    for codifier, callbacks in builds.items():
        node.add(config.components[codifier], lambda channel, it=callbacks: it)
    return node


class Peer:
    """An independent program on both channels, after the description of the wire alone."""

    def __init__(self, config: Config, codifier: str = "ZZ") -> None:
        self.codifier = codifier
        self._groups = {"control": config.multicast.control, "data": config.multicast.data}
        self._sequence = itertools.count(random.randint(1, 2**30))
        self._sockets = {name: self._join(group) for name, group in self._groups.items()}

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *exception: object) -> None:
        for joined in self._sockets.values():
            joined.close()

    @staticmethod
    def _join(group) -> socket.socket:
        joined = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        joined.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        joined.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        joined.bind((group.address, group.port))
        here = socket.inet_aton(helpers.LOOPBACK)
        member = socket.inet_aton(group.address) + here
        joined.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        joined.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
        joined.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        return joined

    def send(self, channel: str, datagram: bytes) -> None:
        """Send any bytes."""
        group = self._groups[channel]
        self._sockets[channel].sendto(datagram, (group.address, group.port))

    def command(self, flag: str, to: str = "@@", number: float = 0.0, source: str = "") -> int:
        """Send a control message; return its sequence."""
        sequence = next(self._sequence)
        payload = struct.pack("<d?", number, True)
        self.send("control", self._header(sequence, flag, source or self.codifier, to) + payload)
        return sequence

    def publish(
        self, source: str, flag: str, payload: bytes, sequence: int, time_ms: int | None = None
    ) -> None:
        """Send a data message; payload with its byte count where the flag has one."""
        header = self._header(sequence, flag, source, "@@", len(payload), time_ms)
        self.send("data", header + payload)

    @staticmethod
    def _header(
        sequence: int, flag: str, source: str, to: str, length: int = 9, time_ms: int | None = None
    ) -> bytes:
        now_ms = int(time.time() * 1000) if time_ms is None else time_ms
        names = (flag + source + to).encode()
        return (
            struct.pack("<IIQ", sequence, 0, now_ms) + names + bytes(3) + struct.pack("<I", length)
        )

    def hear(
        self, channel: str, wanted: Callable[[dict], bool] = lambda _: True, timeout_s: float = 20.0
    ) -> dict:
        """Return the next message that is wanted; fail if none comes in time."""
        until_s = time.monotonic() + timeout_s
        joined = self._sockets[channel]
        while (left_s := until_s - time.monotonic()) > 0:
            if select.select([joined], [], [], left_s)[0]:
                message = self._read(channel, joined.recv(2048))
                if wanted(message):
                    return message
        raise AssertionError(f"not heard on the {channel} channel within {timeout_s} s")

    def drain(self, channel: str) -> None:
        """Forget what waits in the socket."""
        while select.select([self._sockets[channel]], [], [], 0)[0]:
            self._sockets[channel].recv(65536)

    def quiet(self, channel: str, unwanted: Callable[[dict], bool], for_s: float) -> bool:
        """Tell whether no such message comes for a time."""
        try:
            self.hear(channel, unwanted, for_s)
        except AssertionError:
            return True
        return False

    @staticmethod
    def _read(channel: str, datagram: bytes) -> dict:
        sequence, _, time_ms = struct.unpack_from("<IIQ", datagram)
        (length,) = struct.unpack_from("<I", datagram, 24)
        payload = datagram[28:]
        message = {
            "sequence": sequence,
            "time_ms": time_ms,
            "flag": chr(datagram[16]),
            "source": datagram[17:19].decode("latin-1"),
            "to": datagram[19:21].decode("latin-1"),
            "length": length,
            "payload": payload,
            "size": len(datagram),
        }
        if channel == "control" and len(payload) == 9:
            message["number"], message["active"] = struct.unpack("<d?", payload)
        elif channel == "data" and message["flag"] in "fin":
            message["value"] = struct.unpack("<f" if message["flag"] == "f" else "<I", payload)[0]
        elif channel == "data":
            message["value"] = payload[4:].decode()
        return message


class Sensors:
    """Sends the values of some sensors ten times a second, until they are taken away."""

    def __init__(self, peer: Peer) -> None:
        self.values: dict[str, float] = {}
        self.lost = 0  # of each sensor, before the next reading
        self._peer, self._ended = peer, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Sensors":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        number = 1
        while not self._ended.wait(0.1):
            number += 1 + self.lost
            self.lost = 0
            for codifier, value in list(self.values.items()):
                self._peer.publish(codifier, "f", struct.pack("<f", value), number)
