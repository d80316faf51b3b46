"""Entries of components: to begin a form with, and the types that there are for them."""

import re
import string
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from jph import registry
from web.live.strangers import DATA_TYPES, Stranger

_BEGINNINGS: dict[str, dict[str, object]] = {"Python": {"Sandbox": "confine"}}
_SIGNS = string.ascii_uppercase + string.digits + string.ascii_lowercase


def entries_of(content: Mapping[str, object]) -> list[dict[str, Any]]:
    """Return the entries of `Sensors`; an empty one for what is none."""
    entries = content.get("Sensors")
    listed = entries if isinstance(entries, list) else []
    return [entry if isinstance(entry, dict) else {} for entry in listed]


def entry_of(content: Mapping[str, object], codifier: str) -> dict[str, Any] | None:
    """Return the entry of a component, None if there is none."""
    return next((it for it in entries_of(content) if it.get("Codifier") == codifier), None)


def new_entry(type_name: str, codifier: str) -> dict[str, Any]:
    """Return the entry that a form of a new component begins with."""
    entry: dict[str, Any] = {"Codifier": codifier, "Name": "", "Symbol": "", "Type": type_name}
    if registry.current(type_name) in registry.NEVER_RUN:
        return entry
    if registry.current(type_name) not in ("Web", "StateCache", "HistoryWriter"):
        entry["SensorInterval"] = 10
    entry["Sensor"] = dict(_BEGINNINGS.get(type_name, {}))
    return entry


def copy_of(entry: Mapping[str, Any], codifier: str) -> dict[str, Any]:
    """Return an entry for another component like this one; its proxies stay with the first."""
    copied = deepcopy(dict(entry))
    copied["Codifier"] = codifier
    copied["Name"] = f"{copied.get('Name') or entry.get('Codifier')} (copy)"
    if isinstance(copied.get("Sensor"), dict):
        copied["Sensor"].pop("Proxy", None)
    return copied


def entry_of_stranger(stranger: Stranger) -> dict[str, Any]:
    """Return an entry for a Codifier that is heard, by what it sends."""
    entry: dict[str, Any] = {"Codifier": stranger.codifier, "Name": "", "Symbol": ""}
    entry["Type"] = "External"
    if stranger.flag in DATA_TYPES:
        entry["DataType"] = DATA_TYPES[stranger.flag]
    if stranger.flag == "j" and isinstance(stranger.value, dict):
        value = stranger.value.get("value")
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and len(stranger.value) < 2
        ):
            entry["DataType"] = "double"
    if stranger.readings > 1:
        interval_s = (stranger.heard_ms - stranger.since_ms) / 1000 / (stranger.readings - 1)
        entry["TimeoutWarning"] = max(10, round(3 * interval_s))
    return entry


def free_codifier(content: Mapping[str, object], words: str, taken: Iterable[str] = ()) -> str:
    """Return a Codifier that nobody has: of the letters of these words if that is possible."""
    used = {str(it.get("Codifier")) for it in entries_of(content)} | set(taken) | {"@@"}
    letters = re.sub("[^A-Z]", "", words.upper()) or "S"
    for first in letters[:1] + _SIGNS:
        for second in letters[1:] + string.digits[1:] + _SIGNS:
            if first + second not in used:
                return first + second
    signs = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    return next((a + b for a in signs for b in signs if a + b not in used), "")


# Types

_GROUPS = {
    "Sensors": ("Pipe", "JSON", "OneWire", "AM2302", "ADCPi", "Zwave", "Nest", "Dwarfpool"),
    "Calculated and simulated": ("Formula", "Python", "Simulated"),
    "To be set": ("SetPoint", "Fan"),
    "Others that are on the bus": ("External", "Proxy", "ControlProgram"),
}


def types_to_add() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the types that a person may add, in groups, each with a few words."""
    groups = {
        title: [(name, registry.ABOUT.get(name, "")) for name in names]
        for title, names in _GROUPS.items()
    }
    known = {name for names in _GROUPS.values() for name in names}
    more = [
        name
        for name in registry.names()
        if name not in known and name not in registry.OLDER and registry.is_run(name)
    ]
    groups["Services"] = [(name, registry.ABOUT.get(name, "")) for name in more]
    return list(groups.items())


def types_like(type_name: str) -> list[str]:
    """Return the types that an entry may have, its own among them."""
    names = [name for name in registry.names() if name not in registry.OLDER]
    return names if type_name in names else [type_name, *names]
