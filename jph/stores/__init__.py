"""Where last states and history are kept, each behind one small interface and named by a URL.

A new store is one module with a function (url, home) -> store and one line in a table below; it is
imported when a URL asks for it, so that nobody needs the driver of another store.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, urlsplit

from jph.errors import ConfigError
from jph.sequence import Source
from jph.state import Fields
from jph.wire import Control, Reading, number_of

STATE_STORES = {"memory": ("jph.stores.memory", "open_memory")}
HISTORY_STORES = {"sqlite": ("jph.stores.sqlite", "open_sqlite")}

# One stored reading: timestamp_ms, Codifier, sequence, number, text. The first three are its
# identity: a row that is stored already is never stored again.
Row = tuple[int, str, int, float | None, str | None]

EXACT = 1 << 53  # integers beyond it are rounded in a double


class StateStore(Protocol):
    """Last states, fed with what is heard on the bus. No call waits for a server."""

    def on_readings(self, readings: Iterable[Reading], sources: Mapping[str, Source]) -> None:
        """Take a batch of readings, in order of arrival."""

    def on_control(self, message: Control, now_ms: int, sources: Mapping[str, Source]) -> None:
        """Take one control message that arrived at now_ms by our clock."""

    def get(self, codifier: str) -> Fields | None:
        """Return the state of one Codifier, None if nothing was heard of it."""

    def changed_since(self, version: int) -> tuple[int, dict[str, Fields]]:
        """Return the present version and the states that changed after the given one; 0: all."""

    def close(self) -> None:
        """Write what is still to be written and let go of the store."""


@dataclass(frozen=True, slots=True)
class Series:
    """The numbers of one Codifier, as columns of one length, oldest first.

    Where there were more readings than points, each point stands for bucket_ms of time: the mean
    of its readings, their lowest and their highest, so that no peak vanishes, placed in the middle
    between its first and its last reading. A stretch without readings has no points.

    Args:
        times_ms: ms since 1970.
        values: readings, or means.
        lows: lowest reading of each point; the same as values where nothing was reduced.
        highs: highest reading of each point.
        bucket_ms: width of a bucket, 0 where the points are the readings themselves.
    """

    times_ms: list[int]
    values: list[float]
    lows: list[float]
    highs: list[float]
    bucket_ms: int = 0


class HistoryStore(Protocol):
    """Every reading, for years. Calls block and may come from any thread; StoreError: not now."""

    def append(self, rows: Sequence[Row]) -> int:
        """Store rows durably, all or none, in any order; return how many were new."""

    def read(self, codifier: str, start_ms: int, end_ms: int, most_points: int = 1000) -> Series:
        """Return the numbers with start_ms <= timestamp < end_ms as at most most_points points."""

    def read_text(
        self, codifier: str, start_ms: int, end_ms: int, most: int = 1000
    ) -> list[tuple[int, str]]:
        """Return (timestamp_ms, text) of the newest `most` texts of a span, oldest first."""

    def last(self, codifier: str, n: int, since_ms: int = 0) -> list[Row]:
        """Return the newest n rows that are not older than since_ms, oldest first."""

    def close(self) -> None:
        """Let go of the store; every later call raises StoreError."""


def open_state(url: str, home: Path) -> StateStore:
    """Open the state store that a URL names: `memory:`, one per process, or `memory:name`.

    Raises:
        ConfigError: no such store, or a URL with a password in it.
    """
    return cast(StateStore, _open(url, home, STATE_STORES, "state"))


def open_history(url: str, home: Path) -> HistoryStore:
    """Open the history store that a URL names: `sqlite:///in-home.sqlite`, `sqlite:////absolute`.

    A store that is only away at the moment is opened all the same; the calls raise StoreError until
    it is back.

    Raises:
        ConfigError: no such store, a URL with a password in it, or a store that only a person can
            make usable.
    """
    return cast(HistoryStore, _open(url, home, HISTORY_STORES, "history"))


def _open(url: str, home: Path, stores: Mapping[str, tuple[str, str]], kind: str) -> Any:
    if _has_password(url):  # before anything else, so that no message can repeat it
        raise ConfigError(
            f"the URL of the {kind} store has a password in it; put it into a file and name that "
            "file in PasswordFile"
        )
    scheme = url.partition(":")[0].lower()
    if ":" not in url or scheme not in stores:
        named = f"{scheme}:" if re.fullmatch(r"[a-z][a-z0-9+.-]{0,20}", scheme) else "this URL"
        known = ", ".join(f"{name}:" for name in stores)
        raise ConfigError(f"no {kind} store is known for {named} (known: {known})")
    module, function = stores[scheme]
    return getattr(import_module(module), function)(url, home)


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:  # brackets that are no IPv6 address
        return "@" in url
    return parts.password is not None or any(
        name.lower() in ("password", "passwd", "pwd") for name, _ in query
    )


def row_of(reading: Reading) -> Row | None:
    """Return the row that stores a reading, or None for a number that is not finite.

    The number goes into the fourth column. The exact text goes into the fifth where the number does
    not say all: strings, JSON objects with more than a number in them, integers beyond 2**53. A
    JSON object whose value is null is stored, as text: its other keys may say why.
    """
    codifier, timestamp_ms, sequence, value, *_ = reading
    if isinstance(value, float):
        return (timestamp_ms, codifier, sequence, value, None) if math.isfinite(value) else None
    number = number_of(value)
    text = None
    if isinstance(value, str):
        text = value
    elif isinstance(value, dict):
        inner = value.get("value")
        if isinstance(inner, float) and number is None:
            return None
        if number is None or len(value) > 1 or not _is_exact(inner):
            try:
                text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            except ValueError:  # a NaN beside the value
                return None
    elif not _is_exact(value):
        text = str(value)
    return timestamp_ms, codifier, sequence, number, text


def _is_exact(number: object) -> bool:
    return not isinstance(number, int) or -EXACT <= number <= EXACT
