"""Long history as a stream: page by page from the store, so that memory stays bounded.

Each page waits for its turn at the gate of the history. A stream that cannot go on breaks its
connection, so that nobody takes a part for the whole (web/serving/exports.py).
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice
from operator import itemgetter
from types import SimpleNamespace
from typing import NamedTuple, TypeVar

from flask import Response, request

from jph.config.model import Component
from jph.stores import Row, row_of
from jph.stores.buckets import Statistic
from web.formatting import cell
from web.serving.exports import Export
from web.serving.front import EXPORT
from web.serving.limits import Busy
from web.site import Site

PAGE = 2_000  # rows that are in memory at a time
FIRST_SLICE_MS = 600_000  # how much of the history of some components is asked for at first
LONGEST_SLICE_MS = 6 * 3_600_000  # and at most, so that a question stays short behind a silence
MOST_AT_ONCE = 1_000_000  # rows of one ms
PATIENCE = 6  # turns that a page waits for; each waits 10 s at most

T = TypeVar("T")
Value = float | int | str | dict[str, object] | None


class Reading(NamedTuple):
    """One stored reading."""

    time_ms: int
    value: Value


def readings(
    here: Site, address: str, component: Component, start_ms: int, end_ms: int
) -> Iterator[Reading]:
    """Yield all readings of a span, oldest first: from the store, then those just heard.

    Args:
        address: of who asks, which takes its turns at the gate.

    Raises:
        StoreError: the store does not answer.
    """
    codifier = component.codifier
    last_ms, after = start_ms, -1
    while True:
        ask = partial(here.history().oldest, codifier, last_ms, end_ms, PAGE, after=after)
        rows = _in_turn(here, address, ask)
        for row in rows:
            yield Reading(row[0], value_of(row, component.data_type))
        if rows:
            last_ms, after = rows[-1][0], rows[-1][2]
        if len(rows) < PAGE:
            break
    stored_ms = last_ms if after >= 0 else start_ms - 1
    for row in _heard(here, codifier, stored_ms, end_ms):
        yield Reading(row[0], value_of(row, component.data_type))


def _heard(here: Site, codifier: str, after_ms: int, end_ms: int) -> list[Row]:
    """Return what was heard of a span as the rows that it will be stored as, oldest first."""
    texts = here.records.recent_texts(codifier, after_ms, end_ms)
    rows = [row for row in map(row_of, texts) if row is not None]
    times = {row[0] for row in rows}
    rows += [
        (time_ms, codifier, 0, number, None)
        for time_ms, number in here.records.recent(codifier, after_ms, end_ms)
        if time_ms not in times  # the number of an object
    ]
    return sorted(rows, key=itemgetter(0))


def readings_of(
    here: Site, address: str, components: Sequence[Component], start_ms: int, end_ms: int
) -> Iterator[tuple[Component, Reading]]:
    """Yield the readings of some components, all by time: from the store, then those just heard.

    Args:
        address: of who asks, which takes its turns at the gate.

    Raises:
        StoreError: the store does not answer.
    """
    by_codifier = {component.codifier: component for component in components}
    stored_ms = dict.fromkeys(by_codifier, start_ms - 1)
    for row in _rows_of(here, address, list(by_codifier), start_ms, end_ms):
        component = by_codifier[row[1]]
        stored_ms[row[1]] = row[0]
        yield component, Reading(row[0], value_of(row, component.data_type))
    heard = [row for code in by_codifier for row in _heard(here, code, stored_ms[code], end_ms)]
    for row in sorted(heard, key=itemgetter(0)):
        component = by_codifier[row[1]]
        yield component, Reading(row[0], value_of(row, component.data_type))


def _rows_of(
    here: Site, address: str, codifiers: list[str], start_ms: int, end_ms: int
) -> Iterator[Row]:
    """Yield rows by time, a slice of time with about a page of them after the other."""
    extent = partial(_extent, here, codifiers, start_ms, end_ms)
    start_ms, end_ms = _in_turn(here, address, extent)
    width_ms = FIRST_SLICE_MS
    while start_ms < end_ms:
        stop_ms = min(start_ms + width_ms, end_ms)
        ask = partial(here.history().oldest_of, codifiers, start_ms, stop_ms, PAGE + 1)
        rows = _in_turn(here, address, ask)
        if len(rows) <= PAGE:
            width_ms = min(width_ms * 4, LONGEST_SLICE_MS) if len(rows) < PAGE // 4 else width_ms
        else:  # the last of these ms may be cut
            stop_ms = max(rows[-1][0], start_ms + 1)
            rows = [row for row in rows if row[0] < rows[-1][0]]
            width_ms = stop_ms - start_ms
            if not rows:
                ask = partial(here.history().oldest_of, codifiers, start_ms, stop_ms, MOST_AT_ONCE)
                rows = _in_turn(here, address, ask)
        yield from rows
        start_ms = stop_ms


def _extent(here: Site, codifiers: list[str], start_ms: int, end_ms: int) -> tuple[int, int]:
    """Return the part of a span outside which there are no readings."""
    store = here.history()
    first = [store.oldest(codifier, start_ms, end_ms, 1) for codifier in codifiers]
    last = [store.last(codifier, 1) for codifier in codifiers]
    begin_ms = min((rows[0][0] for rows in first if rows), default=end_ms)
    return begin_ms, min(end_ms, max((rows[0][0] + 1 for rows in last if rows), default=begin_ms))


def statistics(
    here: Site, address: str, codifier: str, resolution: int, start_ms: int, end_ms: int
) -> Iterator[tuple[int, Statistic]]:
    """Yield the computed statistics of a span with the ends of their buckets, oldest first.

    Raises:
        StoreError: the store does not answer.
    """
    while True:
        ask = partial(here.history().buckets, codifier, resolution, start_ms, end_ms, PAGE)
        found = _in_turn(here, address, ask)
        yield from found
        if len(found) < PAGE:
            return
        start_ms = found[-1][0] + 1


def _in_turn(here: Site, address: str, ask: Callable[[], T]) -> T:
    for _ in range(PATIENCE - 1):
        with suppress(Busy), here.history_gate.turn(address):
            return ask()
    with here.history_gate.turn(address):
        return ask()


def value_of(row: Row, data_type: str) -> Value:
    """Return what was read, from a row of the store."""
    _, _, _, number, text = row
    if text is None:
        is_whole = data_type in ("integer", "bool") and number is not None and number.is_integer()
        return int(number) if is_whole and number is not None else number
    if data_type == "json" or number is not None:
        with suppress(ValueError):  # a whole number beyond 2**53 is one in JSON, too
            found: Value = json.loads(text)
            return found
    return text


def as_csv(lines: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yield lines of CSV (RFC 4180) in which no text counts as a formula."""
    line = csv.writer(SimpleNamespace(write=lambda text: text))
    for cells in lines:
        yield line.writerow([cell(value) for value in cells])


