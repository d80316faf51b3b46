"""The component that serves the pages: its entry, its port, and whether it answers."""

from collections.abc import Mapping
from contextlib import closing
from copy import deepcopy
from typing import Any
from urllib.parse import urlsplit

from jph import registry
from jph.config import checks
from jph.config.model import Component

PROBE_S = 2.0  # longest wait for an answer of our own server


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
    entries = content.get("Sensors") if isinstance(content, Mapping) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("Codifier") == codifier:
            return entry
    return {}


def port_in(content: object, codifier: str) -> object:
    settings = entry_in(content, codifier).get("Sensor")
    return settings.get("Port") if isinstance(settings, dict) else None


def with_port(content: Mapping[str, object], codifier: str, port: object) -> dict[str, object]:
    result = deepcopy(dict(content))
    own = entry_in(result, codifier)
    own["Sensor"] = {**(own.get("Sensor") or {}), "Port": port}
    return result


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
