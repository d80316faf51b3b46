"""The cards of the overview, in their groups, as they are before any script runs.

static/js/overview/board.js groups and sorts in the same way while the page is open.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from jph.config.status import SERVICES
from jph.node.outcome import limits
from web.live.records import Records
from web.views import page_view

Card = dict[str, Any]

RANKS = {"silent": 0, "failing": 1, "halted": 2, "unseen": 3, "active": 4}  # the worst first
WELL = 2  # from this rank on, a group has its place by its name
ROWS_FROM = 60  # components; so many are shown as rows unless somebody wants tiles

GROUPS: dict[str, tuple[str, Callable[[Card], str]]] = {
    "area": ("Area", lambda card: card["component"].area or "No area"),
    "kind": ("Sensors and services", lambda card: card["kind"]),
    "type": ("Type", lambda card: card["component"].type),
    "host": ("Host", lambda card: card["host"] or "Never heard"),
    "label": ("Label", lambda card: next(iter(card["component"].labels), "No label")),
    "none": ("Nothing", lambda card: ""),
}
SORTS = {
    "worst": "Worst first",
    "name": "Name",
    "value": "Value",
    "age": "Age",
    "loss": "Loss",
}


class CardGroup(NamedTuple):
    """Some cards with something in common, the worst first."""

    key: str
    cards: list[Card]


def cards(records: Records) -> list[Card]:
    """Return what each card shows, in the order of the configuration."""
    hosts = {
        record.component.codifier: name
        for name, members in records.by_node().items()
        for record in members
    }
    found = []
    for record in records.all():
        entry = record.component
        low, high = limits(entry)
        found.append(
            {
                **page_view(records, record),
                "title": entry.name if entry.short_name == entry.codifier else entry.short_name,
                "kind": "Services" if entry.type in SERVICES else "Sensors",
                "host": hosts.get(entry.codifier, ""),
                "low": low,
                "high": high,
            }
        )
    return found


def default_group(shown: Iterable[Card]) -> str:
    """Return how cards are grouped unless somebody chooses."""
    return "area" if any(card["component"].area for card in shown) else "kind"


def grouped(shown: Iterable[Card], by: str) -> list[CardGroup]:
    """Return groups with the worst cards first, and first the groups that are not well."""
    _, key = GROUPS[by]
    found: dict[str, list[Card]] = {}
    for card in sorted(shown, key=lambda card: RANKS[card["State"]]):
        found.setdefault(key(card), []).append(card)
    groups = [CardGroup(name, members) for name, members in found.items()]
    ranks = {group.key: min(RANKS[group.cards[0]["State"]], WELL) for group in groups}
    return sorted(groups, key=lambda group: (ranks[group.key], group.key.casefold()))
