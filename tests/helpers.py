"""What tests of several folders use: waiting, free ports, a bus, bare sockets on it."""

import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

LOOPBACK = "127.0.0.1"


def eventually(predicate: Callable[[], T], timeout_s: float = 20.0, what: str = "") -> T:
    """Return the first true value of the predicate; fail when there is none in time.

    A busy machine may take long; a shorter time is for what is promised within it.
    """
    until_s = time.monotonic() + timeout_s
    while not (value := predicate()):
        if time.monotonic() > until_s:
            raise AssertionError(f"not within {timeout_s:g} s: {what or predicate}")
        time.sleep(0.01)
    return value


def free_tcp_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.create_server((LOOPBACK, 0)) as server:
        return server.getsockname()[1]


def free_udp_ports(count: int) -> list[int]:
    """Return as many different UDP ports that nobody is bound to."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@dataclass(frozen=True, slots=True)
class Bus:
    """Two multicast groups that no other test uses, on the loopback interface.

    Args:
        control: group and port of the control channel.
        data: group and port of the data channel.
    """

    control: tuple[str, int]
    data: tuple[str, int]

    def multicast(self) -> dict[str, object]:
        """Return the object `Multicast` of a configuration."""
        return {
            name: {"Address": address, "Port": port, "Interface": LOOPBACK, "TTL": 0}
            for name, (address, port) in (
                ("Control-Channel", self.control),
                ("Data-Channel", self.data),
            )
        }

    def document(self, *sensors: dict[str, object]) -> dict[str, object]:
        """Return a configuration of these components."""
        return {"Multicast": self.multicast(), "Sensors": list(sensors)}


def new_bus() -> Bus:
    """Choose the groups and ports of a bus.

    The groups are random, so that test runs side by side do not hear each other either.
    """
    third, fourth = random.randrange(100, 250), random.randrange(1, 250)
    control_port, data_port = free_udp_ports(2)
    return Bus((f"239.76.{third}.{fourth}", control_port), (f"239.77.{third}.{fourth}", data_port))


def bare_sender() -> socket.socket:
    """Return a socket whose `sendto` reaches the groups of a bus, without JPH."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
    return sender


def bare_receiver(group: tuple[str, int], timeout_s: float = 20.0) -> socket.socket:
    """Return a socket that hears one group, without JPH; its `recv` gives up after a while."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    receiver.bind(group)
    membership = socket.inet_aton(group[0]) + socket.inet_aton(LOOPBACK)
    receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    receiver.settimeout(timeout_s)
    return receiver
