"""What the page of a component asks for about a span: statistics, outages, totals, bars."""

from functools import partial
from typing import Any, get_args

from flask import Blueprint, Response, abort, jsonify, request

from jph.alerts.zone import named_zone
from jph.bus.wire import TIMESTAMP_LIMIT
from jph.clock import time_now_ms
from jph.config.model import Component
from jph.errors import JphError
from jph.stores.address import longest_store_s
from jph.stores.buckets import HOUR_MS, statistic_of
from jph.stores.span import joined
from web.component.observed import observe
from web.component.timeline import shares, switch_bars, text_bars
from web.component.totals import Cell, Per, periods, totals
from web.context import behind, site
from web.formatting import display
from web.history import events
from web.history.recent import last_stored_ms, read_recent, read_recent_text
from web.programs.api import gap_width_ms
from web.views import timeout_ms

blueprint = Blueprint("component", __name__)

MOST_POINTS = 1_500  # of the bars of a switch, about one for each pixel
MOST_TEXTS = 5_000
MOST_BARS = 600
MOST_STATES = 12
MOST_OUTAGES = 500
MOST_EVENTS = 500
FINE_MS = 50 * HOUR_MS  # up to here totals are made from readings, else from hours of statistics
FINE_POINTS = 5_000
DAY_MS = 24 * HOUR_MS

Answer = Response | tuple[Response, int]


@blueprint.get("/history/<codifier:codifier>/summary")
@behind(lambda site: site.history_gate)
def summary(codifier: str) -> Answer:
    """Return the statistics of the numbers of a span, as text and as numbers."""
    component, start_ms, end_ms = _asked(codifier)
    store = site().history()
    stored = store.summary(codifier, start_ms, end_ms)
    after_ms = max(last_stored_ms(store, codifier), start_ms - 1)
    recent = [value for _, value in site().records.recent(codifier, after_ms, end_ms)]
    parts = [stored] if stored else []
    found = joined([*parts, statistic_of(recent)] if recent else parts)
    names = ("mean", "median", "min", "max", "stdev")
    return jsonify(
        {
            "from": start_ms,
            "to": end_ms,
            "count": found.readings if found else 0,
            **{name: _number(component, getattr(found, name)) for name in names if found},
        }
    )


@blueprint.get("/history/<codifier:codifier>/outages")
@behind(lambda site: site.history_gate)
def outages(codifier: str) -> Answer:
    """Return how much of a span a component was there, and when it was not, the newest first."""
    component, start_ms, end_ms = _asked(codifier)
    found = observe(site(), component, start_ms, end_ms)
    return jsonify(
        {
            "from": start_ms,
            "to": end_ms,
            "now": time_now_ms(),
            "share": found.share,
            "observed_ms": found.observed_ms,
            "count": len(found.outages),
            "outages": [
                {"begin": it.begin_ms, "end": it.end_ms, "kind": it.kind, "reason": it.reason}
                for it in reversed(found.outages[-MOST_OUTAGES:])
            ],
        }
    )


@blueprint.get("/history/<codifier:codifier>/events")
def happened(codifier: str) -> Answer:
    """Return what happened to a component in a span, or to the whole network, the newest first."""
    _, start_ms, end_ms = _asked(codifier)
    site().recorder.flush()
    found = events.between(site().home, start_ms, end_ms, [codifier], most=MOST_EVENTS)
    return jsonify(
        {
            "from": start_ms,
            "to": end_ms,
            "events": [
                {
                    "time": it.time_ms,
                    "kind": it.kind,
                    "text": it.text,
                    "who": it.who,
                    "codifier": it.codifier,
                }
                for it in reversed(found)
            ],
        }
    )


@blueprint.get("/history/<codifier:codifier>/totals")
@behind(lambda site: site.history_gate)
def counted(codifier: str) -> Answer:
    """Return how much a counter rose per hour, day or month of a zone, such as Europe/Vienna."""
    component, start_ms, end_ms = _asked(codifier)
    if not component.is_counter:
        abort(404, f"{codifier} is no counter: its entry has no Counter.")
    per: Per = _choice("per", Per)
    wanted = periods(start_ms, end_ms, named_zone(request.args.get("zone", "UTC")), per)
    found = totals(_cells(component, wanted[0][0], wanted[-1][1]), wanted)
    rises = [it.value for it in found if it.value is not None]
    return jsonify(
        {
            "from": start_ms,
            "to": end_ms,
            "per": per,
            "sum": _number(component, sum(rises)) if rises else None,
            "totals": [
                {"begin": begin_ms, "end": end_ms, **_number(component, value)}
                for begin_ms, end_ms, value in found
            ],
        }
    )


@blueprint.get("/history/<codifier:codifier>/bars")
@behind(lambda site: site.history_gate)
def bars(codifier: str) -> Answer:
    """Return the states of a switch or of a text over a span, with how long each lasted."""
    component, start_ms, end_ms = _asked(codifier)
    record = site().records.get(codifier)
    gap_ms = float(timeout_ms(site().records, record)) if record else 0.0
    until_ms = min(end_ms, time_now_ms())
    complete_ms = start_ms
    if component.data_type == "bool":
        series = read_recent(site(), codifier, "value", start_ms, end_ms, MOST_POINTS)
        gap_ms = gap_width_ms(series, gap_ms)
        reread = partial(_reread, codifier)
        found = switch_bars(series, until_ms, gap_ms, reread)
    else:
        texts = read_recent_text(site(), component, start_ms, end_ms, MOST_TEXTS)
        if len(texts) >= MOST_TEXTS:
            complete_ms = texts[0][0]
        found = text_bars(texts, until_ms, gap_ms)
    return jsonify(
        {
            "from": start_ms,
            "to": end_ms,
            "complete_from": found[-MOST_BARS].begin_ms if len(found) > MOST_BARS else complete_ms,
            "bars": [
                {"begin": it.begin_ms, "end": it.end_ms, "state": it.state, "share": it.share}
                for it in found[-MOST_BARS:]
            ],
            "states": [it._asdict() for it in shares(found)[:MOST_STATES]],
        }
    )


@blueprint.errorhandler(JphError)
def unavailable(error: JphError) -> Answer:
    """Answer while a store does not."""
    return jsonify({"error": str(error)}), 503


@blueprint.errorhandler(ValueError)
def wrong(error: ValueError) -> Answer:
    """Answer a question that has a mistake."""
    return jsonify({"error": str(error)}), 400


def _asked(codifier: str) -> tuple[Component, int, int]:
    """Return the component and the span that the present request asks about.

    Raises:
        ValueError: there is no such span.
    """
    component = site().config.components.get(codifier)
    if component is None:
        abort(404, f"There is no component {codifier} in the configuration.")
    now_ms = time_now_ms()
    try:
        end_ms = int(request.args.get("to", now_ms + 1))
        start_ms = int(request.args.get("from", end_ms - DAY_MS))
    except ValueError:
        raise ValueError("from and to must be whole numbers, ms since 1970") from None
    if not 0 <= start_ms < end_ms <= TIMESTAMP_LIMIT:
        raise ValueError("from must be before to, and both since 1970")
    return component, start_ms, end_ms


def _choice(name: str, choices: Any) -> Any:
    given = request.args.get(name, "")
    if given not in get_args(choices):
        raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}")
    return given


def _number(component: Component, value: float | None) -> dict[str, Any]:
    """Return a number for programs, and as people read it."""
    text, unit = display(value, component.symbol, "double")
    return {"value": value, "text": text, "unit": unit}


def _reread(codifier: str, start_ms: int, end_ms: int) -> Any:
    return site().history().read([codifier], "value", start_ms, end_ms, MOST_POINTS)[codifier]


def _cells(component: Component, start_ms: int, end_ms: int) -> list[Cell]:
    """Return the lowest and highest values of short times, with some from before the span.

    In a long span they are those of whole hours, as far as hours are stored.
    """
    codifier, now_ms = component.codifier, time_now_ms()
    end_ms = min(end_ms, now_ms + 1)
    if end_ms - start_ms <= FINE_MS:
        return _fine_cells(codifier, start_ms - HOUR_MS, end_ms)
    waits_ms = max(HOUR_MS, round(2 * longest_store_s(site().config) * 1000))
    border_ms = min(now_ms - waits_ms, end_ms) // HOUR_MS * HOUR_MS
    first_ms = (start_ms - DAY_MS) // HOUR_MS * HOUR_MS
    most = (border_ms - first_ms) // HOUR_MS + 1
    # A bucket is labelled by its end, and the one that ends at the border belongs to this side.
    series = site().history().read([codifier], "mean-hour", first_ms + 1, border_ms + 1, most)
    found = series[codifier]
    columns = zip(found.times_ms, found.lows, found.highs, strict=True)
    cells = [Cell(at_ms - HOUR_MS, at_ms, low, high) for at_ms, low, high in columns]
    return cells + _fine_cells(codifier, border_ms + 1, end_ms)


def _fine_cells(codifier: str, start_ms: int, end_ms: int) -> list[Cell]:
    if start_ms >= end_ms:
        return []
    series = read_recent(site(), codifier, "value", start_ms, end_ms, FINE_POINTS)
    half_ms = series.bucket_ms // 2
    columns = zip(series.times_ms, series.lows, series.highs, strict=True)
    return [Cell(at_ms - half_ms, at_ms + half_ms, low, high) for at_ms, low, high in columns]
