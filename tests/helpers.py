"""What tests of several folders use: waiting, messages, free ports, a bus, bare sockets on it."""

import contextlib
import itertools
import logging
import os
import random
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pytest

T = TypeVar("T")

LOOPBACK = "127.0.0.1"
PORTS = (10_000, 32_768)  # below those that Linux gives to who asks for any, ip_local_port_range
MOST_WORKERS = 16  # of a test run
CHANCE = random.SystemRandom()  # Hypothesis seeds the shared one, alike in all workers


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


def _ports() -> Iterator[int]:
    """Yield ports for ever, each again when all were; no two workers of a test run yield the same.

    Else one worker would take a port that another one has looked at and not taken yet.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ours = range(PORTS[0] + worker, PORTS[1], MOST_WORKERS)
    return itertools.cycle(CHANCE.sample(ours, len(ours)))


_next_ports = _ports()


def _free_port(kind: int) -> int:
    """Return a port that nobody is bound to, TCP or UDP.

    Not one that the kernel chooses: it gives that to the next one who asks for any port, such as a
    client in a test beside this one.
    """
    while True:
        port = next(_next_ports)
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("", port))
            return port


def free_tcp_port() -> int:
    """Return a TCP port that nobody listens on."""
    return _free_port(socket.SOCK_STREAM)


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
    third, fourth = CHANCE.randrange(100, 250), CHANCE.randrange(1, 250)
    control_port, data_port = _free_port(socket.SOCK_DGRAM), _free_port(socket.SOCK_DGRAM)
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


def naming(*facts: str) -> str:
    """Return a pattern of texts that hold all of these facts, in any order and wording.

    For `match=` of `pytest.raises`: a test pins what a message tells, not how.
    """
    return "(?s)^" + "".join(f"(?=.*{re.escape(fact)})" for fact in facts)


def logged(caplog: pytest.LogCaptureFixture, *facts: str, level: int = logging.NOTSET) -> int:
    """Return how many messages at this level or above hold all of these facts."""
    return sum(
        record.levelno >= level and all(fact in record.getMessage() for fact in facts)
        for record in caplog.records
    )
