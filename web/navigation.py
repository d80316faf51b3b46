"""The navigation: words for people, and the views behind them. What is not there is not shown."""

from typing import NamedTuple

from flask import Flask, current_app, request

from jph.devices import PORTS
from web.context import site
from web.people.access import allows


class Entry(NamedTuple):
    """One entry; `icon` names a symbol in templates/base.html.

    `types` are those of components without which it is not shown.
    """

    word: str
    endpoint: str
    icon: str = ""
    types: frozenset[str] = frozenset()


SETTINGS_ENTRY = Entry("Settings", "settings.page", "settings")
PAGES = (
    Entry("Overview", "pages.dashboard", "overview"),
    Entry("Graphs", "graphs.page", "graphs"),
    Entry("Diagrams", "diagrams.page", "diagrams"),
    Entry("Table", "table.page", "table"),
    Entry("Alerts", "alerts.page", "alerts"),
    Entry("Logs", "logs.page", "logs"),
    Entry("Network", "network.page", "network"),
    SETTINGS_ENTRY,
)
# The sections of Settings.
SETTINGS = (
    Entry("Configuration", "settings.page"),
    Entry("Revisions", "revisions.page"),
    Entry("Gateways", "gateways.page", types=frozenset(PORTS)),
    Entry("People", "people.page"),
    Entry("Tokens", "tokens.page"),
    Entry("My sessions", "sessions.page"),
    Entry("Audit", "audit.page"),
    Entry("Backup", "backup.page"),
)


def is_page(endpoint: str) -> bool:
    """Tell whether a view is one of the pages, which people may return to."""
    blueprint = endpoint.partition(".")[0]
    return any(entry.endpoint.partition(".")[0] == blueprint for entry in (*PAGES, *SETTINGS))


def shown(entries: tuple[Entry, ...]) -> list[Entry]:
    """Return the entries that exist and that who asks may open.

    Settings are there for everybody who may open one of its sections, and lead to the first one.
    """
    views = current_app.view_functions
    types = {component.type for component in site().config.components.values()}
    found = [
        e
        for e in entries
        if e.endpoint in views
        and allows(views[e.endpoint])
        and (not e.types or not e.types.isdisjoint(types))
    ]
    if entries is PAGES and SETTINGS_ENTRY not in found and (sections := shown(SETTINGS)):
        found.append(SETTINGS_ENTRY._replace(endpoint=sections[0].endpoint))
    return found


def is_current(entry: Entry) -> bool:
    """Tell whether the present page belongs to an entry of the navigation."""
    blueprint = request.blueprint or ""
    if entry.icon == SETTINGS_ENTRY.icon:
        return any(each.endpoint.partition(".")[0] == blueprint for each in SETTINGS)
    return blueprint == entry.endpoint.partition(".")[0] and request.endpoint != "pages.component"


def init_app(app: Flask) -> None:
    """Let templates show the navigation."""
    app.context_processor(
        lambda: {
            "pages_shown": lambda: shown(PAGES),
            "settings_shown": lambda: shown(SETTINGS),
            "is_current": is_current,
        }
    )
