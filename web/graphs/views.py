"""The page itself, the points of its lines, and the events that it marks."""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, abort, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from jph.bus.wire import TIMESTAMP_LIMIT
from jph.clock import time_now_ms
from jph.errors import JphError, StoreError
from jph.stores import HistoryStore, Series
from jph.stores.span import parse_field
from web.context import behind, given_object, row_number, site
from web.graphs import downloads
from web.graphs import saved as saved_graphs
from web.history import events
from web.history.recent import read_recent, read_recent_text
from web.people import audit
from web.people.access import Role, needs, who
from web.programs.api import gap_width_ms
from web.views import timeout_ms

blueprint = Blueprint("graphs", __name__)

MOST_LINES = 12
MOST_POINTS = 5_000  # of one line
DEFAULT_POINTS = 1_000
MOST_TEXTS = 300
MOST_MARKS = 300
BEFORE_MS = 24 * 3_600_000  # so long before a span the text is looked for that it begins with
SPARSE = 100  # points; a line of fewer is drawn from the reading before to the one after
MOST_BEFORE = 100  # readings that may be looked at for the one before
LONGEST_NOTE = 500
FLOAT_DIGITS = 7  # all that a float32 holds
DIGITS = 12


@blueprint.get("/graphs")
@behind(lambda site: site.page_gate)
def page() -> ResponseReturnValue:
    """Show the graph that the address describes; without one, that which the person starts with."""
    graph, fault = None, ""
    try:
        if number := request.args.get("saved", type=row_number):
            graph = saved_graphs.get(number)
            if graph is None and "line" not in request.args:
                abort(404, "This graph was deleted by its owner.")
        elif who() and not request.args:
            graph = saved_graphs.start_of(who())
    except StoreError as error:
        fault = str(error)
    if graph is not None and "line" not in request.args and (query := query_of(graph.settings)):
        return redirect(f"{url_for('.page')}?{urlencode([*query, ('saved', graph.number)])}", 303)
    return render_template(
        "graphs.html",
        components=list(site().config.components.values()),
        overview=site().records.overview(),
        keeps_history=site().history_place() is not None,
        graph=graph,
        may_save=bool(who()),
        is_own=graph is not None and graph.owner == who(),
        fault=fault,
        has_parquet=downloads.has_parquet(),
    )


def query_of(settings: str) -> list[tuple[str, str]]:
    """Return the query that shows a saved graph; empty if it has no lines.

    Settings of older pages are JSON, somewhere in which there are objects with a codifier and
    perhaps a field.
    """
    query = parse_qsl(settings)
    if any(name == "line" for name, _ in query):
        return query
    try:
        found = list(_older_lines(json.loads(settings)))
    except (ValueError, RecursionError):
        return []
    return [("line", line) for line in dict.fromkeys(found)][:MOST_LINES]


