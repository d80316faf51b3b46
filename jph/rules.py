"""Rules between the parts of a configuration: who sends for whom, and what names what."""

import json
import os
from dataclasses import dataclass
from typing import Any

from jph import document, registry
from jph.config import proxies_of, server_named

_PASSWORD_KEYS = ("Password", "PasswordFile")


@dataclass(frozen=True, slots=True)
class Network:
    """What components say of each other.

    Args:
        entries: the JSON objects of `Sensors`, an empty one for what is none.
        places: of each Codifier, the first place where it stands.
        servers: of each Codifier in a Proxy list, the places of those who name it.
    """

    entries: list[dict[str, Any]]
    places: dict[str, int]
    servers: dict[str, list[int]]


def network_of(content: object) -> Network:
    """Return what the list `Sensors` says, whatever it is."""
    entries = [entry if isinstance(entry, dict) else {} for entry in as_list(content)]
    network = Network(entries, {}, {})
    for index, entry in enumerate(entries):
        codifier = entry.get("Codifier")
        if isinstance(codifier, str):
            network.places.setdefault(codifier, index)
        for _, proxy in proxies_of(own_settings(entry)):
            if proxy is not None:
                network.servers.setdefault(proxy, []).append(index)
    return network


def proxy_mistakes(entry: dict[str, Any], index: int, network: Network) -> list[str]:
    """Return how this component and others disagree about who sends whose data."""
    path = f"Sensors[{index}].Sensor"
    mistakes = []
    seen: set[str] = set()
    for place, proxy in proxies_of(own_settings(entry)):
        where = f"{path}.Proxy[{place}].Codifier"
        if proxy is None:
            mistakes.append(f"{where}: is required")
        elif proxy in seen:
            mistakes.append(f'{where}: "{proxy}" is named twice')
        elif proxy == entry.get("Codifier"):
            mistakes.append(f'{where}: "{proxy}" is the component itself')
        elif proxy not in network.places:
            mistakes.append(f'{where}: "{proxy}" is not in Sensors')
        else:
            mistakes += _served_mistakes(proxy, index, where, network)
        seen.add(proxy or "")
    return mistakes + _server_mistakes(entry, path, network)


def _served_mistakes(proxy: str, index: int, where: str, network: Network) -> list[str]:
    place = network.places[proxy]
    served = network.entries[place]
    if served.get("Type") != "Proxy":
        return [f'{where}: "{proxy}" must be of Type Proxy, Sensors[{place}] is not']
    first = network.servers[proxy][0]
    if first != index:
        return [f'{where}: "{proxy}" is also named by Sensors[{first}]']
    return []


def _server_mistakes(entry: dict[str, Any], path: str, network: Network) -> list[str]:
    """Return what is wrong with the server that a Proxy has or names."""
    codifier = entry.get("Codifier")
    if entry.get("Type") != "Proxy" or not isinstance(codifier, str):
        return []
    named = server_named(own_settings(entry))
    servers = [network.entries[i].get("Codifier") for i in network.servers.get(codifier, ())]
    if servers and named in (None, "", *servers):
        return []
    if servers:
        return [f'{path}.Server: must be "{servers[0]}", whose Proxy list names "{codifier}"']
    # A calculation may send for others without a list of them; then the Proxy names it.
    server = network.places.get(named) if isinstance(named, str) else None
    if server is not None and network.entries[server].get("Type") != "Proxy":
        entry = network.entries[server]
        if "Proxy" not in own_settings(entry) or registry.current(str(entry["Type"])) == "Python":
            return []
        return [f'{path}.Server: the Proxy list of "{named}" does not name "{codifier}"']
    if named:
        return [f"{path}.Server: must be the Codifier of the component that sends its data"]
    return [f'{path.removesuffix(".Sensor")}.Codifier: no Proxy list names "{codifier}"']


def missing_files(value: object, path: str) -> list[str]:
    """Return which settings that name the file of a password name none."""
    # The value is not repeated: where it names no file, it may be the password itself.
    return [
        f"{where}: names no file; it is the path of the file that holds the password"
        for where, text in document.walk(value, path)
        if where.rpartition(".")[2] in _PASSWORD_KEYS
        and isinstance(text, str)
        and not os.path.isfile(os.path.expanduser(text))
    ]


def logging_mistakes(content: object) -> list[str]:
    """Return what logging.config.dictConfig would stumble over, without applying anything."""
    if not isinstance(content, dict):
        return []
    mistakes = [] if content.get("version") == 1 else ["Logging.version: must be 1"]
    for key in ("formatters", "filters", "handlers", "loggers"):
        group = content.get(key, {})
        if not isinstance(group, dict):
            mistakes.append(f"Logging.{key}: must be an object")
        else:
            mistakes += [
                f"Logging.{key}.{name}: must be an object"
                for name, item in group.items()
                if not isinstance(item, dict)
            ]
    handlers = as_object(content.get("handlers"))
    loggers = {f"loggers.{name}": item for name, item in as_object(content.get("loggers")).items()}
    for name, item in {**loggers, "root": content.get("root")}.items():
        for place, handler in enumerate(as_list(as_object(item).get("handlers"))):
            if not isinstance(handler, str) or handler not in handlers:
                where = f"Logging.{name}.handlers[{place}]"
                mistakes.append(f"{where}: {json.dumps(handler)} is not among Logging.handlers")
    return mistakes


def own_settings(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the `Sensor` object of an entry, empty if there is none."""
    return as_object(entry.get("Sensor"))


def as_object(value: object) -> dict[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return the value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []
