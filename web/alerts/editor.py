"""Rules and contacts as people change them: each change is a revision of the configuration."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, abort, jsonify
from flask.typing import ResponseReturnValue

from jph.alerts.conditions import Zone
from jph.alerts.rules import Rule, subjects
from jph.alerts.trial import Firing, firings
from jph.alerts.words import duration
from jph.alerts.zone import zone_of
from jph.clock import time_now_ms
from jph.config.model import Component
from jph.errors import JphError, StoreError
from jph.stores.series import Series
from web.alerts.rules import cleaned, mistakes_of, raw_rules, read_rule
from web.alerts.views import alerts_component
from web.component.outages import outages_of
from web.configuration import revisions
from web.context import behind, given_object, site
from web.history import events, losses
from web.history.recent import read_recent
from web.people import audit
from web.people.access import Role, needs, who

blueprint = Blueprint("alert_rules", __name__)

MOST_SENSORS = 50  # of one trial
MOST_POINTS = 60_000  # of one trial, of all its sensors
MOST_SHOWN = 200  # firings of one sensor
MOST_DAYS = 400
FAR = 1e9  # from where losses are counted: a correction is no new beginning of the counter
FIRST_CODIFIER = "AL"

Edit = Callable[[dict[str, Any]], None]  # of the document of a configuration


@blueprint.post("/alerts/rules")
@needs(Role.ADMIN)
def save() -> ResponseReturnValue:
    """Save a "rule", in the place of the one that is called "old", or as a new one."""
    given = given_object()
    component, old = alerts_component(given.get("component")), given.get("old")
    rule = cleaned(_object(given, "rule"))
    config = site().config
    mistakes = mistakes_of(rule, component, config, old if isinstance(old, str) else None)
    if mistakes:
        return _mistakes(mistakes)
    why = f"alert rule {rule.get('Name')}"
    edit = with_rule(component.codifier, rule, old)
    return _change(edit, f"{'change' if old else 'add'} the {why}", rule.get("Name"))


def with_rule(component: str, rule: Mapping[str, Any], old: object) -> Edit:
    """Return what puts a rule into a document, in the place of the one called `old`, or as new."""

    def edit(document: dict[str, Any]) -> None:
        entry = _entry(document, component)
        rules = entry.setdefault("Sensor", {}).setdefault("Rules", [])
        place = next((i for i, it in enumerate(rules) if _name(it) == old), None)
        if place is None:
            rules.append(rule)
        else:
            rules[place] = rule
        codifier = rule.get("Codifier")
        if codifier and codifier not in [_codifier(it) for it in document["Sensors"]]:
            document["Sensors"].append(_state_entry(codifier, rule, entry))

    return edit


@blueprint.post("/alerts/rules/remove")
@needs(Role.ADMIN)
def remove() -> ResponseReturnValue:
    """Remove the rule with a "name", and the state that it has on the bus."""
    given = given_object()
    component, name = alerts_component(given.get("component")), given.get("name")
    if name not in [_name(it) for it in raw_rules(component)]:
        abort(404, "There is no such rule.")
    edit = without_rule(component.codifier, str(name))
    return _change(edit, f"remove the alert rule {name}", str(name))


def without_rule(component: str, name: str) -> Edit:
    """Return what takes a rule out of a document, with the state that it has on the bus."""

    def edit(document: dict[str, Any]) -> None:
        settings = _entry(document, component).get("Sensor") or {}
        rules = settings.get("Rules") or []
        gone = {it.get("Codifier") for it in rules if _name(it) == name}
        settings["Rules"] = [it for it in rules if _name(it) != name]
        document["Sensors"] = [
            it
            for it in document["Sensors"]
            if not (_codifier(it) in gone and _is_state_of(it, component))
        ]

    return edit


@blueprint.post("/alerts/contacts")
@needs(Role.ADMIN)
def save_contact() -> ResponseReturnValue:
    """Save a "contact", in the place of the one that is called "old", or as a new one."""
    given = given_object()
    component, old = alerts_component(given.get("component")), given.get("old")
    contact = {k: v for k, v in _object(given, "contact").items() if v not in (None, "", [])}

    def edit(document: dict[str, Any]) -> None:
        settings = _entry(document, component.codifier).setdefault("Sensor", {})
        contacts = settings.setdefault("Contacts", [])
        place = next((i for i, it in enumerate(contacts) if _name(it) == old), None)
        if place is None:
            contacts.append(contact)
        else:
            contacts[place] = {**contacts[place], **contact}

    name = str(contact.get("Name") or "")
    return _change(edit, f"{'change' if old else 'add'} the contact {name}", name)


@blueprint.post("/alerts/contacts/remove")
@needs(Role.ADMIN)
def remove_contact() -> ResponseReturnValue:
    """Remove the contact with a "name"; rules that name it forget it."""
    given = given_object()
    component, name = alerts_component(given.get("component")), given.get("name")

    def edit(document: dict[str, Any]) -> None:
        settings = _entry(document, component.codifier).get("Sensor") or {}
        settings["Contacts"] = [it for it in settings.get("Contacts") or [] if _name(it) != name]
        for rule in settings.get("Rules") or []:
            if isinstance(rule.get("Contacts"), list):
                rule["Contacts"] = [it for it in rule["Contacts"] if it != name]

    return _change(edit, f"remove the contact {name}", str(name))


@blueprint.post("/alerts/component")
@needs(Role.ADMIN)
def add_component() -> ResponseReturnValue:
    """Add an Alerts component to a network that has none."""
    if site().board.components:
        abort(409, "The network has an Alerts component already.")

    def edit(document: dict[str, Any]) -> None:
        taken = {_codifier(it) for it in document["Sensors"]}
        free = (f"{a}{b}" for a in "ALXYZ" for b in "LABCDEFGHIJKMNOPQRSTUVWXYZ0123456789")
        codifier = next(it for it in (FIRST_CODIFIER, *free) if it not in taken)
        entry: dict[str, Any] = {
            **{"Codifier": codifier, "ShortName": "Alerts", "Name": "Alerts: how many fire"},
            **{"Type": "Alerts", "DataType": "json", "SensorInterval": 60, "Control": "enabled"},
        }
        host = site().channel.component.host
        document["Sensors"].append(entry | ({"Host": host} if host else {}))

    return _change(edit, "add the alerts", "Alerts")


@blueprint.post("/alerts/trial")
@needs(Role.OPERATOR)
@behind(lambda site: site.history_gate)
def trial() -> ResponseReturnValue:
    """Tell when a "rule" would have fired in the last "days", by the stored history."""
    given = given_object()
    component = alerts_component(given.get("component"))
    raw, days = cleaned(_object(given, "rule")), given.get("days", 7)
    if isinstance(days, bool) or not isinstance(days, int | float) or not 0 < days <= MOST_DAYS:
        abort(400, f"days must be a number, up to {MOST_DAYS}.")
    rule = read_rule({"Name": "trial", **raw, "Codifier": None})
    if not isinstance(rule, Rule):
        return _mistakes(rule)
    here, end_ms = site(), time_now_ms()
    codifiers = subjects(rule, here.config.components)
    zone = _zone(component)
    found: dict[str, list[Firing]] = {}
    most_points = max(500, MOST_POINTS // max(1, min(len(codifiers), MOST_SENSORS)))
    start_ms = end_ms - round(days * 86_400_000)
    width_ms = 0
    try:
        here.recorder.flush()
        noted_ms = _noted_since(rule)
        for codifier in codifiers[:MOST_SENSORS]:
            if rule.kind == "failing":  # which no history has, but the pages noted it
                found[codifier] = _failures(rule, codifier, start_ms, end_ms)
                continue
            if rule.kind == "losses":
                series = _lost(codifier, start_ms, end_ms)
            else:
                series = read_recent(here, codifier, "value", start_ms, end_ms, most_points)
            width_ms = max(width_ms, series.bucket_ms)
            found[codifier] = firings(rule, here.config.components, codifier, series, end_ms, zone)
    except JphError as error:
        return jsonify({"error": str(error)}), 503
    return jsonify(
        {
            "from": start_ms,
            "to": end_ms,
            "days": days,
            "words": _words(found, days, end_ms),
            "note": _note(width_ms, len(codifiers), rule.kind),
            "noted": noted_ms if noted_ms and noted_ms > start_ms else None,
            "limits": [it for it in (rule.limit, rule.low, rule.high) if it is not None]
            if rule.kind in ("above", "below", "outside")
            else [],
            "sensors": [
                {
                    "codifier": codifier,
                    "name": here.config.components[codifier].name,
                    "unit": here.config.components[codifier].symbol,
                    "count": len(each),
                    "firings": [[it.begin_ms, it.end_ms] for it in each[-MOST_SHOWN:]],
                }
                for codifier, each in sorted(found.items(), key=lambda it: -len(it[1]))
            ],
        }
    )


def _words(found: Mapping[str, list[Firing]], days: float, end_ms: int) -> str:
    count = sum(map(len, found.values()))
    span = "the last day" if days == 1 else f"the last {days:g} days"
    if not found:
        return "It concerns no sensor."
    if not count:
        return f"It would not have fired in {span}."
    times = {1: "once", 2: "twice"}.get(count, f"{count} times")
    lasted_ms = sum((it.end_ms or end_ms) - it.begin_ms for each in found.values() for it in each)
    return f"It would have fired {times} in {span}, for {duration(lasted_ms / 1000)} in all."


def _failures(rule: Rule, codifier: str, start_ms: int, end_ms: int) -> list[Firing]:
    """Return when a component failed for as long as a rule asks for."""
    outages = outages_of(events.statuses(site().home, codifier, start_ms, end_ms))
    found = []
    for outage in outages:
        # It may have begun before the span, and have held since.
        begin_ms = outage.begin_ms + round(rule.for_s * 1000)
        if outage.kind == "failing" and begin_ms < (outage.end_ms or end_ms):
            found.append(Firing(max(begin_ms, start_ms), outage.end_ms))
    return found


def _noted_since(rule: Rule) -> int | None:
    """Return since when what a rule is about is noted; None: history has it."""
    here = site()
    if rule.kind == "losses":
        return losses.since(here.home)
    if rule.kind == "failing":
        return min([here.recorder.began_ms, *(begin for begin, _ in events.watches(here.home))])
    return None


def _lost(codifier: str, start_ms: int, end_ms: int) -> Series:
    """Return a counter of what was lost of a component."""
    times_ms, counts = [start_ms], [FAR]
    for time_ms, lost in losses.between(site().home, codifier, start_ms, end_ms):
        times_ms.append(time_ms)
        counts.append(counts[-1] + lost)
    return Series(times_ms, counts, counts, counts)


def _note(width_ms: int, sensors: int, kind: str) -> str:
    notes = []
    if kind == "failing":
        notes.append("Failures are known of times in which the pages were running.")
    if kind == "losses":
        notes.append(
            "Losses are known of times in which the pages were running, by the minute: of messages"
            " that did not reach them."
        )
    if width_ms:
        notes.append(f"Each point of this history stands for {duration(width_ms / 1000)}.")
    if sensors > MOST_SENSORS:
        notes.append(f"Only {MOST_SENSORS} of its {sensors} sensors were tried.")
    return " ".join(notes)


def _zone(component: Component) -> Zone:
    name = component.settings.get("TimeZone")
    return zone_of(name if isinstance(name, str) else None)


# Shared


def _change(edit: Edit, why: str, subject: object) -> ResponseReturnValue:
    """Save a change of the configuration, or tell why not."""
    try:
        revision = revisions.change(edit, who(), why)
    except revisions.RefusedError as error:
        return _mistakes(error.mistakes)
    except (revisions.ConflictError, revisions.NotWritableError, revisions.BusyError) as error:
        return jsonify({"error": str(error)}), 409
    except StoreError as error:
        return jsonify({"error": str(error)}), 503
    audit.note("configuration", str(subject), why)
    return jsonify({"done": True, "revision": revision.number, "outcome": f"Saved: {why}."})


def _mistakes(lines: list[str]) -> Response:
    """Return the mistakes of a form; that is an answer like others, and no error of a program."""
    return jsonify({"done": False, "outcome": lines[0], "mistakes": _by_key(lines)})


def _by_key(mistakes: list[str]) -> dict[str, str]:
    """Return the mistakes by the key of the form that they are about; "" for others."""
    found: dict[str, str] = {}
    for line in mistakes:
        path, colon, text = line.partition(": ")
        key = path.rpartition(".")[2].partition("[")[0] if colon else ""
        found.setdefault(key, text if colon else line)
    return found


def _object(given: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = given.get(key)
    if not isinstance(value, dict):
        abort(400, f"{key} must be an object.")
    return value


def _entry(document: dict[str, Any], codifier: str) -> dict[str, Any]:
    for entry in document["Sensors"]:
        if _codifier(entry) == codifier:
            found: dict[str, Any] = entry
            return found
    abort(404, f"{codifier} is not in the configuration any more.")


def _state_entry(codifier: str, rule: Mapping[str, Any], alerts: Mapping[str, Any]) -> object:
    """Return the entry of the Codifier that has the state of a rule."""
    made = {"Codifier": codifier, "Name": f"Alert: {rule['Name']}", "Type": "Proxy"}
    if alerts.get("Area"):
        made["Area"] = alerts["Area"]
    return {**made, "DataType": "json", "Sensor": {"Server": alerts["Codifier"]}}


def _is_state_of(entry: object, codifier: str) -> bool:
    settings = entry.get("Sensor") if isinstance(entry, dict) else None
    return isinstance(settings, dict) and settings.get("Server") == codifier


def _name(item: object) -> object:
    return item.get("Name") if isinstance(item, dict) else None


def _codifier(entry: object) -> object:
    return entry.get("Codifier") if isinstance(entry, dict) else None
