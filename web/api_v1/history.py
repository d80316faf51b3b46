"""History and statistics of one component, streamed where they may be long."""

from collections.abc import Iterable, Iterator

from flask import Response, request

from jph.clock import time_now_ms
from jph.stores.buckets import HOUR_MS, RESOLUTIONS, width_ms
from web.api_v1 import models
from web.api_v1.components import record_of
from web.api_v1.endpoints import ENDPOINTS, encoded
from web.context import site
from web.history import long_history
from web.history.recent import read_recent

CSV = "text/csv"
NDJSON = "application/x-ndjson"

Line = dict[str, object]


@ENDPOINTS.add(
    "GET",
    "/history/<codifier:codifier>",
    query=models.HistoryQuery,
    answer=models.History,
    streams=(CSV, NDJSON),
)
def history(codifier: str, query: models.HistoryQuery) -> Response:
    """Return the history of one component, oldest first: every reading, or some points.

    Every reading is sent as it is read, however many there are; with `points` there are at most so
    many, each with the lowest and the highest of its readings, and texts are left out.
    """
    component = record_of(codifier).component
    here, address = site(), request.remote_addr or ""
    start_ms, end_ms = _span(query)
    if query.points:
        with here.history_gate.turn(address):
            series = read_recent(here, codifier, query.field, start_ms, end_ms, query.points)
        rows = zip(series.times_ms, series.values, series.lows, series.highs, strict=True)
        lines: Iterator[Line] = (
            dict(zip(("time", "value", "low", "high"), row, strict=True)) for row in rows
        )
        bucket_ms = series.bucket_ms
    else:
        found = long_history.readings(here, address, component, start_ms, end_ms)
        lines = ({"time": reading.time_ms, "value": reading.value} for reading in found)
        bucket_ms = 0
    head = {"codifier": codifier, "bucket_ms": bucket_ms}
    names = ("time", "value", "low", "high") if query.points else ("time", "value")
    return _answer(query.format, head, names, lines, codifier)


@ENDPOINTS.add(
    "GET",
    "/statistics/<codifier:codifier>",
    query=models.StatisticsQuery,
    answer=models.Statistics,
    streams=(CSV, NDJSON),
)
def statistics(codifier: str, query: models.StatisticsQuery) -> Response:
    """Return the computed statistics of one component, oldest first; those of today may lack."""
    record_of(codifier)
    here, address = site(), request.remote_addr or ""
    resolution = RESOLUTIONS[query.resolution]
    found = long_history.statistics(here, address, codifier, resolution, *_span(query))
    names = ("time", "mean", "mode", "median", "max", "min", "stdev", "count")
    lines: Iterator[Line] = (
        dict(zip(names, (end_ms, *bucket), strict=True)) for end_ms, bucket in found
    )
    head = {"codifier": codifier, "bucket_ms": width_ms(resolution)}
    return _answer(query.format, head, names, lines, f"{codifier}-{query.resolution}")


def _span(query: models.SpanQuery) -> tuple[int, int]:
    end_ms = time_now_ms() + 1 if query.end_ms is None else query.end_ms
    start_ms = max(0, end_ms - HOUR_MS) if query.start_ms is None else query.start_ms
    return start_ms, end_ms


def _answer(
    form: str, head: Line, names: Iterable[str], lines: Iterator[Line], filename: str
) -> Response:
    lines = long_history.begun(lines)
    if form == "csv":
        text = long_history.as_csv(_table(names, lines))
        return long_history.streamed(site(), text, CSV, f"{filename}.csv")
    if form == "ndjson":
        text = (encoded(line) + "\n" for line in lines)
        return long_history.streamed(site(), text, NDJSON, f"{filename}.ndjson")
    return long_history.streamed(site(), _object(head, lines), "application/json")


def _table(names: Iterable[str], lines: Iterator[Line]) -> Iterator[Iterable[object]]:
    """Yield the rows of a table, with the time as text behind the one in ms."""
    time, *others = names
    yield time, "utc", *others
    for line in lines:
        time_ms = line["time"]
        assert isinstance(time_ms, int)
        yield time_ms, long_history.utc(time_ms), *(line[name] for name in others)


def _object(head: Line, lines: Iterator[Line]) -> Iterator[str]:
    yield encoded(head)[:-1] + ',"items":['
    separator = ""
    for line in lines:
        yield separator + encoded(line)
        separator = ","
    yield "]}"
