"""The bus as a device of IoTtalk: Codifiers are its input features, what can be set its outputs.

So a graph brings a phone's slider to a fan, and a temperature of a Pi to a lamp. A graph may set
what it listens to: such a loop is as fast as commands are sent, and no faster.
"""

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from gateways.iottalk.paced import Paced, Value
from jph.bus.wire import Reading
from jph.config.model import Component, Config
from jph.faults import Fault
from jph.node.channel import Channel
from jph.node.outcome import limits

log = logging.getLogger(__name__)

NAME = "jph"


def identifier(secret: str, codifier: str) -> str:
    """Return the UUID of the bus as a device, for a gateway; the same at each start."""
    return str(uuid5(NAMESPACE_OID, f"jph {secret} {codifier}"))


class Bus:
    """Gives values of the bus to graphs, and takes values of graphs as commands.

    Args:
        push: called as push(identifier, Codifier, value) for each reading.
    """

    def __init__(
        self,
        channel: Channel,
        config: Config,
        identifier: str,
        push: Callable[[str, str, object], object],
    ) -> None:
        self.identifier = identifier
        self.sent = self.refused = 0  # commands
        self._channel = channel
        self._push = push
        self._faults: dict[str, Fault] = {}
        self._commands = Paced("bus-commands", self._command)
        self.take(config)

    def take(self, config: Config) -> bool:
        """Take a configuration; tell whether features or their names change."""
        before = getattr(self, "registration", None)
        self._components = config.components
        every = list(config.components.values())
        self.registration: dict[str, Any] = {
            "id": self.identifier,
            "name": NAME,
            "idf_list": [[it.codifier, [it.symbol or None]] for it in every],
            "odf_list": [[it.codifier, [it.symbol or None]] for it in every if is_settable(it)],
            "profile": {"model": "JPH", "names": {it.codifier: it.name for it in every}},
        }
        return before != self.registration

    def on_batch(self, readings: Sequence[Reading]) -> None:
        """Take readings from the bus."""
        if not self._channel.is_active:
            return
        push, own = self._push, self.identifier
        for codifier, _, _, given, *_ in readings:
            value: object = given
            if isinstance(given, dict) and given.keys() == {"value"}:
                value = given["value"]  # a double
            if isinstance(value, float) and not math.isfinite(value):
                continue
            push(own, codifier, [value])

    def output(self, codifier: str, values: Sequence[object]) -> None:
        """Set a component to the first of the values, or note why not."""
        component = self._components.get(codifier)
        try:
            if component is None or not is_settable(component):
                raise ValueError("it cannot be set; see its entry, Control")
            number = number_for(component, values)
        except ValueError as error:
            self.refused += 1
            fault = self._faults.setdefault(codifier, Fault(log, every_s=60.0))
            fault.note(str(error), f"{codifier} is not set by a graph: {error}")
            return
        if codifier in self._faults:
            self._faults.pop(codifier).end(f"{codifier} is set by a graph again")
        self._commands.offer(codifier, number)

    @property
    def fault(self) -> str:
        """Which components graphs do not set, and why; empty if there are none."""
        faults = list(self._faults.items())
        return "; ".join(f"{codifier}: {fault.text}" for codifier, fault in faults)

    def close(self) -> None:
        """Send no more."""
        self._commands.close()

    def _command(self, codifier: str, number: Value) -> None:
        if self._channel.is_active:
            self._channel.send_control("A", codifier, float(number))
            self.sent += 1


def is_settable(component: Component) -> bool:
    """Tell whether commands set a component to a number."""
    return component.control_enabled and component.data_type not in ("string", "json")


def number_for(component: Component, values: Sequence[object]) -> float:
    """Return the number that values set a component to.

    Raises:
        ValueError: the first one is no finite number, or outside of the component's limits.
    """
    value = values[0] if values else None
    if not isinstance(value, bool | int | float):
        raise ValueError(f"{value!r:.60} is no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    low, high = (0, 1) if component.data_type == "bool" else limits(component)
    if not math.isfinite(number):
        raise ValueError(f"{value!r:.60} is no finite number")
    if (low is not None and number < low) or (high is not None and number > high):
        raise ValueError(f"{number:g} is not within its limits, {low} to {high}")
    return number
