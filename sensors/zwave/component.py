"""Values of Z-Wave devices, from a running zwave-js-server.

The server keeps the last reports of the devices, and answers without using the radio. Whether a
device is still there is asked once a minute, or at each reading while a value is missing.
"""

import dataclasses
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from jph.bus.wire import Value
from jph.errors import SensorError
from jph.settings import setting
from sensors import json_text
from sensors.missing_values import MissingValues
from sensors.zwave.server import SERVERS, Refused, ZwaveServer
from sensors.zwave.value import Node, ValueOf, choices, find, id_of

STATE_S = 60.0  # how long the state of a node is not asked for again
_DEAD = 3  # the status of a node that no longer answers

Ids = Mapping[str, Mapping[str, object]]  # Codifier -> what names its value to the server


@dataclass
class Zwave(ValueOf):
    """Read values of Z-Wave devices.

    Components that name the same server share one connection to it.
    """

    proxy: tuple[ValueOf, ...] = setting((), doc="further values, also of other devices")
    server: str = setting("ws://127.0.0.1:3000", doc="address of the zwave-js-server")
    timeout_s: float = setting(10.0, key="Timeout", gt=0, doc="longest wait for all values, s")
    _link: ZwaveServer | None = dataclasses.field(default=None, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_address(self.server)
        self._nodes: dict[int, dict[str, ValueOf]] = {}
        for each in (self, *self.proxy):
            self._nodes.setdefault(each.node, {})[each.codifier] = each
        self._known: dict[int, tuple[float, Ids]] = {}  # node -> until when (s)
        self._gaps = MissingValues(self.codifier)

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], codifiers: Collection[str]) -> None:
        """Refuse settings that contradict each other; see `jph.config.checks`."""
        cls("", **given)  # it connects at the first reading

    def read(self) -> Mapping[str, Value]:
        """Return the values of the component and of its proxies that the server has.

        Raises:
            SensorError: the server does not answer, or has none of the values.
        """
        until_s = time.monotonic() + self.timeout_s
        if self._link is None:
            self._link = SERVERS.acquire(self.server)
        values: dict[str, Value] = {}
        missing: dict[str, str] = {}
        for node, wanted in self._nodes.items():
            try:
                values |= self._read_node(self._link, node, until_s, missing)
            except (_Absent, Refused) as error:
                missing |= dict.fromkeys(wanted, str(error))
            if not values.keys() >= wanted.keys():
                self._known.pop(node, None)
        return self._gaps.settle(values, missing)

    def close(self) -> None:
        """Give the connection back."""
        if self._link is not None:
            self._link = None
            SERVERS.release(self.server)

    def _read_node(
        self, server: ZwaveServer, node: int, until_s: float, missing: dict[str, str]
    ) -> dict[str, Value]:
        """Return the values of one node by Codifier, and add why others are missing."""
        wanted = self._nodes[node]
        valid_until_s, ids = self._known.get(node, (0.0, {}))
        found: dict[str, Mapping[str, object]] = {}
        if time.monotonic() < valid_until_s:
            for codifier, value_id in ids.items():
                found[codifier] = server.ask(
                    "node.get_value", until_s, nodeId=node, valueId=value_id
                )
        else:
            listed = _state(server, node, until_s).get("values")
            there = [v for v in listed if isinstance(v, dict)] if isinstance(listed, list) else []
            for codifier, each in wanted.items():
                if value := find(there, each):
                    found[codifier] = value
                else:
                    missing[codifier] = f"{each}: there is no such value; {choices(there)}"
            ids = {codifier: id_of(value) for codifier, value in found.items()}
            self._known[node] = time.monotonic() + STATE_S, ids
        values: dict[str, Value] = {}
        for codifier, answer in found.items():
            reported = json_text.value_of(answer.get("value"))
            if reported is None:
                missing[codifier] = f"{wanted[codifier]}: nothing was reported yet"
            else:
                values[codifier] = reported
        return values


class _Absent(Exception):
    """A node is not there, or not in order."""


def _state(server: ZwaveServer, node: int, until_s: float) -> Node:
    try:
        state = server.ask("node.get_state", until_s, nodeId=node).get("state")
    except Refused as error:
        if error.code == "node_not_found":
            raise _Absent(f"there is no node {node} in the Z-Wave network") from error
        raise
    if not isinstance(state, dict):
        raise SensorError(f"{server.address}: tells no state of node {node}")
    if state.get("status") == _DEAD:
        raise _Absent(f"node {node} is dead: it does not answer by radio")
    if state.get("ready") is False:
        raise _Absent(f"node {node} is still being interviewed")
    return state


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        is_valid = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
        is_valid = is_valid and not parts.fragment
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError("Server: must be ws://HOST:PORT or wss://HOST:PORT")
