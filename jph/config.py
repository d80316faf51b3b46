"""The configuration of the network: loaded and checked once, frozen, and passed down.

The fields of these classes are the only place of keys, defaults and bounds; `jph.schema`, which
finds every mistake at once, makes its models of them.
"""

import contextlib
import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from jph import document, registry
from jph.bus import wire
from jph.bus.group import Group, Multicast
from jph.check import check_once
from jph.clock import time_now_ms
from jph.errors import ConfigError
from jph.host import is_same_host
from jph.host import this_host as this_host
from jph.reporting import Report
from jph.settings import arguments, setting, settings_of

log = logging.getLogger(__name__)

RETRY_FIRST_S = 1.0
RETRY_CAP_S = 60.0

DataType = Literal["float", "double", "integer", "bool", "string", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The whole JSON document."""

    multicast: Multicast = setting(doc="the two channels")
    logging: Mapping[str, Any] | None = setting(None, doc="for logging.config.dictConfig")
    sensors: tuple[Mapping[str, object], ...] = setting(doc="the components")


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One entry of `Sensors`.

    Args:
        type: its present name, such as Pipe for TempLinux.
        type_name: its name as it was written.
        settings: the type's own settings, with those that an older name implies.
        entry: the JSON object as it stands.
        index: its place in the list.
    """

    codifier: str = setting(doc="two printable ASCII characters, not @@, unique in the network")
    short_name: str = setting("", doc="name where there is little room; absent: Codifier")
    name: str = setting("", doc="name for people; absent: ShortName")
    symbol: str = setting("", doc="unit of the value")
    type: str = setting(doc="what it is")
    type_name: str = ""
    data_type: DataType = setting("float", doc="kind of value")
    active: bool = setting(True, doc="whether it begins active, or halted")
    keep_alive_interval_s: float = setting(60.0, gt=0, doc="time between signs of life, s")
    sensor_interval_s: float | None = setting(
        None, gt=0, doc="time between readings or calls of the timer, s"
    )
    timeout_warning_s: float | None = setting(
        None, ge=0, doc="silence after which people are told, s; 0: as if absent"
    )
    control_enabled: bool = setting(
        False,
        key="Control",
        form=Literal["enabled", "disabled"],
        doc="whether it may be set (A) and stepped (E)",
    )
    host: str | None = setting(None, doc="name of the node that runs it; absent: any")
    report: Report | None = setting(None, doc="which readings are sent, and in what unit")
    settings: Mapping[str, object] = setting({}, key="Sensor", doc="the type's own settings")
    entry: Mapping[str, object] = setting({})
    index: int = 0

    def __post_init__(self) -> None:
        """Let the names stand in for each other."""
        put = object.__setattr__  # what frozen dataclasses themselves use
        put(self, "short_name", self.short_name or self.codifier)
        put(self, "name", self.name or self.short_name)
        put(self, "type_name", self.type_name or self.type)

    def proxies(self) -> tuple[str, ...]:
        """Return the Codifiers that it sends data for, beside its own."""
        return tuple(codifier for _, codifier in proxies_of(self.settings) if codifier)

    def runs_on(self, host: str) -> bool:
        """Tell whether a host may run it."""
        return not self.host or is_same_host(self.host, host)


# Fields of Component that are no keys of its JSON object.
DERIVED = frozenset({"type_name", "entry", "index"})


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of the whole network.

    Args:
        control, data: the two channels.
        logging: a document for logging.config.dictConfig, if there is one.
        components: by Codifier, in the order of the document.
        document: the JSON document.
        source: file or URL it was read from.
        loaded_ms: when.
        warnings: what the check found odd, one line each.
        stale: the URL could not be fetched; this is the last good copy of it.
    """

    control: Group
    data: Group
    logging: Mapping[str, Any] | None = None
    components: Mapping[str, Component] = field(default_factory=dict)
    document: Mapping[str, object] = field(default_factory=dict)
    source: str = ""
    loaded_ms: int = 0
    warnings: tuple[str, ...] = ()
    stale: bool = False

    @property
    def multicast(self) -> Multicast:
        """Return both channels."""
        return Multicast(self.control, self.data)

    def first(self, type: str) -> Component | None:
        """Return the first component of a type, by its present name, or None."""
        return next((c for c in self.components.values() if c.type == type), None)


def load(
    source: str | Path,
    home: Path,
    *,
    wait: bool = False,
    port: int | None = None,
    stop: threading.Event | None = None,
) -> Config:
    """Return the configuration, checked in full.

    While a URL cannot be fetched, its last good copy in the home directory takes its place.

    Args:
        source: path or http(s) URL of the document.
        home: for copies and for what was checked; it may be missing or read-only.
        wait: without a copy, try the URL until it answers.
        port: replaces the Port of the first Web component.
        stop: ends the waiting, with ConfigError.

    Raises:
        ConfigError: the document cannot be had, or names all its mistakes.
    """
    where = str(source)
    if not document.is_url(where):
        return _checked(document.read(where), where, home, port)
    if document.holds_password(where):
        raise ConfigError("the URL of the configuration must not hold a password")
    try:
        return _fetched(where, home, port)
    except document.Unreachable as error:
        found = _from_copy(where, home, port, str(error))
        if found is None and not wait:
            raise
        reason = str(error)
    return found or _await(where, home, port, reason, stop or threading.Event())


def build(content: object, source: str = "", *, warnings: tuple[str, ...] = ()) -> Config:
    """Turn a parsed document into a configuration, with the checks that this takes and no more.

    Raises:
        ConfigError: names the mistakes it met.
    """
    if not isinstance(content, dict):
        raise ConfigError("the document must be an object", source)
    mistakes: list[str] = []
    with _collected(mistakes):
        top = Document(**_arguments(Document, content, ""))
        mistakes += channel_mistakes(content.get("Multicast"))
    components: dict[str, Component] = {}
    entries = content.get("Sensors")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            with _collected(mistakes):
                found = _component(entry, index)
                other = components.setdefault(found.codifier, found)
                if other is not found:
                    mistakes.append(duplicate(found.codifier, index, other.index))
    if mistakes:
        raise ConfigError(mistakes, source)
    return Config(
        top.multicast.control,
        top.multicast.data,
        top.logging,
        MappingProxyType(components),
        content,
        source,
        time_now_ms(),
        warnings,
    )


def channel_mistakes(multicast: object) -> list[str]:
    """Return what is wrong with the JSON object of the channels beyond the kind of each value."""
    mistakes = []
    seen = []
    for channel in settings_of(Multicast):
        group = multicast.get(channel.key) if isinstance(multicast, dict) else None
        address, port = (
            (group.get("Address"), group.get("Port")) if isinstance(group, dict) else (None, None)
        )
        if isinstance(address, str) and not _is_multicast(address):
            mistakes.append(
                f"Multicast.{channel.key}.Address: must be an IPv4 multicast address,"
                " 224.0.0.0 to 239.255.255.255"
            )
        if address is not None and (address, port) in seen:
            mistakes.append(
                f"Multicast.{channel.key}: must differ from the other in Address or Port"
            )
        seen.append((address, port))
    return mistakes


def codifier_mistake(codifier: str, index: int) -> str | None:
    """Return what is wrong with the form of a Codifier, if anything."""
    if wire.is_codifier(codifier):
        return None
    return (
        f'Sensors[{index}].Codifier: must be two printable ASCII characters, not "@@";'
        f" it is {codifier!a}"
    )


def duplicate(codifier: str, index: int, other: int) -> str:
    """Say that two components have one Codifier."""
    return f'Sensors[{index}].Codifier: Codifier "{codifier}" is also used by Sensors[{other}]'


def proxies_of(settings: Mapping[str, object]) -> Iterator[tuple[int, str | None]]:
    """Yield place and Codifier of each item of a Proxy list; None for one without a Codifier."""
    items = settings.get("Proxy")
    for place, item in enumerate(items if isinstance(items, list) else ()):
        codifier = item.get("Codifier") if isinstance(item, Mapping) else None
        yield place, codifier if isinstance(codifier, str) else None


def server_named(settings: Mapping[str, object]) -> str | None:
    """Return who sends the values of a proxy, as its settings say; in older ones by `Codifier`."""
    named = settings.get("Server") or settings.get("Codifier")
    return named if isinstance(named, str) else None


def _checked(text: bytes, source: str, home: Path, port: int | None) -> Config:
    content = document.parse(text, source)
    warnings = check_once(text, content, source, home)
    if port is not None:
        _set_port(content, port)
    return build(content, source, warnings=warnings)


def _fetched(url: str, home: Path, port: int | None) -> Config:
    text = document.read(url)
    config = _checked(text, url, home, port)
    try:
        document.keep(document.copy_of(url, home), text)
    except OSError as error:
        log.warning("no copy of %s is kept: %s", url, error)
    return config


def _from_copy(url: str, home: Path, port: int | None, reason: str) -> Config | None:
    copy = document.copy_of(url, home)
    try:
        fetched_s = copy.stat().st_mtime
        config = _checked(copy.read_bytes(), url, home, port)
    except FileNotFoundError:
        return None
    except (OSError, ConfigError) as error:
        log.warning("the last good copy of %s cannot be used: %s", url, error)
        return None
    log.warning("%s; using its last good copy, fetched %s", reason, _ago(time.time() - fetched_s))
    return replace(config, stale=True)


def _await(url: str, home: Path, port: int | None, reason: str, stop: threading.Event) -> Config:
    from random import uniform

    log.warning("%s; there is no copy of it yet, so it is tried until it answers", reason)
    began = time.monotonic()
    pause_s = RETRY_FIRST_S
    while not stop.wait(uniform(pause_s / 2, pause_s)):
        pause_s = min(2 * pause_s, RETRY_CAP_S)
        try:
            config = _fetched(url, home, port)
        except document.Unreachable as error:
            log.debug("%s", error)
        else:
            log.info("%s answered after %.0f s", url, time.monotonic() - began)
            return config
    raise ConfigError("was waited for until it was time to stop", url)


def _ago(age_s: float) -> str:
    """Say how long ago, in the largest unit that fits."""
    for unit, length_s in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if age_s >= 2 * length_s:
            return f"{age_s / length_s:.0f} {unit} ago"
    return f"{age_s:.0f} seconds ago" if age_s >= 0 else "in the future, says the clock"


def _component(entry: dict[str, object], index: int) -> Component:
    given = _arguments(Component, entry, f"Sensors[{index}]", DERIVED)
    mistake = codifier_mistake(str(given["codifier"]), index)
    if mistake:
        raise ConfigError(mistake)
    type_name = str(given["type"])
    settings = given.get("settings", {})
    assert isinstance(settings, dict)
    return Component(
        **{
            **given,
            "type": registry.current(type_name),
            "type_name": type_name,
            "control_enabled": given.get("control_enabled") == "enabled",
            "timeout_warning_s": given.get("timeout_warning_s") or None,
            "host": given.get("host") or None,
            "settings": {**registry.preset(type_name), **settings},
            "entry": entry,
            "index": index,
        }
    )


def _arguments(
    cls: type, content: Mapping[str, object], path: str, without: frozenset[str] = frozenset()
) -> dict[str, Any]:
    return arguments(cls, content, path, without=without)


@contextlib.contextmanager
def _collected(mistakes: list[str]) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        mistakes.extend(error.mistakes)


def _set_port(content: object, port: int) -> None:
    entries = content.get("Sensors") if isinstance(content, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and registry.current(str(entry.get("Type"))) == "Web":
            settings = entry.get("Sensor")
            entry["Sensor"] = {**(settings if isinstance(settings, dict) else {}), "Port": port}
            return
    log.warning("port %d is of no use: the configuration has no Web component", port)


def _is_multicast(address: str) -> bool:
    parts = address.split(".")
    if len(parts) != 4 or not all(re.fullmatch("0|[1-9][0-9]{0,2}", part) for part in parts):
        return False
    return 224 <= int(parts[0]) <= 239 and all(int(part) <= 255 for part in parts)
