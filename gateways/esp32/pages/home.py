"""What our own pages and tools ask a gateway of boards, by the token of the home directory.

Times are ms since 1970, as elsewhere in JPH.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gateways import home
from gateways.endpoints import Endpoints
from gateways.esp32.boards import Board
from gateways.esp32.service import Service


@dataclass(frozen=True, slots=True)
class Asked:
    """The boards, and who may ask for them."""

    boards: Service
    token: str


HOME = Endpoints({}, prefix="/jph", for_browsers=False)


@contextmanager
def of_this_home(asked: Asked, path: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Let programs ask that know the token of the home directory."""
    home.check_token(asked.token)
    yield {}


@HOME.add("GET", "/state", guard=of_this_home)
def read_gateway(asked: Asked) -> object:
    """Read the state of the gateway."""
    service = asked.boards
    return home.state(service.store, service.codifier, service.state())


@HOME.add("GET", "/refusals", guard=of_this_home)
def read_refusals(asked: Asked) -> object:
    """Read the refused messages that are kept, newest first."""
    return home.refusals(asked.boards.store, asked.boards.codifier)


@HOME.add("GET", "/devices", guard=of_this_home)
def read_devices(asked: Asked) -> object:
    """Read all boards, with what they reported last and the Codifiers that it has."""
    codifiers = asked.boards.codifiers()
    return [
        {
            "identifier": board.mac,
            "name": board.name,
            "network": "",
            "seen_ms": board.seen_ms,
            "attributes": [
                {
                    "attribute": kind,
                    "value": value,
                    "at_ms": at_ms,
                    "codifier": codifiers.get((board.mac, kind))
                    or codifiers.get((board.name, kind)),
                }
                for kind, (value, at_ms) in sorted(_values(board).items())
            ],
        }
        for board in asked.boards.boards()
    ]


def _values(board: Board) -> dict[str, tuple[int, int]]:
    """Return the last value of each kind, and when it came."""
    found: dict[str, tuple[int, int]] = {}
    if board.light:
        at_ms, light = board.light[-1]
        found["photoresistor"] = light, at_ms
    for kind, value, came_ms in (
        ("led", board.led, board.led_ms),
        ("button", board.button, board.button_ms),
    ):
        if value is not None and came_ms is not None:
            found[kind] = int(value), came_ms
    return found
