"""The check of a configuration: every mistake at once, each with its path, and warnings.

It checks the structure of the whole document, who sends for whom, and the settings of components
that somebody runs: for these it imports the class of their type, with all that it needs.
"""

import dataclasses
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from jph import registry, settings
from jph.config import document
from jph.config.host import is_same_host, this_host
from jph.config.model import DERIVED, Component, Document, proxies_of, read, server_named
from jph.errors import ConfigError

Runs = Callable[[Mapping[str, Any]], bool]

_PASSWORD_KEYS = ("Password", "PasswordFile")
_WITH_TEXT = ("string", "json")  # DataTypes


def runs_everything(entry: Mapping[str, Any]) -> bool:
    """Have the settings of every component checked, for the author of a configuration."""
    return True


def runs_nothing(entry: Mapping[str, Any]) -> bool:
    """Have no settings checked, as a program wants that runs no component."""
    return False


def runs_here(entry: Mapping[str, Any]) -> bool:
    """Tell whether this host may run a component, by its entry in the document."""
    host = entry.get("Host")
    return not isinstance(host, str) or not host or is_same_host(host, this_host())


def check(content: object, runs: Runs = runs_everything) -> tuple[list[str], list[str]]:
    """Return the mistakes and the warnings of a parsed document, in its order.

    Args:
        runs: tells of an entry of `Sensors` whether its settings are checked.
    """
    _, _, mistakes = read(content)
    if not isinstance(content, dict):
        return mistakes, []
    mistakes += _logging_mistakes(content.get("Logging"))
    mistakes += [
        f"{path}: must not hold a password; name the file that holds it in PasswordFile"
        for path, value in document.walk(content)
        if isinstance(value, str) and document.holds_password(value)
    ]
    warnings = _unknown_keys(Document, content, "")
    network = _network_of(content.get("Sensors"))
    for index, entry in enumerate(_as_list(content.get("Sensors"))):
        if not isinstance(entry, dict):
            continue
        path = f"Sensors[{index}]"
        warnings += _unknown_keys(Component, entry, path, DERIVED)
        mistakes += _proxy_mistakes(entry, index, network)
        if isinstance(entry.get("Type"), str) and runs(entry):
            found = _check_settings(entry, path, network)
            mistakes += found[0]
            warnings += found[1]
        if runs(entry) and runs_here(entry):
            warnings += _missing_files(entry.get("Sensor"), f"{path}.Sensor")
    mistakes += _port_mistakes([entry for entry in network.entries if runs(entry)], network)
    # A Proxy item without Codifier breaks the rules of its type and those of the network.
    return sorted(dict.fromkeys(mistakes), key=_place), sorted(warnings, key=_place)


def _place(line: str) -> int:
    found = re.match(r"Sensors\[(\d+)\]", line)
    return int(found.group(1)) if found else -1


def _check_settings(
    entry: Mapping[str, Any], path: str, network: "_Network"
) -> tuple[list[str], list[str]]:
    """Return the mistakes and warnings of an entry's type, and of the settings of that type."""
    type_name = entry["Type"]
    if registry.canonical(type_name) is None:
        line = f"{path}.Type: {registry.unknown(type_name)}"
        # A type of another package need not be known where its component is not run.
        return ([line], []) if runs_here(entry) else ([], [line])
    if registry.current(type_name) in registry.NEVER_RUN:
        return [], []
    if not registry.is_run(type_name):
        line = f"{path}.Type: Type {type_name} is not in this version; the component is not run"
        return [], [line]
    warnings: list[str] = []
    note = registry.note(type_name)
    if note:
        warnings.append(f"{path}.Type: {type_name} {note}")
    try:
        cls = registry.find(type_name)
    except ConfigError as error:
        return [], [*warnings, f"{path}.Sensor: is not checked: {error}"]
    is_read = hasattr(cls, "read") and entry.get("Active") is not False
    if is_read and entry.get("SensorInterval") is None:
        warnings.append(f"{path}.SensorInterval: is absent, so the component is never read")
    given = {**registry.preset(type_name), **_own_settings(entry)}
    mistakes = _setting_mistakes(cls, given, f"{path}.Sensor", network.places)
    if dataclasses.is_dataclass(cls):
        warnings += _unknown_keys(cls, given, f"{path}.Sensor", settings.INJECTED)
    codifier = entry.get("Codifier")
    if hasattr(cls, "texts") and isinstance(codifier, str) and not mistakes:
        texts = cls.texts(codifier, **settings.arguments(cls, given, path))
        warnings += _text_warnings(texts, network)
    return mistakes, warnings


