"""Data for the graphs of older pages: fields of several components, each since a time."""

import json
from dataclasses import dataclass

from flask import Blueprint, Response, jsonify

from jph.bus.wire import TIMESTAMP_LIMIT
from jph.clock import time_now_ms
from jph.errors import JphError
from jph.stores.span import parse_field
from web.context import behind, site
from web.history.recent import read_recent
from web.site import Site

blueprint = Blueprint("sensorts", __name__)

MOST_ITEMS = 50
MOST_POINTS = 2000  # of one item
MOST_ANSWER = 50_000  # points in all, about 2 MB
FUTURE_MS = 3_600_000  # readings of a clock that is ahead of ours are shown too
MOST_KEY = 1 << 31
MOST_REASON = 300  # characters


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a graph.

    Args:
        key: number that the asker gives it, repeated with each of its points.
        codifier: whose history.
        field: such as value or mean-10min.
        since_ms: points are newer than this.
    """

    key: int
    codifier: str
    field: str
    since_ms: int


# The answers of the existing network to mistakes, with status 200: its programs compare the text.
NO_QUERY = "Invalid JSON"
NO_CODIFIER = "Not a valid codifier"
NO_ITEMS = "No rows in request"
NO_HISTORY = "Unknown Error with DB engine"


@blueprint.get("/sensorts/<path:query>")
@behind(lambda site: site.history_gate)
def sensorts(query: str) -> Response | tuple[Response, int]:
    """Return the points of each field that are newer than its time, in order of time.

    The query is [{"codifier", "key", "field", "time"}], the answer
    [{"0": key, "t": ms, "v": value}]. Of a longer text, the first two characters are the Codifier.
    Where there is more than an answer holds, points are further apart, as in /history; none is
    left out at the end, so that a page that asks again since the last one misses nothing.
    """
    try:
        items = parse(query)
    except ValueError as error:
        return _mistake(NO_QUERY, str(error))
    if not items:
        return _mistake(NO_ITEMS, "the list is empty")
    if len(items) > MOST_ITEMS:
        return jsonify({"error": f"the query must have at most {MOST_ITEMS} items"}), 400
    for item in items:
        if item.codifier not in site().config.components:
            return _mistake(NO_CODIFIER, f"no component {item.codifier!r} in the configuration")
    try:
        return jsonify(answer(site(), items, time_now_ms() + FUTURE_MS))
    except JphError as error:
        return _mistake(NO_HISTORY, str(error))


def _mistake(answer: str, reason: str) -> Response:
    """Return the answer that existing programs know, with the reason in a header for people."""
    reason = " ".join(reason.encode("ascii", "backslashreplace").decode().split())[:MOST_REASON]
    return Response(answer, mimetype="text/html", headers={"X-Reason": reason})


def parse(query: str) -> list[Item]:
    """Return the items of a query.

    Raises:
        ValueError: with the mistake in it.
    """
    try:
        asked = json.loads(query)
    except (ValueError, RecursionError):
        raise ValueError("the query is no JSON") from None
    if not isinstance(asked, list):
        raise ValueError("the query must be a list")
    return [_item(place, entry) for place, entry in enumerate(asked)]


def answer(here: Site, items: list[Item], end_ms: int) -> list[dict[str, object]]:
    """Return the points of all items, in order of time."""
    most = min(MOST_POINTS, MOST_ANSWER // max(len(items), 1))
    points: list[tuple[int, int, float]] = []
    for item in items:
        start_ms = min(item.since_ms + 1, end_ms)
        series = read_recent(here, item.codifier, item.field, start_ms, end_ms, most)
        pairs = zip(series.times_ms, series.values, strict=True)
        points += [(time_ms, item.key, value) for time_ms, value in pairs]
    points.sort(key=lambda point: point[0])
    return [{"0": key, "t": time_ms, "v": value} for time_ms, key, value in points]


def _item(place: int, entry: object) -> Item:
    if not isinstance(entry, dict):
        raise ValueError(f"[{place}]: must be an object")
    codifier, field = entry.get("codifier"), entry.get("field")
    if not isinstance(codifier, str):
        raise ValueError(f"[{place}].codifier: must be text")
    if not isinstance(field, str):
        raise ValueError(f"[{place}].field: must be text")
    field = field.lower()
    try:
        parse_field(field)
    except ValueError as error:
        raise ValueError(f"[{place}].field: {error}") from None
    key = _whole(entry.get("key"), f"[{place}].key", MOST_KEY)
    since_ms = _whole(entry.get("time"), f"[{place}].time", TIMESTAMP_LIMIT)
    return Item(key, codifier[:2], field, max(since_ms, 0))


def _whole(value: object, name: str, most: int) -> int:
    """Return a whole number; older pages send some as text."""
    try:
        number = int(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        number = None
    if number is None or isinstance(value, bool) or abs(number) > most:
        raise ValueError(f"{name}: must be a whole number, at most {most}")
    return number
