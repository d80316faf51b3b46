"""Alerts: what fires, and what programs do about it."""

from web.access import Role
from web.alerts.board import Posted
from web.alerts.views import attend_to, commanded
from web.api_v1 import models
from web.api_v1.endpoints import ENDPOINTS
from web.context import site


@ENDPOINTS.add("GET", "/alerts", query=models.AlertQuery, answer=models.Alerts)
def alerts(query: models.AlertQuery) -> models.Alerts:
    """Return the alerts of now, the worst first, the last ones that ended, and maintenance."""
    board, wanted = site().board, set(query.codifier)
    return {
        "firing": board.firing,
        "items": [_shown(it) for it in board.alerts() if not wanted or it.told.subject in wanted],
        "ended": [_shown(it) for it in board.ended() if not wanted or it.told.subject in wanted],
        "maintenance": [
            {"component": it.component, "of": it.of, "name": it.name, "until": it.until_ms}
            for it in board.upkeep()
        ],
    }


@ENDPOINTS.add(
    "POST",
    "/alerts/<codifier:codifier>/<int:number>",
    role=Role.OPERATOR,
    body=models.Attention,
    answer=models.Attended,
    errors=(409,),
)
def attend(
    codifier: str, number: int, body: models.PlainAttention | models.Snooze
) -> models.Attended:
    """Acknowledge an alert of an Alerts component, snooze it for some seconds, or reopen it."""
    component = commanded(codifier)
    seconds = body.seconds if isinstance(body, models.Snooze) else 0
    done, text = attend_to(component, number, body.action, seconds)
    return {"done": done, "outcome": text}


def _shown(posted: Posted) -> models.Alert:
    told = posted.told
    return {
        "component": posted.component,
        "number": told.id,
        "rule": told.rule,
        "codifier": told.subject,
        "state": told.state,
        "severity": told.severity,
        "since": told.since,
        "at": told.at,
        "until": told.until or None,
        "value": told.number,
        "text": told.text,
    }
