"""The shared parts of one process: the configuration, the bus, the last states."""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jph.bus.bus import Bus
from jph.bus.wire import Address
from jph.config.model import Config
from jph.kept_files import KeptFiles
from jph.state import LastStates

if TYPE_CHECKING:
    from jph.stores.recall import Recall


class STATE(IntEnum):
    """The outcome of a reading, which a timer callback returns."""

    GOOD = 1
    WITHERRORS = 2
    FAILED = 3
    NOREADING = 4


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """The outcome of a component's callbacks.

    Args:
        error: why the last one failed.
        is_failing: it has failed as often as `Report.Failures`, or never worked.
    """

    state: STATE | None
    error: str | None
    is_failing: bool
    is_active: bool
    overruns: int
    last_good_ms: int | None


class StandbyStatus(NamedTuple):
    """A component on standby: where the other instance is, and since when (monotonic) it works."""

    address: Address
    since_s: float


@dataclass(slots=True)
class Process:
    """The parts that the components of one process share.

    Args:
        components: returns those at work, by Codifier.
        reload: has the process read its configuration again.
        standby: returns those on standby, by Codifier.

    Attributes:
        shared: what a component leaves to the one that is built in its place.
    """

    config: Config
    home: Path
    bus: Bus
    components: Callable[[], Mapping[str, ComponentStatus]] = dict
    reload: Callable[[], object] = lambda: None
    standby: Callable[[], Mapping[str, StandbyStatus]] = dict
    kept_files: KeptFiles = field(init=False)
    shared: dict[object, object] = field(default_factory=dict, init=False)
    states: LastStates | None = field(default=None, init=False)
    _recalls: dict[str, "Recall"] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self.kept_files = KeptFiles(self.home)

    def last_states(self) -> LastStates:
        """Return the last state of every Codifier; they are kept from the first call on."""
        if self.states is None:
            self.states = LastStates()
        return self.states

    def recall(self, url: str | None = None) -> "Recall | None":
        """Ask a state store once for its states from before the start, and have them recalled.

        Args:
            url: of the store; None: that of the first StateCache.

        Returns:
            The question, or None where there is no store.
        """
        caches = [c for c in self.config.components.values() if c.type == "StateCache"]
        if url is None and caches:
            url = str(caches[0].settings.get("URL") or "memory:")
        if not url:
            return None
        from jph.stores.recall import Recall  # which a node without pages does not need

        files = [c.settings.get("PasswordFile") for c in caches if c.settings.get("URL") == url]
        # Not Path.expanduser, which raises RuntimeError for the home of nobody.
        file = Path(os.path.expanduser(str(files[0]))) if files and files[0] else None
        with self._lock:
            if url not in self._recalls:
                self._recalls[url] = Recall(self.last_states(), url, self.home, file)
            return self._recalls[url]

    def close(self) -> None:
        """Ask no store any more."""
        for recall in self._recalls.values():
            recall.close()
