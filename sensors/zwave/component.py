"""Values of Z-Wave devices, from a running zwave-js-server.

The server keeps the last reports of the devices, and answers without using the radio. Whether a
device is still there is asked once a minute, or at each reading while something is missing.
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
from sensors.zwave import server as zwave_server
from sensors.zwave.value import Node, NodeValue, Wanted, choices, find, id_of, wanted

STATE_S = 60.0  # the state of a node is asked for so often
_DEAD = 3  # the status of a node that no longer answers

_INDEX = "as OpenZWave numbers it, or the name of a property"


@dataclass(frozen=True, slots=True)
class ValueOf:
    """Which value is that of which proxy."""

    codifier: str = setting(key="Codifier", doc="the proxy")
    node: int | str = setting(key="node", ge=1, doc="number of the device")
    index: int | str | None = setting(None, key="index", ge=0, doc=_INDEX)
    instance: int | str = setting(
        1, key="instance", ge=1, doc="part of the device, 1 for the first"
    )
    command_class: int | None = setting(None, ge=0, le=0xFFFF, doc="number of the command class")
    endpoint: int | None = setting(None, ge=0, doc="instead of instance")
    property: int | str | None = setting(None, doc="instead of index")
    property_key: int | str | None = setting(None, doc="where a property has several values")

    def __post_init__(self) -> None:
        _wanted(self)


@dataclass
class Zwave:
    """Read values of Z-Wave devices.

    Components that name the same server share one connection to it.
    """

    codifier: str
    node: int | str = setting(key="node", ge=1, doc="number of the device")
    index: int | str | None = setting(None, key="index", ge=0, doc=_INDEX)
    instance: int | str = setting(
        1, key="instance", ge=1, doc="part of the device, 1 for the first"
    )
    command_class: int | None = setting(None, ge=0, le=0xFFFF, doc="number of the command class")
    endpoint: int | None = setting(None, ge=0, doc="instead of instance")
    property: int | str | None = setting(None, doc="instead of index")
    property_key: int | str | None = setting(None, doc="where a property has several values")
    proxy: tuple[ValueOf, ...] = setting((), doc="further values, each that of a proxy")
    server: str = setting("ws://127.0.0.1:3000", doc="address of the zwave-js-server")
    timeout_s: float = setting(10.0, key="Timeout", gt=0, doc="longest wait for all values, s")
    _nodes: dict[int, dict[str, Wanted]] = dataclasses.field(init=False, repr=False)
    _known: dict[int, "_Known"] = dataclasses.field(default_factory=dict, init=False, repr=False)
    _gaps: MissingValues = dataclasses.field(init=False, repr=False)
    _link: zwave_server.ZwaveServer | None = dataclasses.field(default=None, init=False)

    def __post_init__(self) -> None:
        _check(self.server)
        self._nodes = {}
        ones: list[Zwave | ValueOf] = [self, *self.proxy]
        for one in ones:
            what = _wanted(one)
            self._nodes.setdefault(what.node, {})[one.codifier] = what
        self._gaps = MissingValues(self.codifier)

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], codifiers: Collection[str]) -> None:
        """Refuse settings that contradict each other; see `jph.config.checks`."""
        cls("", **given)  # which asks no server yet

    def read(self) -> Mapping[str, Value]:
        """Return the values of the component and of its proxies that the server has.

        Raises:
            SensorError: the server does not answer, or has none of the values.
        """
        until_s = time.monotonic() + self.timeout_s
        if self._link is None:
            self._link = zwave_server.acquire(self.server)
        values: dict[str, Value] = {}
        missing: dict[str, str] = {}
        for node, those in self._nodes.items():
            try:
                found = self._read(self._link, node, those, until_s, missing)
            except (_Absent, zwave_server.Refused) as error:
                self._known.pop(node, None)
                missing |= dict.fromkeys(those, str(error))
            else:
                values |= found
        return self._gaps.settle(values, missing)

    def close(self) -> None:
        """Give the connection back."""
        if self._link is not None:
            zwave_server.release(self._link)
            self._link = None

    def _read(
        self,
        server: zwave_server.ZwaveServer,
        node: int,
        those: Mapping[str, Wanted],
        until_s: float,
        missing: dict[str, str],
    ) -> dict[str, Value]:
        """Return the values of one node by Codifier, and add why others are missing."""
        known = self._known.get(node)
        if known is None or time.monotonic() >= known.until_s:
            raw = self._look(server, node, those, until_s, missing)
        else:
            raw = {
                codifier: server.ask("node.get_value", until_s, nodeId=node, valueId=value_id)
                for codifier, value_id in known.ids.items()
            }
        values = {}
        for codifier, answer in raw.items():
            value = json_text.value_of(answer.get("value"))
            if value is None:
                missing[codifier] = f"{those[codifier]}: nothing was reported yet"
            else:
                values[codifier] = value
        if len(values) < len(those):
            self._known.pop(node, None)
        return values

    def _look(
        self,
        server: zwave_server.ZwaveServer,
        node: int,
        those: Mapping[str, Wanted],
        until_s: float,
        missing: dict[str, str],
    ) -> dict[str, NodeValue]:
        """Ask for the state of a node, and remember which of its values are wanted."""
        state = _state(server, node, until_s)
        listed = state.get("values")
        values = [v for v in listed if isinstance(v, dict)] if isinstance(listed, list) else []
        found = {}
        for codifier, what in those.items():
            value = find(values, what)
            if value is None:
                missing[codifier] = f"{what}: there is no such value; {choices(values)}"
            else:
                found[codifier] = value
        ids = {codifier: id_of(value) for codifier, value in found.items()}
        self._known[node] = _Known(time.monotonic() + STATE_S, ids)
        return found


@dataclass(frozen=True, slots=True)
class _Known:
    until_s: float
    ids: Mapping[str, Mapping[str, object]]  # Codifier -> what names its value to the server


class _Absent(Exception):
    """A node is not there, or not in order."""


def _state(server: zwave_server.ZwaveServer, node: int, until_s: float) -> Node:
    try:
        state = server.ask("node.get_state", until_s, nodeId=node).get("state")
    except zwave_server.Refused as error:
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


def _wanted(one: Zwave | ValueOf) -> Wanted:
    return wanted(
        node=one.node,
        index=one.index,
        instance=one.instance,
        command_class=one.command_class,
        endpoint=one.endpoint,
        property=one.property,
        property_key=one.property_key,
    )


def _check(address: str) -> None:
    try:
        parts = urlsplit(address)
        is_one = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
        is_one = is_one and not parts.fragment
    except ValueError:
        is_one = False
    if not is_one:
        raise ValueError("Server: must be ws://HOST:PORT or wss://HOST:PORT")
