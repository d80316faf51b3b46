"""The component that serves the pages: its entry, its port, and whether it answers."""

from collections.abc import Mapping
from contextlib import closing
from copy import deepcopy
from typing import Any, Protocol
from urllib.parse import urlsplit

from jph import registry
from jph.config import checks
from jph.config.model import Component
from jph.node.channel import Channel
from web.configuration.entries import entry_of
from web.configuration.text import is_same
from web.configuration.trial import Trial

PROBE_S = 2.0  # longest wait for an answer of our own server


class Served(Protocol):
    """A Web component at work."""

    @property
    def address(self) -> str:
        """Its address on this machine."""


def own_mistakes(own: Component, content: object) -> list[str]:
    """Return why a document would end the pages that it is saved on."""
    codifier = own.codifier
    new = entry_in(content, codifier)
    is_web = registry.current(str(new.get("Type"))) == "Web"
    moves = new.get("Host") != own.entry.get("Host") and not checks.runs_here(new)
    if is_web and not moves:
        return []
    return [
        f"Sensors: {codifier} serves these pages; it must stay here, with its Codifier and its Type"
        " (in the file itself, you can remove it)"
    ]


def entry_in(content: object, codifier: str) -> dict[str, Any]:
    """Return the entry of a component, an empty one if there is none."""
    return (entry_of(content, codifier) if isinstance(content, Mapping) else None) or {}


def port_in(content: object, codifier: str) -> object:
    settings = entry_in(content, codifier).get("Sensor")
    return settings.get("Port") if isinstance(settings, dict) else None


def with_port(content: Mapping[str, object], codifier: str, port: object) -> dict[str, object]:
    result = deepcopy(dict(content))
    own = entry_in(result, codifier)
    own["Sensor"] = {**(own.get("Sensor") or {}), "Port": port}
    return result


def why_not_served(one: Trial, channel: Channel, served: Served | None) -> tuple[str, bool]:
    """Return why the pages are not served under a change, and whether that is for good."""
    process, codifier = channel.process, channel.codifier
    config = process.config
    if config is one.config_before or not is_same(config.document, one.document):
        return "the process of the pages has not loaded it; its log tells why", False
    component = config.components.get(codifier)
    if component is None or channel.component.entry != component.entry:
        own = process.components().get(codifier)
        if own is not None and own.is_failing and not one.was_failing:
            return f"{codifier} cannot begin: {own.error}", True
        return f"{codifier} has not begun again", False
    if served is None:
        return f"{codifier} does not serve pages", False
    if one.was_joined and not process.bus.status().joined:
        return "the process of the pages is not on the bus any more", False
    return probe(served.address), False


def probe(address: str) -> str:
    """Return why a server does not answer, empty if it does."""
    import http.client  # these two cost memory, and few servers ever need them
    import ssl

    parts = urlsplit(address)
    if parts.scheme == "https":
        # Its own certificate need not be one for this address.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=PROBE_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PROBE_S)
    with closing(connection):
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            return f"{address} does not answer: {error}"
    return ""
