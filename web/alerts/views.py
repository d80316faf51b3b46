"""The page of alerts, and what people do there: acknowledge, snooze, maintain, try contacts."""

import time
from typing import Any

from flask import Blueprint, Response, abort, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from jph.alerts.rules import SEVERITIES, areas_around, is_inside
from jph.alerts.telling import LONGEST_S, MAINTAINED, Order, Told, Verb, argument_of
from jph.clock import time_now_ms
from jph.config.model import Component
from jph.errors import JphError
from web.alerts import push
from web.alerts.board import Posted
from web.alerts.past import past_alerts
from web.alerts.rules import contacts_of, rules_of
from web.context import behind, given_object, site
from web.people import audit
from web.people.access import Role, needs, who

blueprint = Blueprint("alerts", __name__)

DONE_S = 3.0  # longest wait for what becomes of a command
ALL_S = 10.0  # of one for all alerts
TEST_S = 30.0  # and of a test message
KIND_WORDS = {
    "above": "is above a limit",
    "below": "is below a limit",
    "outside": "is outside of a range",
    "changes": "changes too fast",
    "silent": "is silent",
    "failing": "fails",
    "losses": "loses messages",
    "total": "counts too much in a day",
}
STATES = {
    "firing": "Firing",
    "pending": "Pending",
    "acknowledged": "Acknowledged",
    "snoozed": "Snoozed",
    "maintained": "In maintenance",
    "ended": "Over",
}


@blueprint.app_context_processor
def firing() -> dict[str, object]:
    """Let every page show how many alerts fire."""
    return {"alerts_firing": site().board.firing}


@blueprint.get("/alerts")
@behind(lambda site: site.page_gate)
def page() -> str:
    """Show the alerts, the rules, and the contacts."""
    here = site()
    components = [here.config.components[it] for it in sorted(here.board.components)]
    known = [it for it in here.config.components.values() if it.type != "ControlProgram"]
    return render_template(
        "alerts.html",
        overview=here.records.overview(),
        components=[_component_view(it) for it in components],
        areas=sorted({part for it in known for part in areas_around(it.area)}),
        hosts=sorted({it.host for it in known if it.host}),
        labels=sorted({label for it in known for label in it.labels}),
        sensors=[(it.codifier, it.name) for it in known],
        kinds=KIND_WORDS,
        severities=SEVERITIES,
        has_history=here.history_place() is not None,
    )


def _component_view(component: Component) -> dict[str, Any]:
    record = site().records.get(component.codifier)
    return {
        "codifier": component.codifier,
        "name": component.name,
        "status": record.status if record else "unseen",
        "takes_commands": component.control_enabled,
        "rules": rules_of(component, site().config),
        "contacts": contacts_of(component),
    }


@blueprint.get("/alerts/now")
def now() -> Response:
    """Return the alerts and the maintenance of now; ?of= only those about one component."""
    board, of = site().board, request.args.get("of")
    return jsonify(
        {
            "version": board.version,
            "now": time_now_ms(),
            "firing": board.firing,
            "alerts": [_view(it) for it in board.alerts() if of is None or _is_about(it, of)],
            "ended": [_view(it) for it in board.ended() if of is None or _is_about(it, of)],
            "maintenance": [
                {"component": it.component, "of": it.of, "name": it.name, "until": it.until_ms}
                for it in board.upkeep()
                if of is None or _covers(it.of, it.name, of)
            ],
        }
    )


@blueprint.get("/alerts/count")
def count() -> Response:
    """Return how many alerts fire, for pages without a live stream."""
    return jsonify(site().board.frame().get("alerts") or {"firing": 0, "worst": "", "version": 0})


@blueprint.get("/alerts/past")
@behind(lambda site: site.history_gate)
def past() -> ResponseReturnValue:
    """Return the alerts of a span of ?days=, the newest first, as the history has them."""
    try:
        days = min(max(float(request.args.get("days", 7)), 0.01), 400)
    except ValueError:
        abort(400, "days must be a number.")
    end_ms = time_now_ms() + 1
    try:
        found = past_alerts(site(), end_ms - round(days * 86_400_000), end_ms)
    except JphError as error:
        return jsonify({"error": str(error)}), 503
    return jsonify({"alerts": found})


def _view(posted: Posted) -> dict[str, Any]:
    told = posted.told
    return {"component": posted.component, **told_view(told), "word": STATES.get(told.state, "")}


def told_view(told: Told) -> dict[str, Any]:
    """Return an alert for a page, with the name and the unit of what it is about."""
    component = site().config.components.get(told.subject)
    return {
        "id": told.id,
        "rule": told.rule,
        "subject": told.subject,
        "name": component.name if component else told.subject,
        "unit": component.symbol if component else "",
        "isComponent": component is not None,
        "state": told.state,
        "severity": told.severity,
        "since": told.since,
        "at": told.at,
        "until": told.until,
        "text": told.text,
        "number": told.number,
    }


