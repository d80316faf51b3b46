"""A component for pages and programs: its last state, and how people read it."""

import math
from typing import Any

from jph.clock import time_now_ms
from jph.config.silence import timeout_s
from jph.config.status import sends_data
from jph.state import FIELDS, Fields, LastStates, for_programs
from web.formatting import display
from web.live.records import Record, Records


def last_state(states: LastStates, codifier: str) -> Fields:
    """Return the last state of a Codifier, fit for JSON; unknown fields are None."""
    fields = dict.fromkeys(FIELDS) | (states.get(codifier) or {}) | {"Codifier": codifier}
    return _fit_for_json(fields)


def program_state(states: LastStates, codifier: str) -> Fields:
    """Return the same as programs of existing networks expect it."""
    return _fit_for_json(for_programs(last_state(states, codifier)))


def _fit_for_json(fields: Fields) -> Fields:
    value = fields["Value"]
    if isinstance(value, float) and not math.isfinite(value):
        fields["Value"] = None  # JSON has no word for it
    return fields


def live_view(records: Records, record: Record) -> dict[str, Any]:
    """Return the part of a component that changes while a page is open, fit for JSON."""
    component = record.component
    fields = last_state(records.states, component.codifier)
    text, unit = display(fields["Value"], component.symbol, component.data_type)
    return {
        **fields,
        "State": record.status,
        "Text": text,
        "Unit": unit,
        "Reason": record.reason,
        "Heard": _heard_ms(records, record),
        "Halted": not (records.server_of(record) or record).heard.is_active,
    }


def card_view(records: Records, record: Record) -> dict[str, Any]:
    """Return the part of a component that its card shows and that changes, fit for JSON."""
    view = live_view(records, record)
    return {
        "Text": view["Text"],
        "Unit": view["Unit"],
        "State": view["State"],
        "Halted": view["Halted"],
        "Lost": (view["DPacketsLost"] or 0) + (view["CPacketsLost"] or 0),
        "Reason": view["Reason"],
        "Time": view["Heard"],
    }


def _heard_ms(records: Records, record: Record) -> int | None:
    """Return when its last value was heard, by our clock, whatever its signs of life.

    Of a component that sends none, it is its last sign of life; None if it has yet to send one. In
    steps of 0.1 s, so that it stays the same from one call to the next.
    """
    age_s = records.states.age_s(record.component.codifier)
    if age_s < math.inf:
        return (time_now_ms() - int(age_s * 1000)) // 100 * 100
    server = records.server_of(record)
    is_due = sends_data(record.component, record.heard, server.component if server else None)
    return None if is_due else record.heard_ms


def page_view(records: Records, record: Record) -> dict[str, Any]:
    """Return a component as a page shows it when it is opened."""
    return {
        "component": record.component,
        "server": record.component.server,
        "Timeout": timeout_ms(records, record),
        **live_view(records, record),
    }


def timeout_ms(records: Records, record: Record) -> int:
    """Return how long a component may be silent."""
    server = records.server_of(record)
    return round(timeout_s(record.component, server.component if server else None) * 1000)
