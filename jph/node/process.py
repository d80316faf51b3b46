"""What the components of one process share: the configuration, the bus, the last states."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from jph.bus.bus import Bus
from jph.config import Config
from jph.state import LastStates


class STATE(IntEnum):
    """What a timer callback returns about its reading."""

    GOOD = 1
    WITHERRORS = 2
    FAILED = 3
    NOREADING = 4


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """What became of a component's callbacks.

    Args:
        state: of its last reading, None before the first one.
        error: why it failed, None if it did not.
        is_active: whether its callbacks run.
        overruns: readings that it was too slow for.
        last_good_ms: when it last read well.
    """

    state: STATE | None
    error: str | None
    is_active: bool
    overruns: int
    last_good_ms: int | None


@dataclass(slots=True)
class Process:
    """What the components of one process share.

    Args:
        config: the configuration in force; another one after a reload.
        home: folder for all that is written.
        bus: where their messages go out and come in.
        components: says how each of them is, by Codifier.
    """

    config: Config
    home: Path
    bus: Bus
    components: Callable[[], Mapping[str, ComponentStatus]] = dict
    states: LastStates | None = field(default=None, init=False)

    def last_states(self) -> LastStates:
        """Return what the bus said last of every Codifier; kept from the first call on."""
        if self.states is None:
            self.states = LastStates()
        return self.states