def _is_about(posted: Posted, codifier: str) -> bool:
    if posted.told.subject == codifier:
        return True
    component = site().config.components.get(codifier)
    return component is not None and component.host == posted.told.subject != ""


def _covers(of: str, name: str, codifier: str) -> bool:
    component = site().config.components.get(codifier)
    if of == "all" or component is None:
        return of == "all"
    return {
        "codifier": codifier == name,
        "host": component.host == name,
        "area": is_inside(component.area, name),
    }.get(of, False)


# Commands


@blueprint.post("/alerts/attend")
@needs(Role.OPERATOR)
def attend() -> ResponseReturnValue:
    """Acknowledge an alert, snooze it for "seconds", or reopen it, by "action"; id 0: all."""
    given = given_object()
    component, action = commanded(given.get("component")), given.get("action")
    number, seconds = _whole(given, "id"), _whole(given, "seconds", 0)
    if action not in ("acknowledge", "snooze", "reopen"):
        abort(400, "The action must be acknowledge, snooze or reopen.")
    if action == "snooze" and seconds < 1:
        abort(400, "Snooze for how many seconds?")
    if number == 0:
        done, text = _attend_to_all(component, str(action))
    else:
        done, text = attend_to(component, number, str(action), seconds)
    return jsonify({"done": done, "outcome": text})


def attend_to(component: Component, number: int, action: str, seconds: int = 0) -> tuple[bool, str]:
    """Acknowledge, snooze or reopen an alert; return whether that was done, and the outcome."""
    board = site().board
    posted = board.get(component.codifier, number)
    if posted is None:
        abort(404, "This alert is over.")
    orders = {
        "acknowledge": (Order(Verb.ATTEND, number), "acknowledged"),
        "snooze": (Order(Verb.ATTEND, number, seconds), "snoozed"),
        "reopen": (Order(Verb.REOPEN, number), "firing"),
    }
    order, state = orders[action]
    before = posted

    def is_done() -> bool:
        now = board.get(component.codifier, number)
        if now is None:
            return True
        is_there = now.told.state in (state, "maintained")
        return is_there and (now.told != before.told or action != "snooze")

    done = _send(component, order, is_done)
    text = f"{STATES[state]}: {posted.told.text}"
    detail = f"{posted.told.rule}{f', {seconds} s' if action == 'snooze' else ''}"
    audit.note(action, posted.told.subject or "all", detail)
    if done:
        _note_event(posted.told.subject, text)
    return done, _words(component, done, text)


def _attend_to_all(component: Component, action: str) -> tuple[bool, str]:
    """Acknowledge all alerts of a component that fire; returns the same."""
    if action != "acknowledge":
        abort(400, "All alerts can only be acknowledged.")
    board = site().board

    def fire() -> list[Posted]:
        return [
            it
            for it in board.alerts()
            if it.told.state == "firing" and it.component == component.codifier
        ]

    count = len(fire())
    done = _send(component, Order(Verb.ATTEND), lambda: not fire(), ALL_S)
    audit.note("acknowledge", "all", f"{count} alerts")
    if done:
        _note_event("", f"Acknowledged: all {count} alerts")
    return done, _words(component, done, f"Acknowledged: all {count} alerts")


@blueprint.post("/alerts/maintenance")
@needs(Role.OPERATOR)
def maintenance() -> ResponseReturnValue:
    """Begin maintenance of a codifier, host, area or all for "seconds"; 0 ends it."""
    given = given_object()
    component = commanded(given.get("component"))
    of, name, seconds = given.get("of"), given.get("name", ""), _whole(given, "seconds")
    if of not in MAINTAINED or not isinstance(name, str):
        abort(400, "Maintenance is of a codifier, a host, an area, or all.")
    done, text = maintain(component, str(of), name, seconds)
    return jsonify({"done": done, "outcome": text})


def maintain(component: Component, of: str, name: str, seconds: int) -> tuple[bool, str]:
    """Begin maintenance of something, or end it with 0 seconds; return what became of it."""
    known = site().config.components.values()
    names: dict[str, set[str | None]] = {
        "codifier": {it.codifier for it in known},
        "host": {it.host for it in known},
        "area": {area for it in known for area in areas_around(it.area)},
        "all": {""},
    }
    if name not in names[of]:
        abort(404, f"There is no {of} {name!r} in the configuration.")
    board = site().board

    def is_done() -> bool:
        found = any((it.of, it.name) == (of, name) for it in board.upkeep())
        return found == (seconds > 0)

    order = Order(MAINTAINED[of], argument_of(of, name), seconds)
    done = _send(component, order, is_done)
    what = "everything" if of == "all" else f"{of} {name}"
    audit.note("maintenance", name or "all", f"{what}, {seconds} s")
    if done:
        words = f"Maintenance of {what} {'began' if seconds else 'ended'}."
        _note_event(name if of == "codifier" else "", words)
    said = "maintenance begins" if seconds else "maintenance is over"
    return done, _words(component, done, said)


