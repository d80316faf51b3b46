"""Alerts: what fires, and what programs do about it."""

from flask import Response, abort

from jph.config.model import Component
from web.alerts.board import Posted
from web.alerts.editor import with_rule, without_rule
from web.alerts.rules import cleaned, mistakes_of, raw_rules
from web.alerts.views import alerts_component, attend_to, commanded, maintain
from web.api_v1 import models
from web.api_v1.configuration import changed, refused
from web.api_v1.endpoints import ENDPOINTS
from web.configuration import revisions
from web.context import site
from web.people.access import Role, who


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


@ENDPOINTS.add(
    "POST",
    "/alerts/maintenance",
    role=Role.OPERATOR,
    body=models.NewMaintenance,
    answer=models.Attended,
    errors=(404, 409),
)
def maintenance(body: models.NewMaintenance) -> models.Attended:
    """Begin maintenance of a component, a node, an area or all, or end it: nothing of it alarms."""
    done, text = maintain(commanded(body.component), body.of, body.name, body.seconds)
    return {"done": done, "outcome": text}


@ENDPOINTS.add("GET", "/alerts/rules", answer=models.AlertRules)
def rules() -> models.AlertRules:
    """Return the rules of all Alerts components, in their order."""
    components = [site().config.components[it] for it in site().board.components]
    items: list[models.AlertRule] = [
        {"component": it.codifier, "rule": dict(rule)}
        for it in components
        for rule in raw_rules(it)
    ]
    return {"items": items}


@ENDPOINTS.add(
    "PUT",
    "/alerts/rules",
    role=Role.ADMIN,
    body=models.NewRule,
    answer=models.Revision,
    errors=(404, 409),
)
def save_rule(body: models.NewRule) -> models.Revision | Response:
    """Save a rule, as a new one or in the place of another; that is a revision as any other."""
    component = alerts_component(body.component)
    if body.replaces is not None and body.replaces not in _names(component):
        abort(404, "There is no such rule to be replaced.")
    rule = cleaned(body.rule)
    mistakes = mistakes_of(rule, component, site().config, body.replaces)
    if mistakes:
        return refused(mistakes, "The rule has mistakes.")
    why = f"{'add' if body.replaces is None else 'change'} the alert rule {rule['Name']}"
    edit = with_rule(component.codifier, rule, body.replaces)
    return changed(lambda: revisions.change(edit, who(), why), why)


@ENDPOINTS.add(
    "DELETE",
    "/alerts/rules",
    role=Role.ADMIN,
    query=models.RuleQuery,
    answer=models.Revision,
    errors=(404, 409),
)
def remove_rule(query: models.RuleQuery) -> models.Revision | Response:
    """Remove a rule, and the state that it has on the bus."""
    component = alerts_component(query.component)
    if query.name not in _names(component):
        abort(404, "There is no such rule.")
    why = f"remove the alert rule {query.name}"
    edit = without_rule(component.codifier, query.name)
    return changed(lambda: revisions.change(edit, who(), why), why)


def _names(component: Component) -> list[object]:
    return [rule.get("Name") for rule in raw_rules(component)]


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
