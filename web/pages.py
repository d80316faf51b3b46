"""The pages that people see."""

import json
from typing import Any

from flask import Blueprint, abort, render_template, request

from jph.config.model import Component
from jph.config.silence import timeout_s
from jph.devices import device_of
from jph.errors import ConfigError
from jph.node.outcome import limits
from jph.registry import IGNORE_HALT
from jph.stores.address import writer_waits
from web import overview
from web.context import behind, site
from web.views import page_view

blueprint = Blueprint("pages", __name__)

STATUS_WORDS = {
    "active": "Active",
    "failing": "Failing",
    "silent": "Silent",
    "halted": "Halted",
    "unseen": "Never seen",
}
# The spans of a component's history, in the words that static/js/component/spans.js knows.
SPANS = {
    "live": "15 min",
    "hour": "Hour",
    "day": "Day",
    "week": "Week",
    "month": "Month",
    "year": "Year",
}


@blueprint.get("/")
@behind(lambda site: site.page_gate)
def dashboard() -> str:
    """Show all components in groups; the address says how, see static/js/overview/choices.js."""
    records = site().records
    cards = overview.cards(records)
    chosen, usual = request.args.get("group"), overview.default_group(cards)
    return render_template(
        "dashboard.html",
        groups=overview.grouped(cards, chosen if chosen in overview.GROUPS else usual),
        group_words={name: word for name, (word, _) in overview.GROUPS.items()},
        sort_words=overview.SORTS,
        usual_group=usual,
        usual_view="rows" if len(cards) > overview.ROWS_FROM else "tiles",
        overview=records.overview(),
        halt_ignored=IGNORE_HALT,
    )


@blueprint.get("/component/<codifier:codifier>")
@blueprint.get("/sensorboard/<codifier:codifier>", endpoint="sensorboard")  # as in older pages
@blueprint.get("/sensorinfo/<codifier:codifier>", endpoint="sensorinfo")
@behind(lambda site: site.page_gate)
def component(codifier: str) -> str:
    """Show one component with its history."""
    records = site().records
    record = records.get(codifier)
    if record is None:
        abort(404, f"There is no component {codifier} in the configuration.")
    entry = record.component
    return render_template(
        "component.html",
        view=page_view(records, record),
        entry=entry,
        is_text=entry.data_type == "string",
        spans=SPANS,
        limits=_slider(entry),
        document=json.dumps(entry.entry, indent=2, ensure_ascii=False, default=str),
        details=configuration(entry),
        proxies=[record for name in entry.serves if (record := records.get(name))],
        overview=site().records.overview(),
        keeps_history=site().history_place() is not None,
        halt_ignored=IGNORE_HALT,
        device=device_of(site().config, entry),
    )


def _slider(entry: Component) -> tuple[float, float] | None:
    """Return the ends of a slider; None where the settings do not say both."""
    low, high = limits(entry)
    return None if low is None or high is None or low >= high else (low, high)


def configuration(entry: Component) -> list[tuple[str, str]]:
    """Return a component's configuration in words, without the settings of its type."""
    served_by = site().config.server_of(entry)
    lines: list[tuple[str, Any]] = [
        ("Type", _type(entry)),
        ("Data type", entry.data_type),
        ("Unit", entry.symbol),
        ("Reading every", _seconds(entry.sensor_interval_s)),
        ("Counts as silent after", _seconds(timeout_s(entry, served_by))),
        ("Keep-alive every", _seconds(entry.keep_alive_interval_s)),
        ("Host", entry.host),
        ("Can be set", "yes" if entry.control_enabled else None),
        ("Counts up", "yes, with totals" if entry.is_counter else None),
        ("Starts halted", None if entry.active else "yes"),
        ("A power cut costs at most", _at_stake(entry)),
    ]
    return [(label, str(value)) for label, value in lines if value]


def _type(entry: Component) -> str:
    return entry.type if entry.type == entry.type_name else f"{entry.type} ({entry.type_name})"


def _at_stake(entry: Component) -> str | None:
    """Return which readings are in the memory of a history writer only."""
    if entry.type != "HistoryWriter":
        return None
    try:
        return f"the readings of {_seconds(writer_waits(entry).batch_s)}"
    except ConfigError:
        return None  # it does not run either


def _seconds(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    if seconds >= 120 and seconds % 60 == 0:
        return f"{seconds / 60:g} min"
    return f"{seconds:g} s"
