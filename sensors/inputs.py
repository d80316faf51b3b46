"""The inputs of a calculation: the last values of other components, and their ages.

An input is *missing* while nothing was heard of its Codifier; it has *no value* while only signs of
life were; it is *stale* when its value is older than it may be. The three are never mixed up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from jph.config.model import Config
from jph.config.silence import timeout_s
from jph.node.channel import Channel

_PATIENCE_S = 2.5  # for the state cache of the network to answer


@dataclass(frozen=True, slots=True)
class Input:
    """The last state of one Codifier, as a calculation sees it.

    Args:
        fields: see jph.state; None if nothing was heard of it.
        age_s: since its value was heard here; infinity without a value.
        limit_s: an older value is stale.
    """

    codifier: str
    fields: Mapping[str, object] | None
    age_s: float
    limit_s: float

    @property
    def is_known(self) -> bool:
        """Tell whether a value was heard, however old."""
        return self.age_s < inf

    @property
    def is_stale(self) -> bool:
        """Tell whether there is no value that is young enough."""
        return self.age_s > self.limit_s or not self.is_known

    @property
    def raw(self) -> object:
        """The last value as it was sent, None without one."""
        return self.fields.get("Value") if self.fields is not None and self.is_known else None

    @property
    def value(self) -> object:
        """The last value; of a JSON object its key `value`."""
        raw = self.raw
        return raw.get("value") if isinstance(raw, Mapping) else raw

    def absence(self) -> str:
        """Return why there is no value; empty if there is one, however old."""
        if self.fields is None:
            return f"{self.codifier} was never heard"
        if not self.is_known:
            return f"{self.codifier} is on the bus, but sent no value yet"
        return f"{self.codifier} sent null" if self.value is None else ""

    def staleness(self) -> str:
        """Return why the value is not used; empty if it is young enough."""
        if not self.is_known or not self.is_stale:
            return ""
        return f"{self.codifier} is stale: {self.age_s:.0f} s old, more than {self.limit_s:g} s"


class Inputs:
    """Last states, looked up for one component."""

    def __init__(self, channel: Channel, max_age_s: float | None = None) -> None:
        self._channel = channel
        self._max_age_s = max_age_s
        self._states = channel.last_states()
        self._has_waited = False

    def prepare(self) -> None:
        """Ask the network's state cache for values from before the start, if it outlives processes.

        Waits for its answer the first time, but not long.
        """
        recall = self._channel.process.recall()
        if recall is not None and not self._has_waited:
            recall.wait(_PATIENCE_S)
        self._has_waited = True

    def look(self, codifier: str) -> Input:
        """Return a Codifier as an input, as it is now."""
        limit = self._max_age_s or limit_s(self._channel.config, codifier)
        return Input(codifier, self._states.get(codifier), self._states.age_s(codifier), limit)


def limit_s(config: Config, codifier: str) -> float:
    """Return the age at which people are told that a component is silent, in seconds."""
    component = config.components.get(codifier)
    if component is None:
        return inf
    return timeout_s(component, config.server_of(component))
