"""What the routes of Tenta know of the gateway that serves them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal

from gateways.limits import Attempts, Gate
from gateways.store import Store
from gateways.tenta.configurations import Outgoing

Flavour = Literal["tenta", "hermes"]

FAILED_OF_NAME = 10  # attempts to sign in by one name from one address, per minute
FAILED_OF_ADDRESS = 60
HASHING, WAITING = 2, 8  # threads that check passwords, and with those that wait for it


@dataclass(frozen=True, slots=True)
class Service:
    """One gateway.

    Args:
        outgoing: its Codifier, and the topic before all others.
        token: of programs of this home.
        registration: whether anybody may create a user.
        mqtt: host name and port of the broker.
        wake: called after something was put into the outbox.
        state: gives what the pages show of the gateway.
        codifiers: of (Device, Attribute), where Device is network/sensor or a sensor's UUID.
    """

    store: Store
    outgoing: Outgoing
    token: str
    flavour: Flavour = "tenta"
    registration: bool = False
    mqtt: tuple[str, int] = ("127.0.0.1", 1883)
    environment: str = "production"
    wake: Callable[[], None] = lambda: None
    state: Callable[[], Mapping[str, Any]] = dict
    codifiers: Callable[[], Mapping[tuple[str, str], str]] = dict
    started_s: float = field(default_factory=time.time)
    version: str = field(default_factory=lambda: version("jph"))
    failed_names: Attempts = field(default_factory=lambda: Attempts(FAILED_OF_NAME))
    failed_addresses: Attempts = field(default_factory=lambda: Attempts(FAILED_OF_ADDRESS))
    passwords: Gate = field(default_factory=lambda: Gate(HASHING, WAITING))