def _text_warnings(texts: Mapping[str, str], network: "_Network") -> list[str]:
    """Return which components get text, but have a DataType that refuses it.

    Args:
        texts: from a class that has `texts(codifier, given)`, which gets its Codifier and the
            constructor's arguments: what each component that gets text is given.
    """
    return [
        f"Sensors[{place}].DataType: {codifier} gets {field}, which is text and no"
        f' {data_type}; set DataType to "string"'
        for codifier, field in texts.items()
        if (place := network.places.get(codifier)) is not None
        and (data_type := network.entries[place].get("DataType", "float")) not in _WITH_TEXT
    ]


def _setting_mistakes(
    cls: type, given: Mapping[str, object], path: str, codifiers: Collection[str]
) -> list[str]:
    """Return the mistakes of settings: by their declarations, or else by the class itself.

    A class may have `check_settings(given, codifiers)` for rules that no annotation can tell; it
    gets the constructor's arguments, defaults left out, and the Codifiers of the network, and
    raises ValueError with the key in front; several mistakes are several arguments of it.
    """
    try:
        arguments = settings.arguments(cls, given, path)
        if hasattr(cls, "check_settings"):
            cls.check_settings(arguments, codifiers)
    except ConfigError as error:
        return error.mistakes
    except ValueError as error:
        return [f"{path}.{line}" for line in settings.lines_of(error)]
    return []


def _port_mistakes(entries: Iterable[Mapping[str, Any]], network: "_Network") -> list[str]:
    """Return which of these components would listen on a port that another one has.

    A class that listens has `listens_on(given)`, which gets the constructor's arguments and returns
    address and port; port 0 is any free one.
    """
    mistakes: list[str] = []
    taken: list[tuple[Mapping[str, Any], str, int]] = []
    for entry in entries:
        address, port = _listens_on(entry)
        for other, its_address, its_port in taken if port else ():
            is_same = address == its_address or {address, its_address} & _ANY_ADDRESS
            if port == its_port and is_same and _may_share_a_host(entry, other):
                codifier, first = entry.get("Codifier"), other.get("Codifier")
                mistakes.append(
                    f"Sensors[{network.places.get(str(codifier), 0)}].Sensor.Port: {codifier} and"
                    f" {first} would both listen on port {port} of one machine; give one of them"
                    " another Port, or each the Host that runs it"
                )
                break
        taken.append((entry, address, port))
    return mistakes


_ANY_ADDRESS = {"", "0.0.0.0", "::"}


def _listens_on(entry: Mapping[str, Any]) -> tuple[str, int]:
    """Return the address and TCP port of a component; port 0 if it listens on none."""
    type_name = entry.get("Type")
    if not isinstance(type_name, str) or registry.current(type_name) in registry.NEVER_RUN:
        return "", 0
    with suppress(ConfigError):  # which the check of its settings reports
        if registry.is_run(type_name) and hasattr(cls := registry.find(type_name), "listens_on"):
            given = {**registry.preset(type_name), **_own_settings(entry)}
            found: tuple[str, int] = cls.listens_on(**settings.arguments(cls, given, ""))
            return found
    return "", 0


