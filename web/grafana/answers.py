"""Answers in the forms that Grafana knows."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from jph.config.model import Component
from jph.stores.span import parse_field
from web.context import site
from web.grafana import questions
from web.grafana.questions import MOST_POINTS
from web.history import events
from web.history.recent import read_recent, read_recent_text

KEYS = ("codifier", "area", "label", "type")
MOST_TEXTS = 1_000
MOST_EVENTS = 1_000


def names(words: str) -> list[dict[str, str]]:
    """Return the names and Codifiers of the components that have all words in theirs."""
    wanted = words.lower().split()
    return [
        {"text": _label(component), "value": component.codifier}
        for component in _components()
        if all(word in _label(component).lower() for word in wanted)
    ]


def metrics() -> list[dict[str, Any]]:
    """Return all components as things to draw."""
    return [{"label": _label(one), "value": one.codifier} for one in _components()]


def series(asked: questions.Query) -> list[dict[str, Any]]:
    """Return the points of each target, or a table for texts.

    Raises:
        ValueError: a field that there is not.
        StoreError: the store does not answer.
    """
    here = site()
    start_ms, end_ms = _ms(asked.range.start), _ms(asked.range.end)
    found = []
    for target in asked.targets:
        component = here.config.components.get((target.target or "").split(" ")[0])
        if component is None or target.hide or not _fits(component, asked.adhocFilters):
            continue
        field = target.payload.field if isinstance(target.payload, questions.Payload) else "value"
        parse_field(field)
        head = {"target": component.name, "refId": target.refId}
        if component.data_type == "string":
            texts = read_recent_text(here, component, start_ms, end_ms, MOST_TEXTS)
            columns = [{"text": "Time", "type": "time"}, {"text": component.name, "type": "string"}]
            rows = [list(text) for text in texts]
            found.append({**head, "type": "table", "columns": columns, "rows": rows})
            continue
        points = min(asked.maxDataPoints, MOST_POINTS)
        read = read_recent(here, component.codifier, field, start_ms, end_ms, points)
        pairs = zip(read.values, read.times_ms, strict=True)
        found.append({**head, "datapoints": [list(pair) for pair in pairs]})
    return found


def annotations(asked: questions.Annotations) -> list[dict[str, Any]]:
    """Return the events of a span, of some Codifiers or of all."""
    found = events.between(
        site().home,
        _ms(asked.range.start),
        _ms(asked.range.end),
        asked.codifiers or None,
        most=MOST_EVENTS,
    )
    components = site().config.components
    return [
        {
            "annotation": asked.annotation,
            "time": event.time_ms,
            "title": _title(event, components.get(event.codifier)),
            "text": event.text,
            "tags": [event.kind, *filter(None, [event.codifier])],
        }
        for event in found
    ]


def variable(target: str) -> list[dict[str, str]]:
    """Return the values of a key, or the components that have words in their names."""
    if target in KEYS[1:]:
        return [{"__text": value, "__value": value} for value in values(target)]
    words = "" if target == "codifier" else target
    return [{"__text": one["text"], "__value": one["value"]} for one in names(words)]


def values(key: str) -> list[str]:
    """Return the values that components have of a key, in order; none of an unknown key."""
    if key not in KEYS:
        return []
    return sorted({value for component in _components() for value in _of(component, key)})


def _components() -> Iterable[Component]:
    return site().config.components.values()


def _label(component: Component) -> str:
    return f"{component.codifier} {component.name}"


def _of(component: Component, key: str) -> Iterable[str]:
    if key == "label":
        return component.labels
    value: str = getattr(component, key)
    return (value,) if value else ()


def _fits(component: Component, filters: Iterable[questions.AdhocFilter]) -> bool:
    return all(
        (each.value in _of(component, each.key)) != (each.operator == "!=")
        for each in filters
        if each.key in KEYS
    )


def _title(event: events.Event, component: Component | None) -> str:
    return f"{component.name if component else event.codifier} {event.kind}".strip()


def _ms(time: datetime) -> int:
    return max(0, round(time.timestamp() * 1000))