@blueprint.post("/alerts/test")
@needs(Role.OPERATOR)
def test() -> ResponseReturnValue:
    """Send a test message to a "contact", and tell whether it was taken."""
    given = given_object()
    component, name = commanded(given.get("component")), given.get("contact")
    names = [it["name"] for it in contacts_of(component)]
    if name not in names:
        abort(404, "There is no such contact in the configuration.")
    began_s = time.monotonic()
    board, codifier = site().board, component.codifier
    order = Order(Verb.TEST, names.index(name) + 1)

    def is_done() -> bool:
        return board.tested(codifier, str(name), began_s) is not None

    _send(component, order, is_done, TEST_S)
    audit.note("test", str(name))
    found = board.tested(codifier, str(name), began_s)
    if found is None:
        return _outcome(component, False, "")
    text = found.text if found.ok else f"It was not delivered: {found.text}"
    return jsonify({"done": found.ok, "outcome": text})


@blueprint.get("/alerts/push")
def push_key() -> Response:
    """Return the key with which browsers subscribe to messages; empty: they cannot."""
    if not push.is_possible() or not who():
        return jsonify({"key": ""})
    try:
        return jsonify({"key": push.public_key(site().home)})
    except push.PushError as error:
        push.log.warning("%s", error)
        return jsonify({"key": ""})


@blueprint.post("/alerts/push")
@needs(Role.VIEWER)
def subscribe() -> ResponseReturnValue:
    """Tell the browser of a "subscription" from now on; "root" is where it finds the pages."""
    if not who():
        abort(401, "Sign in first.")
    given = given_object()
    root = given.get("root")
    if not isinstance(root, str) or not root.startswith("/") or not root.endswith("/"):
        abort(400, "root must be the path of the pages.")
    try:
        found = push.checked(given.get("subscription"))
    except ValueError as error:
        abort(400, f"{error}.")
    address = f"{request.host_url.rstrip('/')}{root}"
    push.add(site().home, push.Subscription(*found, address), who())
    audit.note("push", "", "this browser is told of alerts")
    return jsonify({"done": True})


@blueprint.post("/alerts/push/remove")
@needs(Role.VIEWER)
def unsubscribe() -> ResponseReturnValue:
    """Tell the browser with an "endpoint" no more."""
    endpoint = given_object().get("endpoint")
    if not isinstance(endpoint, str) or not who():
        abort(400, "endpoint must be the address of a subscription.")
    push.remove(site().home, endpoint)
    audit.note("push", "", "this browser is not told any more")
    return jsonify({"done": True})


def alerts_component(codifier: object) -> Component:
    """Return the Alerts component that a request names."""
    component = site().config.components.get(codifier) if isinstance(codifier, str) else None
    if component is None or component.codifier not in site().board.components:
        abort(404, "There is no such Alerts component.")
    return component


def commanded(codifier: object) -> Component:
    """Return the Alerts component that a command is for."""
    component = alerts_component(codifier)
    if not component.control_enabled:
        abort(409, f'{codifier} takes no commands: its entry has no "Control": "enabled".')
    return component


def _whole(given: dict[str, Any], key: str, default: int | None = None) -> int:
    value = given.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LONGEST_S:
        abort(400, f"{key} must be a whole number, up to {LONGEST_S}.")
    return value


def _send(component: Component, order: Order, is_done: Any, timeout_s: float = DONE_S) -> bool:
    here = site()
    try:
        with here.command_gate.turn(request.remote_addr or ""):
            here.channel.send_control("A", component.codifier, order.number())
            return here.board.wait_for(is_done, timeout_s)
    except ValueError:
        abort(400, "There is no room for this in a command.")
    except (JphError, OSError) as error:
        abort(503, f"The command could not be sent: {error}")


def _outcome(component: Component, done: bool, text: str) -> Response:
    return jsonify({"done": done, "outcome": _words(component, done, text)})


def _words(component: Component, done: bool, text: str) -> str:
    return text if done else f"{component.codifier}, which runs the alerts, did not answer"


def _note_event(subject: str, text: str) -> None:
    """Note in the events what a person did; a database that is away stops nobody."""
    from web.history import events

    here = site()
    codifier = subject if subject in here.config.components else ""
    try:
        events.add(here.home, [events.Event(time_now_ms(), codifier, "alert", text, who())])
    except JphError as error:
        audit.log.warning("an event could not be kept: %s", error)
