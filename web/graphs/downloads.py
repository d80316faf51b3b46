"""Files of readings and of statistics, as CSV, NDJSON or Parquet.

Whatever is long is made while it is sent (web/history/long_history.py): the readings of all sensors
of a year take no more memory than a page of them. Times are ISO 8601 with their zone and to the
millisecond. Readings come in order of time, statistics sensor by sensor.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from importlib.util import find_spec
from itertools import islice
from typing import Any, NamedTuple

from jph.bus.wire import number_of
from jph.config.model import Component
from jph.stores import EXACT
from jph.stores.buckets import RAW
from web.history import long_history
from web.site import Site

READINGS = ("time", "codifier", "name", "unit", "value")
STATISTICS = (
    *("time", "codifier", "name", "unit", "mean", "mode", "median"),
    *("highest", "lowest", "stdev", "readings"),
)
SHOWN = ("time", "codifier", "name", "unit", "field", "value", "lowest", "highest")
COMPARED = (*SHOWN, "period")  # shown or earlier, with an earlier span beside the one shown
ROW_GROUP = 50_000  # lines of Parquet that are in memory at a time

Line = tuple[Any, ...]  # a time in ms, then what the other columns have


class Format(NamedTuple):
    """One kind of file: its type for browsers, and what makes it from columns and lines."""

    mimetype: str
    encode: Callable[[Sequence[str], Iterable[Line], tzinfo], Iterator[str] | Iterator[bytes]]


def has_parquet() -> bool:
    """Tell whether the extra `parquet` is installed, without loading it."""
    return find_spec("pyarrow") is not None


def stored_lines(
    here: Site,
    address: str,
    components: Sequence[Component],
    resolution: int,
    start_ms: int,
    end_ms: int,
) -> Iterator[Line]:
    """Yield the readings of some components, or their statistics.

    Args:
        address: of who asks, which takes its turns at the gate of the history.
        resolution: RAW, or that of the statistics in minutes.

    Raises:
        StoreError: the store does not answer.
    """
    if resolution == RAW:
        for component, (time_ms, value) in long_history.readings_of(
            here, address, components, start_ms, end_ms
        ):
            yield time_ms, component.codifier, component.name, component.symbol, value
        return
    for component in components:
        for end_of_ms, statistic in long_history.statistics(
            here, address, component.codifier, resolution, start_ms, end_ms
        ):
            about = component.codifier, component.name, component.symbol
            yield end_of_ms, *about, *statistic


def iso(time_ms: int, zone: tzinfo) -> str:
    """Return a time as ISO 8601; as ms beyond the year 9999, which the bus can carry."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, zone).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError):
        return str(time_ms)


def as_csv(columns: Sequence[str], lines: Iterable[Line], zone: tzinfo) -> Iterator[str]:
    """Yield lines of CSV in which no text counts as a formula."""
    yield ",".join(columns) + "\r\n"
    yield from long_history.as_csv((iso(line[0], zone), *line[1:]) for line in lines)


def as_ndjson(columns: Sequence[str], lines: Iterable[Line], zone: tzinfo) -> Iterator[str]:
    """Yield lines of JSON, an object each."""
    for line in lines:
        found = dict(zip(columns, (iso(line[0], zone), *line[1:]), strict=True))
        yield json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n"


def as_parquet(columns: Sequence[str], lines: Iterable[Line], zone: tzinfo) -> Iterator[bytes]:
    """Yield the pieces of a file of Parquet, whose times have no zone but UTC.

    What a sensor read is in the column `value` if it is a number, and in `text` if that is not all.
    """
    import pyarrow
    from pyarrow import parquet

    texts = ("codifier", "name", "unit", "field", "period")
    types = {name: pyarrow.string() for name in (*texts, "text")}
    types |= {"time": pyarrow.timestamp("ms", tz="UTC"), "readings": pyarrow.int64()}
    at = columns.index("value") if "value" in columns else None
    names = columns if at is None else (*columns, "text")
    schema = pyarrow.schema([(name, types.get(name, pyarrow.float64())) for name in names])
    sink = _Sink()
    lines = iter(lines)
    with parquet.ParquetWriter(pyarrow.PythonFile(sink, mode="w"), schema) as writer:
        while group := list(islice(lines, ROW_GROUP)):
            if at is not None:
                group = [_with_text(line, at) for line in group]
            arrays = [
                pyarrow.array(column, field.type)
                for column, field in zip(zip(*group, strict=True), schema, strict=True)
            ]
            writer.write_batch(pyarrow.RecordBatch.from_arrays(arrays, schema=schema))
            yield sink.take()
    yield sink.take()


def _with_text(line: Line, at: int) -> Line:
    number, text = _number_and_text(line[at])
    return (*line[:at], number, *line[at + 1 :], text)


def _number_and_text(value: Any) -> tuple[float | None, str | None]:
    if isinstance(value, dict):
        return number_of(value), json.dumps(value, ensure_ascii=False)
    if isinstance(value, int) and abs(value) > EXACT:
        return float(value), str(value)
    return (None, value) if isinstance(value, str) else (value, None)


class _Sink:
    """A file that is read while it is written, from its beginning to its end."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> int:
        """Take a piece."""
        self._pieces.append(bytes(data))
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        """Return how much was written."""
        return self._size

    def flush(self) -> None:
        """Do nothing: what is written is there."""

    def close(self) -> None:
        """Do nothing: the rest is read after it."""

    def take(self) -> bytes:
        """Return what was written since the last time."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


FORMATS = {
    "csv": Format("text/csv", as_csv),
    "ndjson": Format("application/x-ndjson", as_ndjson),
    "parquet": Format("application/vnd.apache.parquet", as_parquet),
}