def _older_lines(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _older_lines(part)
    elif isinstance(value, dict):
        codifier, field = value.get("codifier"), str(value.get("field", "value")).lower()
        if isinstance(codifier, str) and len(codifier) >= 2:
            yield f"{codifier[:2]},{field}"
        else:
            yield from _older_lines(list(value.values()))


@blueprint.get("/devel")
def devel() -> ResponseReturnValue:
    """Lead from the address of older pages to the graphs."""
    query = request.query_string.decode("latin-1")
    return redirect(url_for(".page") + (f"?{query}" if query else ""), 301)


@blueprint.get("/graphs/data")
@behind(lambda site: site.history_gate)
def data() -> ResponseReturnValue:
    """Return the points of some lines, all in one answer.

    ?line=A1,mean-hour names Codifier and field, for each line; ?from=, ?to= and ?points= are as in
    /history. ?earlier= asks for a span of the same length, too, which begins at that time.

    Of a line, "t" has the time of its first point and how much later each other one is, in ms; it
    has a gap between two points that are more than "gap_ms" apart. "low" and "high" are there if a
    point stands for several readings. Lines of text have "texts" instead, of the newest changes.
    """
    try:
        start_ms, end_ms, most_points = span()
        earlier_ms = earlier()
        lines = asked_lines()
    except ValueError as error:
        return jsonify({"error": str(error)}), 400
    try:
        answer: dict[str, Any] = {
            "now": time_now_ms(),
            "lines": [_line(*line, start_ms, end_ms, most_points) for line in lines],
        }
        if earlier_ms is not None:
            until_ms = earlier_ms + end_ms - start_ms
            answer["earlier"] = [_line(*line, earlier_ms, until_ms, most_points) for line in lines]
    except JphError as error:
        return jsonify({"error": str(error)}), 503
    return jsonify(answer)


def earlier() -> int | None:
    """Return when the earlier span begins that is asked for, too; None: none is."""
    return _time("earlier", 0) if "earlier" in request.args else None


def span() -> tuple[int, int, int]:
    """Return what is asked for: from, to, and the most points of a line."""
    end_ms = _time("to", time_now_ms() + 1)
    start_ms = _time("from", max(0, end_ms - 3_600_000))
    most_points = request.args.get("points", DEFAULT_POINTS, int)
    if start_ms >= end_ms:
        raise ValueError("from must be before to")
    if not 2 <= most_points <= MOST_POINTS:
        raise ValueError(f"points must be from 2 to {MOST_POINTS}")
    return start_ms, end_ms, most_points


def asked_lines() -> list[tuple[str, str]]:
    """Return Codifier and field of each line."""
    asked = request.args.getlist("line")
    if len(asked) > MOST_LINES:
        raise ValueError(f"a graph has at most {MOST_LINES} lines")
    lines = [(text[:2], text[3:] or "value") for text in asked]
    for _, field in lines:
        parse_field(field)
    return lines


def _time(name: str, default: int) -> int:
    time_ms = request.args.get(name, default, int)
    if not 0 <= time_ms <= TIMESTAMP_LIMIT:
        raise ValueError(f"{name} must be from 0 to {TIMESTAMP_LIMIT}")
    return time_ms


def _line(codifier: str, field: str, start_ms: int, end_ms: int, most: int) -> dict[str, Any]:
    here = site()
    component = here.config.components.get(codifier)
    record = here.records.get(codifier)
    if component is None or record is None:
        return {"error": f"There is no component {codifier} in the configuration."}
    if component.data_type == "string":
        texts = read_recent_text(here, component, start_ms, end_ms, MOST_TEXTS)
        before = here.history().read_text(codifier, max(0, start_ms - BEFORE_MS), start_ms, 1)
        return {"texts": changes([*before, *texts])}
    series = read_recent(here, codifier, field, start_ms, end_ms, most)
    digits = FLOAT_DIGITS if component.data_type == "float" else DIGITS
    gap_ms = gap_width_ms(series, timeout_ms(here.records, record))
    is_sparse = not series.bucket_ms and len(series.times_ms) < SPARSE
    if is_sparse and field != "stdev" and parse_field(field).resolution is None:
        series = _reaching(here.history(), codifier, series, (start_ms, end_ms), round(gap_ms))
    return packed(series, digits) | {"gap_ms": gap_ms, "bucket_ms": series.bucket_ms}


def _reaching(
    store: HistoryStore, codifier: str, series: Series, span: tuple[int, int], reach_ms: int
) -> Series:
    """Return a series with the readings next to its span, so that its line reaches the edges."""
    start_ms, end_ms = span
    before = store.oldest(codifier, max(0, start_ms - reach_ms), start_ms, MOST_BEFORE)
    before = before[-1:] if len(before) < MOST_BEFORE else []
    after = store.oldest(codifier, end_ms, end_ms + reach_ms, 1)
    (first, last) = (
        [(row[0], row[3]) for row in rows if row[3] is not None] for rows in (before, after)
    )
    points = [*first, *zip(series.times_ms, series.values, strict=True), *last]
    return Series.of((time_ms, value, value, value) for time_ms, value in points)


def changes(texts: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the texts that differ from the one before."""
    found: list[tuple[int, str]] = []
    for text in texts:
        if not found or found[-1][1] != text[1]:
            found.append(text)
    return found


def packed(series: Series, digits: int) -> dict[str, Any]:
    """Return the columns of a series with times as steps and numbers without idle digits."""
    times = series.times_ms
    steps = [after - before for before, after in pairwise(times)]
    columns: dict[str, Any] = {"t": [*times[:1], *steps]}
    names = {"v": series.values}
    if series.bucket_ms:
        names |= {"low": series.lows, "high": series.highs}
    for name, values in names.items():
        columns[name] = [float(f"{value:.{digits}g}") for value in values]
    return columns


@blueprint.errorhandler(StoreError)
def show_fault(error: StoreError) -> ResponseReturnValue:
    """Tell that the database of the pages cannot be used."""
    return jsonify({"error": str(error)}), 503


# Marks


@blueprint.get("/graphs/marks")
def marks() -> ResponseReturnValue:
    """Return the events of a span: ?from=, ?to=, ?kind= and ?codifier= any number of times."""
    kinds, codifiers = request.args.getlist("kind"), request.args.getlist("codifier")
    try:
        start_ms, end_ms = _time("from", 0), _time("to", TIMESTAMP_LIMIT)
        found = events.between(
            site().home, start_ms, end_ms, [code[:2] for code in codifiers[:MOST_LINES]]
        )
    except ValueError as error:
        return jsonify({"error": str(error)}), 400
    shown = [event._asdict() for event in found if event.kind in kinds]
    return jsonify(shown[-MOST_MARKS:])


@blueprint.post("/graphs/marks")
@needs(Role.OPERATOR)
def add_note() -> ResponseReturnValue:
    """Add a note: {"time_ms", "text"} and perhaps the "codifier" that it is about."""
    given = given_object()
    text, time_ms = given.get("text"), given.get("time_ms")
    codifier = given.get("codifier") or ""
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_NOTE:
        abort(400, f"A note has 1 to {LONGEST_NOTE} characters.")
    if not isinstance(time_ms, int) or not 0 <= time_ms <= TIMESTAMP_LIMIT:
        abort(400, "A note needs a time, in ms.")
    if codifier and (not isinstance(codifier, str) or codifier not in site().config.components):
        abort(404, "There is no such component.")
    events.add(site().home, [events.Event(time_ms, codifier, "note", text.strip(), who())])
    audit.note("add note", codifier, text.strip())
    return jsonify({})


@blueprint.post("/graphs/marks/<int:number>/delete")
@needs(Role.OPERATOR)
def delete_note(number: int) -> ResponseReturnValue:
    """Delete a note; other events stay."""
    if not events.remove(site().home, number):
        abort(404, "There is no such note any more.")
    audit.note("delete note", str(number))
    return jsonify({})
