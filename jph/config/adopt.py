"""A value of a foreign device gets a Codifier: the two entries that put it on the bus.

The gateway's `Proxy` list says which value it is, and an entry of Type Proxy what it is called.
Pure: it takes a document and returns another one.
"""

import string
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from jph.bus import wire
from jph.errors import ConfigError

SIGNS = sorted(string.digits + string.ascii_letters)
RANGE = "Codifiers"  # the setting of a gateway


def adopt(
    content: Mapping[str, Any],
    server: str,
    item: Mapping[str, object],
    entry: Mapping[str, object],
    codifier: str | None = None,
) -> tuple[dict[str, Any], str]:
    """Return the document with a value on the bus, and the value's Codifier.

    Args:
        content: a document without mistakes.
        server: Codifier of the gateway.
        item: of its Proxy list, without the Codifier: which value of which device it is.
        entry: of the value, without Codifier and Type.
        codifier: to be given; None: the next free one of the gateway's range.

    Raises:
        ConfigError: the value is on the bus already, or the Codifier cannot be given.
    """
    made: dict[str, Any] = deepcopy(dict(content))
    entries = made["Sensors"]
    places = {each.get("Codifier"): place for place, each in enumerate(entries)}
    if server not in places:
        raise ConfigError(f'there is no component "{server}" in Sensors')
    settings = entries[places[server]].setdefault("Sensor", {})
    proxies = settings.setdefault("Proxy", [])
    for each in proxies:
        if item.items() <= each.items():
            raise ConfigError(f"it is on the bus already, as {each.get('Codifier')}")
    if codifier is None:
        codifier = _next_free(server, settings.get(RANGE), places)
    elif not wire.is_codifier(codifier):
        raise ConfigError(f'a Codifier is two printable ASCII characters, not "{codifier}"')
    elif codifier in places:
        raise ConfigError(f"{codifier} is {entries[places[codifier]].get('Name') or 'taken'}")
    last = max(places.get(each.get("Codifier"), 0) for each in [*proxies, {"Codifier": server}])
    proxies.append({"Codifier": codifier, **item})
    entries.insert(last + 1, {"Codifier": codifier, "Type": "Proxy", **entry})
    return made, codifier


def codifiers_in(text: str) -> list[str]:
    """Return the Codifiers of a range such as `t0-tz`, in order; only letters and digits.

    Raises:
        ValueError: it is no range.
    """
    first, hyphen, last = text[:2], text[2:3], text[3:]
    if hyphen == "-" and wire.is_codifier(first) and wire.is_codifier(last) and first <= last:
        pairs = (one + other for one in SIGNS for other in SIGNS)
        if found := [pair for pair in pairs if first <= pair <= last]:
            return found
    raise ValueError(f'must be a range of Codifiers such as "t0-tz", not "{text}"')


def _next_free(server: str, given: object, taken: Mapping[object, int]) -> str:
    if not isinstance(given, str) or not given:
        raise ConfigError(
            f'name a Codifier, or give {server} a range to take the next one of: "{RANGE}": "t0-tz"'
        )
    try:
        found = codifiers_in(given)
    except ValueError as error:
        raise ConfigError(f"{server}: Sensor.{RANGE}: {error}") from error
    for codifier in found:
        if codifier not in taken:
            return codifier
    raise ConfigError(f"{server} has no free Codifier in its range {given}: name one, or widen it")
