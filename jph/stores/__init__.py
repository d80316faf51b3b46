"""Stores of last states and of history, each behind one small interface and named by a URL.

A new store is one module with a function (url, home, …) -> store and one line in a table below; it
is imported when a URL asks for it, so that no store needs the driver of another.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl

from jph.bus.wire import Reading, number_of
from jph.errors import ConfigError
from jph.state import Fields, LastStates
from jph.stores.buckets import Statistic
from jph.stores.series import Gaps
from jph.stores.series import Series as Series

_REDIS = (
    *("redis", "redis+sentinel", "redis+cluster"),
    *("rediss", "rediss+sentinel", "rediss+cluster"),  # with TLS
    "unix",
)
# By scheme: the module and its function, and the extra that brings the driver.
STATE_STORES = {
    "memory": ("jph.stores.memory", "open_memory", ""),
    **dict.fromkeys(_REDIS, ("jph.stores.redis.store", "open_redis", "redis")),
}
HISTORY_STORES = {
    "sqlite": ("jph.stores.sqlite.history", "open_sqlite", ""),
    "postgresql": ("jph.stores.postgres.history", "open_postgres", "postgres"),
}

# One stored reading: timestamp_ms, Codifier, sequence, number, text. The first three are its
# identity: a store never keeps two rows with the same.
Row = tuple[int, str, int, float | None, str | None]

# One bucket: resolution, Codifier, end_ms, mean, mode, median, max, min, stdev, count.
StatisticRow = tuple[int, str, int, float, float | None, float, float, float, float, int]

EXACT = 1 << 53  # integers beyond it are rounded in a double


class StateStore(Protocol):
    """Brings the last states of this process to a place where other programs find them.

    No call but `recall` waits for a server.
    """

    def wake(self) -> None:
        """Write the changed states soon."""

    def recall(self) -> dict[str, Fields]:
        """Return all states that the store holds, also of processes before this one.

        Raises:
            StoreError: the store does not answer.
        """

    def watch(self, on_fault: Callable[[str | None], object]) -> None:
        """Call this with the reason at each failed try to write, and with None when one succeeds.

        The calls come from a thread of the store.
        """

    def close(self) -> None:
        """Write the last changes, if the store answers, and close the connection."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A piece of history that was dropped to save room.

    Args:
        resolution: 0 for readings, 10 or 60 for statistics.
        before_ms: everything up to this time is gone.
        bytes: about how much room that made.
    """

    resolution: int
    before_ms: int
    bytes: int


class StatisticsStore(Protocol):
    """The statistics of a history, and how long it is kept.

    Calls block; they raise StoreError when the store does not answer. `HistoryStore.append` marks
    the buckets of its readings as due. Several processes may compute: they take turns. A call does
    a small piece of work, so that a writer hardly waits for it.
    """

    def due(self, until_ms: int) -> int:
        """Return about how many buckets are due that end by until_ms."""

    def compute(self, until_ms: int) -> int:
        """Compute some buckets that end by until_ms, the oldest first, and their hours.

        Returns how many marks are done; 0: none is due, or another process is computing.
        """

    def mark(self, codifier: str | None = None) -> int:
        """Make all buckets of a Codifier, or of all, due again; return about how many."""

    def restore(self, rows: Sequence[StatisticRow]) -> int:
        """Store statistics that were computed elsewhere, unless there are some; return how many."""

    def size_bytes(self) -> int:
        """Return the size of readings and statistics, less the free space in their files."""

    def drop_before(self, resolution: int, before_ms: int) -> Dropped | None:
        """Drop the oldest piece that is older than this; None: there is none.

        Readings whose statistics are due stay.
        """

    def drop_oldest(self, resolution: int, keep_ms: int) -> Dropped | None:
        """Drop the oldest piece whatever its age, unless it is younger than keep_ms; None: none."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """The readings of one Codifier in quarantine, and the span of their times."""

    codifier: str
    readings: int
    first_ms: int
    last_ms: int


class QuarantineStore(Protocol):
    """Readings whose time cannot be right, kept apart from the history until a person decides.

    Calls block; they raise StoreError when the store does not answer.

    Attributes:
        readings: how many are in it, by the last count.
        dropped: how many this process dropped, because it was full.
    """

    readings: int
    dropped: int

    def add(self, rows: Sequence[Row]) -> None:
        """Keep rows durably, as many as there is room for."""

    def look(self) -> None:
        """Count its readings again, from time to time."""

    def summary(self) -> list[Quarantined]:
        """Return what is in it, by Codifier."""

    def rows(self, codifier: str, most: int) -> list[Row]:
        """Return the oldest readings of a Codifier."""

    def remove(self, rows: Sequence[Row]) -> None:
        """Delete these readings, which are elsewhere now."""

    def drop(self, codifier: str) -> None:
        """Delete the readings of a Codifier."""


class HistoryStore(Protocol):
    """Every reading, for years.

    Calls block, may come from any thread, and raise StoreError when the store does not answer.
    """

    def append(self, rows: Sequence[Row]) -> int:
        """Store rows durably, all or none, in any order; return how many were new."""

    def read(
        self,
        codifiers: Sequence[str],
        field: str,
        start_ms: int,
        end_ms: int,
        most_points: int = 1000,
    ) -> dict[str, Series]:
        """Return a field of some Codifiers as at most most_points points each.

        The points are the numbers with start_ms <= timestamp < end_ms if these are few enough, else
        they are made of statistics, by the width of a point. A suffix forces statistics: then a
        point is a bucket, labelled by its end, or several if there are many. Of several medians or
        modes a point has the middle one.

        Args:
            codifiers: one without history has no points.
            field: value, mean, median, mode, max, min or stdev; with -10min or -hour, of the
                statistics of that resolution.
            most_points: of each Codifier, at least 1.

        Raises:
            ValueError: no such field.
        """

    def read_text(
        self, codifier: str, start_ms: int, end_ms: int, most: int = 1000, *, objects: bool = False
    ) -> list[tuple[int, str]]:
        """Return (timestamp_ms, text) of the newest `most` texts of a span, oldest first.

        Args:
            start_ms, end_ms: the span, start_ms <= timestamp < end_ms.
            objects: for DataType json: include objects that are a number and nothing else, which
                are stored without text.
        """

    def last(self, codifier: str, n: int, since_ms: int = 0) -> list[Row]:
        """Return the newest n rows that are not older than since_ms, oldest first."""

    def summary(self, codifier: str, start_ms: int, end_ms: int) -> Statistic | None:
        """Return the statistics of the numbers of a span; None: there are none.

        Mode and median are exact where the readings are few, see `jph.stores.span.read_summary`.
        """

    def gaps(self, codifier: str, start_ms: int, end_ms: int, longest_ms: int) -> Gaps | None:
        """Return where readings of a span, of any kind, are more than longest_ms apart.

        None: there are no readings, or this cannot be told.
        """

    def oldest(
        self, codifier: str, start_ms: int, end_ms: int, most: int, *, after: int = -1
    ) -> list[Row]:
        """Return the oldest `most` rows with start_ms <= timestamp < end_ms, oldest first.

        A long span is read page by page: the next one begins at the timestamp of the last row, and
        `after` its sequence.
        """

    def oldest_of(
        self, codifiers: Sequence[str], start_ms: int, end_ms: int, most: int
    ) -> list[Row]:
        """Return the oldest `most` rows of some Codifiers, start_ms <= timestamp < end_ms, by time.

        Some stores look at the whole span first: it should hold hardly more rows than `most`.
        """

    def buckets(
        self, codifier: str, resolution: int, start_ms: int, end_ms: int, most: int
    ) -> list[tuple[int, Statistic]]:
        """Return the oldest `most` statistics with start_ms <= end of bucket < end_ms, by time.

        Only those that are computed, of a resolution in minutes: 10 or 60.
        """

    @property
    def path(self) -> Path | None:
        """The file of this history, None if a server keeps it."""

    @property
    def statistics(self) -> StatisticsStore:
        """The statistics of this history."""

    @property
    def quarantine(self) -> QuarantineStore:
        """Its readings whose time cannot be right."""

    def damaged(self) -> list[str]:
        """Return the names of damaged files of this history that wait for a repair."""

    def close(self) -> None:
        """Close the store; every later call raises StoreError."""


def open_state(url: str, home: Path, password_file: Path | None, states: LastStates) -> StateStore:
    """Open the state store that a URL names.

    Args:
        url: `memory:`, or a Redis in a form of `jph.stores.redis.url`.
        home: folder that the store belongs to.
        password_file: holds the password of the server; None if it needs none.

    Raises:
        ConfigError: no such store, or a URL with a password in it.
    """
    return cast(StateStore, _open(url, home, STATE_STORES, "state", password_file, states))


def open_history(url: str, home: Path, password_file: Path | None = None) -> HistoryStore:
    """Open the history store that a URL names.

    A store that does not answer now is opened all the same; its calls raise StoreError until it
    does.

    Args:
        url: `sqlite:///in-home.sqlite`, `sqlite:////absolute`, or
            `postgresql://user@host:port/database`.
        home: folder that the path of a file is relative to.
        password_file: holds the password of the role; None if it needs none.

    Raises:
        ConfigError: no such store, or a URL with a password in it.
    """
    return cast(HistoryStore, _open(url, home, HISTORY_STORES, "history", password_file))


def _open(
    url: str, home: Path, stores: Mapping[str, tuple[str, str, str]], kind: str, *further: object
) -> Any:
    if _has_password(url):  # before anything else, so that no message can repeat it
        raise ConfigError(
            f"the URL of the {kind} store has a password in it: write the password into a file and "
            "name that file in PasswordFile"
        )
    scheme = url.partition(":")[0].lower()
    if ":" not in url or scheme not in stores:
        named = f"{scheme}:" if re.fullmatch(r"[a-z][a-z0-9+.-]{0,20}", scheme) else "this URL"
        known = ", ".join(f"{name}:" for name in stores)
        raise ConfigError(f"no {kind} store is known for {named} (known: {known})")
    name, function, extra = stores[scheme]
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if not extra:
            raise
        raise ConfigError(
            f"{scheme}: needs {error.name}, which is not installed: pip install 'jph[{extra}]'"
        ) from error
    return getattr(module, function)(url, home, *further)


def _has_password(url: str) -> bool:
    authority = re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0]
    query = parse_qsl(url.partition("#")[0].partition("?")[2], keep_blank_values=True)
    return ":" in authority.rpartition("@")[0] or any(
        name.lower() in ("password", "passwd", "pwd") for name, _ in query
    )


def rows_of(readings: Iterable[Reading]) -> list[Row | None]:
    """Return `row_of` each reading, twice as fast."""
    return [
        (reading[1], reading[0], reading[2], reading[3], None)
        if type(reading[3]) is float and reading[3] - reading[3] == 0.0  # neither NaN nor infinite
        else row_of(reading)
        for reading in readings
    ]


def row_of(reading: Reading) -> Row | None:
    """Return the row that stores a reading, or None for a number that is not finite.

    The number goes into the fourth column. The exact text goes into the fifth where the number is
    not the whole value: strings, JSON objects with more than a number in them, integers beyond
    2**53. So {"value": 21.5}, as which a double travels or an integer below 0, is stored as a
    number alone; `text_of` returns the object. A JSON object whose value is null is stored as text:
    its other keys may tell why.
    """
    codifier, timestamp_ms, sequence, value, _, _, _ = reading
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
        if number is None or len(value) > 1 or isinstance(inner, bool) or not _is_exact(inner):
            try:
                text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            except ValueError:  # a NaN beside the value
                return None
    elif not _is_exact(value):
        text = str(value)
    return timestamp_ms, codifier, sequence, number, text


def text_of(number: float | None, text: str | None) -> str:
    """Return the text of a JSON object, as `row_of` stored it."""
    if text is not None or number is None:
        return text or ""
    is_whole = number.is_integer() and abs(number) <= EXACT
    return f'{{"value":{int(number) if is_whole else repr(number)}}}'


def _is_exact(number: object) -> bool:
    return not isinstance(number, int) or -EXACT <= number <= EXACT