def _may_share_a_host(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    hosts = [entry.get("Host") for entry in (one, other)]
    first, second = (host if isinstance(host, str) else "" for host in hosts)
    return not first or not second or is_same_host(first, second)


def _unknown_keys(
    cls: type, content: object, path: str, without: frozenset[str] = frozenset()
) -> list[str]:
    known = {item.key: item for item in settings.settings_of(cls, without)}
    warnings: list[str] = []
    for key, value in _as_object(content).items():
        where = document.join(path, key)
        if key in known:
            warnings += _unknown_inside(known[key].hint, value, where)
        elif not key.startswith("__") and where != "$schema":  # which editors look for
            hint = registry.suggestion(key, known)
            warnings.append(
                f"{where}: unknown key, ignored" + (f"; did you mean {hint}?" if hint else "")
            )
    return warnings


def _unknown_inside(hint: object, value: object, path: str) -> Iterable[str]:
    for option in settings.options_of(hint):
        if dataclasses.is_dataclass(option) and isinstance(value, dict):
            yield from _unknown_keys(cast(type, option), value, path)
        elif settings.is_list(option) and isinstance(value, list):
            for index, item in enumerate(value):
                yield from _unknown_inside(settings.item_of(option), item, f"{path}[{index}]")


@dataclass(frozen=True, slots=True)
class _Network:
    """The components of a document, as far as they name each other.

    Args:
        entries: the JSON objects of `Sensors`, an empty one for anything else.
        places: of each Codifier, the first place where it stands.
        servers: of each Codifier in a Proxy list, the places of the components that name it.
    """

    entries: list[dict[str, Any]]
    places: dict[str, int]
    servers: dict[str, list[int]]


def _network_of(content: object) -> _Network:
    """Return the network in the value of `Sensors`, whatever that is."""
    entries = [entry if isinstance(entry, dict) else {} for entry in _as_list(content)]
    network = _Network(entries, {}, {})
    for index, entry in enumerate(entries):
        codifier = entry.get("Codifier")
        if isinstance(codifier, str):
            network.places.setdefault(codifier, index)
        for _, proxy in proxies_of(_own_settings(entry)):
            if proxy is not None:
                network.servers.setdefault(proxy, []).append(index)
    return network


def _proxy_mistakes(entry: dict[str, Any], index: int, network: _Network) -> list[str]:
    """Return how this component and others disagree about who sends whose data."""
    path = f"Sensors[{index}].Sensor"
    mistakes = []
    seen: set[str] = set()
    for place, proxy in proxies_of(_own_settings(entry)):
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


def _served_mistakes(proxy: str, index: int, where: str, network: _Network) -> list[str]:
    place = network.places[proxy]
    served = network.entries[place]
    if served.get("Type") != "Proxy":
        return [f'{where}: "{proxy}" must be of Type Proxy, Sensors[{place}] is not']
    first = network.servers[proxy][0]
    if first != index:
        return [f'{where}: "{proxy}" is also named by Sensors[{first}]']
    return []


def _server_mistakes(entry: dict[str, Any], path: str, network: _Network) -> list[str]:
    """Return the mistakes about the server that a Proxy has or names."""
    codifier = entry.get("Codifier")
    if entry.get("Type") != "Proxy" or not isinstance(codifier, str):
        return []
    named = server_named(_own_settings(entry))
    servers = [network.entries[i].get("Codifier") for i in network.servers.get(codifier, ())]
    if servers and named in (None, "", *servers):
        return []
    if servers:
        return [f'{path}.Server: must be "{servers[0]}", whose Proxy list names "{codifier}"']
    # A calculation may send for others without a list of them; then the Proxy names it.
    server = network.places.get(named) if isinstance(named, str) else None
    if server is not None and network.entries[server].get("Type") != "Proxy":
        entry = network.entries[server]
        if "Proxy" not in _own_settings(entry) or registry.current(str(entry["Type"])) == "Python":
            return []
        return [f'{path}.Server: the Proxy list of "{named}" does not name "{codifier}"']
    if named:
        return [f"{path}.Server: must be the Codifier of the component that sends its data"]
    return [f'{path.removesuffix(".Sensor")}.Codifier: no Proxy list names "{codifier}"']


def _missing_files(value: object, path: str) -> list[str]:
    """Return which settings that name the file of a password name none."""
    # The value is not repeated: where it names no file, it may be the password itself.
    return [
        f"{where}: names no file; it is the path of the file that holds the password"
        for where, text in document.walk(value, path)
        if where.rpartition(".")[2] in _PASSWORD_KEYS
        and isinstance(text, str)
        and not os.path.isfile(os.path.expanduser(text))
    ]


def _logging_mistakes(content: object) -> list[str]:
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
    handlers = _as_object(content.get("handlers"))
    loggers = {f"loggers.{name}": item for name, item in _as_object(content.get("loggers")).items()}
    for name, item in {**loggers, "root": content.get("root")}.items():
        for place, handler in enumerate(_as_list(_as_object(item).get("handlers"))):
            if not isinstance(handler, str) or handler not in handlers:
                where = f"Logging.{name}.handlers[{place}]"
                mistakes.append(f"{where}: {json.dumps(handler)} is not among Logging.handlers")
    return mistakes


def _own_settings(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `Sensor` object of an entry, empty if there is none."""
    return _as_object(entry.get("Sensor"))


def _as_object(value: object) -> dict[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _as_list(value: object) -> list[Any]:
    """Return the value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []
