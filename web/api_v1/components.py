"""Components of the configuration and their last states."""

from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

from flask import Response, abort

from jph.clock import time_now_ms
from web.api_v1 import models
from web.api_v1.endpoints import ENDPOINTS, encoded
from web.context import site
from web.live.filters import Filter
from web.live.records import Record, Records
from web.site import Site
from web.views import live_view, timeout_ms


@ENDPOINTS.add("GET", "/network", answer=models.Network)
def network() -> models.Network:
    """Return the network as a whole: how many components are in each status, and what is wrong."""
    records = site().records
    overview = records.overview()
    return {
        "now": time_now_ms(),
        "components": overview.summary,  # type: ignore[typeddict-item]  # its keys are statuses
        "faults": [
            {"codifier": code, "what": it.meaning, "why": it.text, "since": it.since_ms}
            for code, it in overview.faults.items()
        ],
        "unknown": overview.strangers,
        "messages_per_minute": records.messages_per_minute(),
    }


@ENDPOINTS.add("GET", "/components", query=models.ComponentQuery, answer=models.ComponentPage)
def components(query: models.ComponentQuery) -> Response:
    """Return components with their states, by Codifier."""
    return _page(query, component_of)


@ENDPOINTS.add("GET", "/components/<codifier:codifier>", answer=models.Component)
def component(codifier: str) -> models.Component:
    """Return one component with its state."""
    return component_of(site().records, record_of(codifier))


@ENDPOINTS.add("GET", "/states", query=models.ComponentQuery, answer=models.StatePage)
def states(query: models.ComponentQuery) -> Response:
    """Return the last states of components, by Codifier."""
    return _page(query, state_of)


@ENDPOINTS.add("GET", "/states/<codifier:codifier>", answer=models.State)
def state(codifier: str) -> models.State:
    """Return the last state of one component."""
    return state_of(site().records, record_of(codifier))


def record_of(codifier: str) -> Record:
    """Return the record of a component; 404 if there is none."""
    return site().records.get(codifier) or abort(404, f"There is no component {codifier}.")


def component_of(records: Records, record: Record) -> models.Component:
    """Return a component with its state."""
    entry = record.component
    return {
        "codifier": entry.codifier,
        "name": entry.name,
        "short_name": entry.short_name,
        "type": entry.type,
        "data_type": entry.data_type,
        "unit": entry.symbol,
        "area": entry.area,
        "labels": list(entry.labels),
        "host": entry.host,
        "server": entry.server,
        "serves": list(entry.serves),
        "settable": entry.control_enabled,
        "interval_s": entry.sensor_interval_s,
        "timeout_s": timeout_ms(records, record) / 1000,
        "state": state_of(records, record),
    }


def state_of(records: Records, record: Record) -> models.State:
    """Return the last state of a component."""
    view: dict[str, Any] = live_view(records, record)
    return {
        "codifier": record.component.codifier,
        "status": record.status,
        "reason": record.reason,
        "value": view["Value"],
        "text": view["Text"],
        "unit": view["Unit"],
        "time": view["DTimestamp"],
        "heard": view["Heard"],
        "sign_of_life": view["ITimestamp"],
        "active": view["IsActive"],
        "loaded": view["LoadedTime"],
        "readings_lost": view["DPacketsLost"] or 0,
        "messages_lost": view["CPacketsLost"] or 0,
        "round_trip_ms": view["TDuration"],
    }


class Encoded:
    """The JSON of each component, made again when it changed."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, str], tuple[int, str]] = {}

    def of(self, make: Callable[[Records, Record], Any], records: Records, record: Record) -> str:
        """Return what a function makes of a record, as JSON."""
        key = make, record.component.codifier
        at = record.version  # before it is made: what changes meanwhile is made again
        known = self._known.get(key)
        if known is None or known[0] != at:
            known = self._known[key] = at, encoded(make(records, record))
        return known[1]


ENCODED: WeakKeyDictionary[Site, Encoded] = WeakKeyDictionary()


def _page(query: models.ComponentQuery, make: Callable[[Records, Record], Any]) -> Response:
    records = site().records
    known = ENCODED.setdefault(site(), Encoded())
    page, more = _chosen(records.all(), query)
    items = ",".join(known.of(make, records, record) for record in page)
    following = encoded(page[-1].component.codifier if more else None)
    return Response(f'{{"items":[{items}],"next":{following}}}', mimetype="application/json")


def _chosen(records: Iterable[Record], query: models.ComponentQuery) -> tuple[list[Record], bool]:
    """Return the records of a page, and whether there are more behind it."""
    wanted = Filter.of(query.codifier, query.area, query.label, query.type)
    fitting = sorted(
        (
            record
            for record in records
            if wanted.fits(record.component)
            and (not query.status or record.status in query.status)
            and (query.after is None or record.component.codifier > query.after)
        ),
        key=lambda record: record.component.codifier,
    )
    return fitting[: query.limit], len(fitting) > query.limit