def utc(time_ms: int) -> str:
    """Return a time as spreadsheets read it, to the millisecond."""
    try:
        moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    except (ValueError, OverflowError):  # beyond the year 9999, which the bus can carry
        return ""
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time_ms % 1000:03d}"


def begun(lines: Iterator[T]) -> Iterator[T]:
    """Return the same lines, the first of which is made now: so an error is an answer of its own.

    Raises:
        StoreError: the store does not answer.
        Busy: too much is asked for now.
    """
    first = list(islice(lines, 1))
    return chain(first, lines)


def streamed(
    here: Site,
    content: Iterator[str] | Iterator[bytes],
    mimetype: str,
    filename: str = "",
    *,
    packs: bool = True,
) -> Response:
    """Return an answer that is made while it is sent.

    Args:
        content: pieces of it, such as lines.
        filename: under which a browser stores it; none: it shows it.
        packs: whether to compress it for those who take that.

    Raises:
        Busy: too many exports now.
    """
    response = Response(mimetype=mimetype)
    response.vary.add("Accept-Encoding")
    export = Export(
        request.remote_addr or "",
        content,
        packed=packs and request.accept_encodings["gzip"] > 0,
        chunked=request.environ.get("SERVER_PROTOCOL") == "HTTP/1.1",
    )
    if export.packed:
        response.headers["Content-Encoding"] = "gzip"
    if filename:
        response.headers.set("Content-Disposition", "attachment", filename=filename)
    if request.method != "HEAD":
        here.exports.expect(export)
        request.environ[EXPORT] = export  # the rest is up to web/serving/front.py
    return response
