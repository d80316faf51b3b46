"""The table of all components with all fields of their last states, live and as a file."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from flask import Blueprint, Response, abort, render_template, request

from jph.clock import time_now_ms
from web.context import behind, site
from web.history import long_history
from web.overview import Card, cards

blueprint = Blueprint("table", __name__)

Kind = Literal["text", "number", "time", "ago", "yes"]


class Column(NamedTuple):
    """One column; `key` is its name in files, as in the last state where it is from there."""

    key: str
    title: str
    kind: Kind = "text"
    is_usual: bool = False


COLUMNS = (
    Column("Name", "Name", is_usual=True),
    Column("Codifier", "Codifier", is_usual=True),
    Column("State", "State", is_usual=True),
    Column("Text", "Value", "number", True),
    Column("Unit", "Unit", is_usual=True),
    Column("Heard", "Heard", "ago", True),
    Column("DPacketsLost", "Readings lost", "number", True),
    Column("CPacketsLost", "Control messages lost", "number", True),
    Column("TDuration", "Answer took, ms", "number", True),
    Column("Type", "Type", is_usual=True),
    Column("Host", "Host", is_usual=True),
    Column("Area", "Area", is_usual=True),
    Column("Labels", "Labels"),
    Column("ShortName", "Short name"),
    Column("Reason", "Why it fails"),
    Column("Value", "Value as sent"),
    Column("DTimestamp", "Last reading", "time"),
    Column("DResetTime", "Readings counted since", "time"),
    Column("CResetTime", "Control messages counted since", "time"),
    Column("ITimestamp", "Last sign of life", "time"),
    Column("IsActive", "Active", "yes"),
    Column("TTimestamp", "Last answer", "time"),
    Column("TRequest", "Number in its answer", "number"),
    Column("PingedTime", "Last pinged", "time"),
    Column("HaltedTime", "Told to halt", "time"),
    Column("StartedTime", "Told to start", "time"),
    Column("LoadedTime", "Configuration loaded", "time"),
    Column("PTimestamp", "Last ping by it", "time"),
    Column("PRequest", "Number of that ping", "number"),
    Column("HTimestamp", "Last halt by it", "time"),
    Column("STimestamp", "Last start by it", "time"),
    Column("CTimestamp", "Last reload by it", "time"),
)
KEYS = [column.key for column in COLUMNS]
# Of the entry of a component; the rest comes with the live stream.
FIXED = ("Name", "Codifier", "Type", "Host", "Area", "Labels", "ShortName")


@blueprint.get("/dashtable")
@behind(lambda site: site.page_gate)
def page() -> str:
    """Show the table; scripts fill it, and the address tells how."""
    records = site().records
    return render_template(
        "table.html",
        columns=COLUMNS,
        fixed=[_fixed(card) for card in cards(records)],
        overview=records.overview(),
    )


@blueprint.get("/dashtable.<any(csv, json):form>")
@behind(lambda site: site.page_gate)
def download(form: str) -> Response:
    """Return the table as a file.

    ?columns= chooses columns, by key, with commas between them; ?only= chooses components and their
    order, by their Codifiers one behind the other.
    """
    chosen = [key for key in request.args.get("columns", "").split(",") if key] or KEYS
    if unknown := [key for key in chosen if key not in KEYS]:
        abort(400, f"There is no column {unknown[0][:40]}; there are {', '.join(KEYS)}.")
    rows = _rows(request.args.get("only"))
    name = f"components-{time_now_ms() // 1000}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    if form == "json":
        found = [{key: row[key] for key in chosen} for row in rows]
        return Response(json.dumps(found, ensure_ascii=False), 200, headers, "application/json")
    lines = long_history.as_csv([chosen, *([row[key] for key in chosen] for row in rows)])
    text = "".join(lines).encode("utf-8", "backslashreplace")
    return Response(text, 200, headers, content_type="text/csv; charset=utf-8")


def _rows(only: str | None) -> Iterable[Mapping[str, Any]]:
    found = {card["Codifier"]: {**card, **_fixed(card)} for card in cards(site().records)}
    if only is None:
        return found.values()
    wanted = [only[place : place + 2] for place in range(0, len(only), 2)]
    return [found[codifier] for codifier in wanted if codifier in found]


def _fixed(card: Card) -> dict[str, Any]:
    """Return what the entry of a component tells, by the keys of FIXED."""
    entry = card["component"]
    values = (
        entry.name,
        entry.codifier,
        entry.type,
        card["host"],
        entry.area,
        ", ".join(entry.labels),
        entry.short_name,
    )
    return dict(zip(FIXED, values, strict=True))
