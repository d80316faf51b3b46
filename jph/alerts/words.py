"""Alerts in words for people: what happened, without when and where."""

from jph.alerts.rules import BLIND, NODE, Rule
from jph.config.model import Component

_PLAIN = 1e15  # a larger number is written with an exponent


def what(rule: Rule, subject: str, component: Component | None, members: int = 0) -> str:
    """Return what a rule found, such as "Boiler is above 70 °C"."""
    if rule.name == BLIND:
        return "The alerts hear nothing"
    if rule.name == NODE:
        return f"The node {subject} is silent, with {members} components"
    name = component.name if component else subject
    unit = component.symbol if component else ""
    return f"{name} {found(rule, unit)}"


def found(rule: Rule, unit: str = "") -> str:
    """Return what a rule says of a sensor, such as "is above 70 °C"."""
    if rule.kind == "silent":
        return "is silent"
    if rule.kind == "failing":
        return "fails"
    if rule.kind == "outside":
        return f"is outside of {quantity(rule.low, '')} to {quantity(rule.high, unit)}"
    within = f"within {duration(rule.within_s)}" if rule.within_s else ""
    if rule.kind == "losses":
        return f"lost more than {quantity(rule.limit, 'messages')} {within}"
    limit = quantity(rule.limit, unit)
    if rule.kind == "changes":
        return f"changed by more than {limit} {within}"
    if rule.kind == "total":
        return f"has counted more than {limit} today"
    return f"is {rule.kind} {limit}"


def quantity(number: float | None, unit: str) -> str:
    """Return a number with its unit."""
    if number is None:
        return ""
    text = f"{number:.7g}"
    if "e+" in text and abs(number) < _PLAIN:
        text = f"{number:.0f}"
    return f"{text} {unit}".rstrip()


def duration(seconds: float | None) -> str:
    """Return a time in the unit that people use for it."""
    seconds = seconds or 0.0
    for unit, length_s in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length_s or seconds == length_s:
            return f"{seconds / length_s:.3g} {unit}"
    return f"{seconds:.3g} s"
