"""What a calculation knows of other components: their last values, and how old these are.

An input is *missing* while nothing was heard of its Codifier; it has *no value* while only signs of
life were; it is *stale* when its value is older than it may be. The three are never mixed up.
"""

import logging
import os
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from pathlib import Path

from jph.clock import time_now_ms
from jph.config import Config
from jph.errors import ConfigError, StoreError
from jph.node.channel import Channel
from jph.silence import server_of, timeout_s

log = logging.getLogger(__name__)

_ASK_AGAIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Input:
    """The last state of one Codifier, as a calculation sees it.

    Args:
        codifier: whose.
        fields: see jph.state; None if nothing was heard of it.
        age_s: since its value was read, by the clock of who sent it; infinity without a value.
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
        """The last value, of a JSON object what stands in its key `value`."""
        raw = self.raw
        return raw.get("value") if isinstance(raw, Mapping) else raw

    def absence(self) -> str:
        """Say why there is no value; empty if there is one, however old."""
        if self.fields is None:
            return f"{self.codifier} was never heard"
        if not self.is_known:
            return f"{self.codifier} is on the bus, but sent no value yet"
        return f"{self.codifier} sent null" if self.value is None else ""

    def staleness(self) -> str:
        """Say why the value is not used; empty if it is young enough."""
        if not self.is_known or not self.is_stale:
            return ""
        return f"{self.codifier} is stale: {self.age_s:.0f} s old, more than {self.limit_s:g} s"


class Inputs:
    """Last states, looked up for one component.

    Args:
        channel: of the component.
        max_age_s: makes a value stale; None: the TimeoutWarning of who sends it.
    """

    def __init__(self, channel: Channel, max_age_s: float | None = None) -> None:
        self._channel = channel
        self._max_age_s = max_age_s
        self._states = channel.last_states()

    def prepare(self) -> None:
        """Ask the network's state cache, if it outlives processes, what was there before the start.

        This may wait for its server, but only until it answered once.
        """
        earlier = self._earlier()
        if earlier is not None:
            earlier.ask()

    def look(self, codifier: str, now_ms: int | None = None) -> Input:
        """Return what is known of a Codifier now."""
        config = self._channel.config
        fields: Mapping[str, object] | None = self._states.get(codifier)
        if fields is None or fields.get("DTimestamp") is None:
            fields = self._recalled(codifier, fields)
        read_ms = fields.get("DTimestamp") if fields is not None else None
        age_s = inf
        if isinstance(read_ms, int):
            now_ms = time_now_ms() if now_ms is None else now_ms
            age_s = max(0.0, (now_ms - read_ms) / 1000)
        return Input(codifier, fields, age_s, self._max_age_s or limit_s(config, codifier))

    def _recalled(
        self, codifier: str, fields: Mapping[str, object] | None
    ) -> Mapping[str, object] | None:
        """Add what the network's state cache knew before this process was started."""
        earlier = self._earlier()
        before = earlier.states.get(codifier) if earlier is not None else None
        if before is None:
            return fields
        return {**before, **{k: v for k, v in (fields or {}).items() if v is not None}}

    def _earlier(self) -> "_Earlier | None":
        cache = self._channel.config.first("StateCache")
        url = str(cache.settings.get("URL") or "") if cache else ""
        if cache is None or url.partition(":")[0] in ("", "memory"):
            return None
        file = cache.settings.get("PasswordFile")
        return _earlier_of(url, self._channel.home, str(file) if file else None)


def limit_s(config: Config, codifier: str) -> float:
    """Return the age at which people are told that a component is silent, in seconds."""
    component = config.components.get(codifier)
    if component is None:
        return inf
    return timeout_s(component, server_of(config, component))


class _Earlier:
    """What a state cache held when this process was started."""

    def __init__(self, url: str, home: Path, password_file: str | None) -> None:
        self.states: Mapping[str, Mapping[str, object]] = {}
        # Not Path.expanduser, which raises RuntimeError for the home of nobody.
        file = Path(os.path.expanduser(password_file)) if password_file else None
        self._place = url, home, file
        self._lock = threading.Lock()
        self._due_s = 0.0
        self._pause_s = _ASK_AGAIN_S

    def ask(self) -> None:
        """Ask for it, unless that was done or did not work lately."""
        with self._lock:
            if time.monotonic() < self._due_s:
                return
            from jph.stores import open_state  # which only a network with Redis needs

            try:
                with closing(open_state(*self._place)) as store:
                    self.states, self._due_s = store.recall(), inf
            except (StoreError, ConfigError) as error:
                log.debug("no last states from before the start: %s", error)
                self._due_s = time.monotonic() + self._pause_s
                self._pause_s *= 2


@lru_cache(maxsize=8)
def _earlier_of(url: str, home: Path, password_file: str | None) -> _Earlier:
    """Return the one of this process, since every component asks for the same."""
    return _Earlier(url, home, password_file)
