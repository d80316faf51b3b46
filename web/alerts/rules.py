"""The rules and contacts of an Alerts component as pages show and change them."""

from collections.abc import Mapping
from typing import Any

from jph.alerts.rules import Rule, mistakes_in, subjects
from jph.alerts.words import duration, found
from jph.config.model import Component, Config
from jph.errors import ConfigError
from jph.settings import arguments, lines_of, settings_of

_SETTINGS = settings_of(Rule, frozenset())


def raw_rules(component: Component) -> list[Mapping[str, Any]]:
    """Return the rules of a component as they stand in the document."""
    given = component.settings.get("Rules")
    return [it for it in given if isinstance(it, Mapping)] if isinstance(given, list) else []


def rules_of(component: Component, config: Config) -> list[dict[str, Any]]:
    """Return the rules of a component for a page, each with its words."""
    views = []
    for given in raw_rules(component):
        rule = read_rule(given)
        if isinstance(rule, Rule):
            views.append({"given": dict(given), **words_of(rule, config)})
    return views


def read_rule(given: Mapping[str, Any]) -> Rule | list[str]:
    """Return a rule, or its mistakes, each with the key in front."""
    try:
        return Rule(**arguments(Rule, given, "", without=frozenset()))  # type: ignore[arg-type]
    except ConfigError as error:
        return [line.removeprefix(".") for line in error.mistakes]
    except ValueError as error:
        return lines_of(error)


def mistakes_of(
    given: Mapping[str, Any], component: Component, config: Config, old: str | None
) -> list[str]:
    """Return the mistakes of a rule that takes the place of another one, or is new.

    Args:
        old: the name of the one whose place it takes; None: none.
    """
    rule = read_rule(given)
    if not isinstance(rule, Rule):
        return rule
    others = [it for it in map(read_rule, raw_rules(component)) if isinstance(it, Rule)]
    beside = [it for it in others if it.name != old]
    contacts = [it["name"] for it in contacts_of(component)]
    known = {*config.components, *([rule.codifier] if rule.codifier else [])}
    place = f"Rules[{len(beside)}]."
    lines = mistakes_in([*beside, rule], known, contacts)
    return [line.removeprefix(place) for line in lines if line.startswith(place)]


def words_of(rule: Rule, config: Config) -> dict[str, Any]:
    """Return what a rule says, in words."""
    concerned = subjects(rule, config.components)
    units = {config.components[it].symbol for it in concerned}
    unit = units.pop() if len(units) == 1 else ""
    held = f" for {duration(rule.for_s)}" if rule.for_s else ""
    where = [*(f"area {it}" for it in rule.areas), *(f"label {it}" for it in rule.labels)]
    named = [config.components[it].name for it in rule.sensors if it in config.components]
    return {
        "name": rule.name,
        "kind": rule.kind,
        "says": f"{found(rule, unit)}{held}",
        "about": ", ".join([*named, *where]) or "every sensor",
        "count": len(concerned),
        "severity": rule.severity,
        "enabled": rule.enabled,
    }


def contacts_of(component: Component) -> list[dict[str, str]]:
    """Return the contacts of a component: name, kind and where messages go, without secrets."""
    given = component.settings.get("Contacts")
    views = []
    for contact in given if isinstance(given, list) else ():
        if isinstance(contact, Mapping) and isinstance(contact.get("Name"), str):
            to = contact.get("To")
            where = ", ".join(map(str, to)) if isinstance(to, list) else contact.get("Topic") or ""
            views.append(
                {
                    "name": contact["Name"],
                    "kind": str(contact.get("Kind") or ""),
                    "where": str(where),
                    "least": str(contact.get("Least") or "info"),
                }
            )
    return views


def cleaned(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule for the document: known keys in their order, without defaults."""
    found = {item.key: (item.default, given[item.key]) for item in _SETTINGS if item.key in given}
    empty: tuple[object, ...] = (None, "", [], ())
    return {
        key: value
        for key, (default, value) in found.items()
        if value not in empty and value != default
    }
