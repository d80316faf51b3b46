"""Alerts of the past, from the history of the component that told them."""

import json
from typing import Any

from jph.alerts.telling import Told
from web.history.recent import read_recent_text
from web.site import Site

MOST_TEXTS = 5_000
MOST_ALERTS = 500


def past_alerts(here: Site, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    """Return the alerts that fired in a span, the newest first; without an end they last.

    Raises:
        StoreError: the history cannot be read.
    """
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for codifier in sorted(here.board.components):
        component = here.config.components.get(codifier)
        if component is None:
            continue
        for time_ms, text in read_recent_text(here, component, start_ms, end_ms, MOST_TEXTS):
            told = _told(text)
            if told is None or told.state == "pending":
                continue
            key = codifier, told.id
            if told.state != "ended":
                known = found.get(key)
                fired_ms = min(time_ms, known["fired"]) if known else time_ms
                found[key] = _view(here, told) | {"fired": fired_ms, "ended": None}
            elif key in found:
                found[key]["ended"] = told.at
    return sorted(found.values(), key=lambda it: -it["fired"])[:MOST_ALERTS]


def _told(text: str) -> Told | None:
    if '"alert"' not in text:  # most are nothing but the number
        return None
    try:
        content = json.loads(text)
    except ValueError:
        return None
    return Told.of(content.get("alert")) if isinstance(content, dict) else None


def _view(here: Site, told: Told) -> dict[str, Any]:
    component = here.config.components.get(told.subject)
    return {
        "rule": told.rule,
        "subject": told.subject,
        "name": component.name if component else told.subject,
        "isComponent": component is not None,
        "severity": told.severity,
        "text": told.text,
    }
