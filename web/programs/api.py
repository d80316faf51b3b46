"""JSON for programs: last states, health, time, history, the configuration."""

import os
import threading
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, jsonify, request

from jph.bus.wire import TIMESTAMP_LIMIT
from jph.clock import time_now_ms
from jph.errors import JphError
from jph.stores import Series
from jph.stores.span import parse_field
from web.context import behind, site
from web.history.recent import read_recent, read_recent_text
from web.live.status import FAULTS
from web.people.access import is_here, open_to_strangers, role
from web.views import program_state, timeout_ms

blueprint = Blueprint("sensors", __name__)

MOST_POINTS = 5000
DEFAULT_POINTS = 1000
MOST_TEXTS = 200


@blueprint.get("/sensor/")
@behind(lambda site: site.page_gate)
def all_states() -> Response:
    """Return the last states of all components."""
    records = site().records
    return jsonify([program_state(records.states, r.component.codifier) for r in records.all()])


@blueprint.get("/sensor/<codifier:codifier>")
def state(codifier: str) -> Response | tuple[Response, int]:
    """Return the last state of one component, as a list of one."""
    records = site().records
    if records.get(codifier) is None:
        return _unknown(codifier)
    return jsonify([program_state(records.states, codifier)])


@blueprint.get("/ntp")
def ntp() -> Response:
    """Return our clock, and the asker's own as it was sent in ?t=; older pages read `time`."""
    client: float | None
    try:
        client = float(request.args["t"])
    except (KeyError, ValueError):
        client = None
    if client is not None and not abs(client) < TIMESTAMP_LIMIT:
        client = None
    if client is not None and client.is_integer():
        client = int(client)
    now_ms = time_now_ms()
    return jsonify({"time": now_ms, "now": now_ms, "client": client})


@blueprint.get("/static/config.json")
def config() -> Response:
    """Return the configuration in force, which other nodes load from here."""
    return jsonify(dict(site().keeper.handed_out()))


@blueprint.get("/healthz")
@open_to_strangers
def healthz() -> tuple[Response, int]:
    """Report the health of this process as flat JSON; 503 while it is not on the bus."""
    here = site()
    if role() is None and not is_here():  # a probe of the network, which learns no more
        joined = here.channel.process.bus.status().joined
        return jsonify(status="ok" if joined else "off the bus"), 200 if joined else 503
    status = here.channel.process.bus.status()
    components = here.channel.process.components()
    overview = here.records.overview()
    faults = {fault.meaning: fault.text for fault in overview.faults.values()}
    reasons = [f"{r.component.codifier}: {r.reason}" for r in here.records.all() if r.reason]
    buffers = [channel.receive_buffer_bytes for channel in status.channels.values()]
    health: dict[str, Any] = {
        "status": "ok" if status.joined else "off the bus",
        "uptime_s": here.records.uptime_s(),
        "messages_per_minute": here.records.messages_per_minute(),
        "memory_mb": memory_mb(),
        "threads": threading.active_count(),
        "readings": here.records.readings,
        "kernel_drops": status.total("kernel_drops"),
        "refused": status.total("refused"),
        "overruns": sum(component.overruns for component in components.values()),
        "receive_buffer_bytes": min(buffers),
        "pages_open": here.readers.count,
        "history_fault": faults.get(FAULTS["HistoryWriter"]),
        "state_fault": faults.get(FAULTS["StateCache"]),
        "interface": status.interface,
        "joined": {name: channel.joined for name, channel in status.channels.items()},
        **overview.summary,
        "failing_reasons": "; ".join(reasons) or None,
    }
    return jsonify(health), 200 if status.joined else 503


def memory_mb() -> float | None:
    """Return the resident memory of this process in MB (10^6 bytes), None where /proc is not."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


@blueprint.get("/history/<codifier:codifier>")
@behind(lambda site: site.history_gate)
def history(codifier: str) -> Response | tuple[Response, int]:
    """Return the numbers of one component as columns for a chart, and its texts.

    ?from= and ?to= are ms since 1970 (default: the last hour), ?points= bounds the answer, ?field=
    asks for another one than value, such as median or max-hour. A null among the values is a gap:
    nothing was stored there for longer than the component may be silent.
    """
    component = site().config.components.get(codifier)
    if component is None:
        return _unknown(codifier)
    now_ms = time_now_ms()
    try:
        end_ms = _whole("to", now_ms + 1, 0, TIMESTAMP_LIMIT)
        start_ms = _whole("from", max(0, end_ms - 3_600_000), 0, TIMESTAMP_LIMIT)
        most_points = _whole("points", DEFAULT_POINTS, 2, MOST_POINTS)
        if start_ms >= end_ms:
            raise ValueError("from must be before to")
        field = request.args.get("field", "value")
        parse_field(field)
    except ValueError as error:
        return jsonify({"error": str(error)}), 400
    try:
        series = read_recent(site(), codifier, field, start_ms, end_ms, most_points)
        texts = (
            read_recent_text(site(), component, start_ms, end_ms, MOST_TEXTS)
            if component.data_type in ("string", "json")
            else []
        )
    except JphError as error:
        return jsonify({"error": str(error)}), 503
    record = site().records.get(codifier)
    gap_ms = gap_width_ms(series, timeout_ms(site().records, record) if record else 0)
    return jsonify(
        {
            "codifier": codifier,
            "from": start_ms,
            "to": end_ms,
            "now": now_ms,
            "bucket_ms": series.bucket_ms,
            "gap_ms": gap_ms,
            **_columns(series, gap_ms),
            "texts": [list(text) for text in texts],
        }
    )


def gap_width_ms(series: Series, timeout_ms: float) -> float:
    """Return how far two points lie apart at least where something is missing between them."""
    return max(timeout_ms, 2.5 * series.bucket_ms)


def _columns(series: Series, gap_ms: float) -> dict[str, list[Any]]:
    """Return the columns of a chart, with a row of nulls in every gap."""
    names = ("t", "v", "low", "high") if series.bucket_ms else ("t", "v")
    columns: list[list[Any]] = [
        list(column)
        for column in (series.times_ms, series.values, series.lows, series.highs)[: len(names)]
    ]
    times = columns[0]
    for place in range(len(times) - 1, 0, -1):
        if times[place] - times[place - 1] > gap_ms:
            between = (times[place] + times[place - 1]) // 2
            for column, filler in zip(columns, (between, None, None, None), strict=False):
                column.insert(place, filler)
    return dict(zip(names, columns, strict=True))


def _whole(name: str, default: int, least: int, most: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{name} must be a whole number, not {text[:40]!r}") from None
    if not least <= number <= most:
        raise ValueError(f"{name} must be from {least} to {most}")
    return number


def _unknown(codifier: str) -> tuple[Response, int]:
    return jsonify({"error": f"no component {codifier!r} in the configuration"}), 404
