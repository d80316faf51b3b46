"""The configuration of the network as frozen values: the whole document, and its components.

The fields of these classes, and of the classes of components, are the only place of keys, defaults
and bounds: `jph.config.checks` finds mistakes by them, `jph.config.schema` describes them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from jph import registry
from jph.bus import wire
from jph.bus.group import Multicast
from jph.clock import time_now_ms
from jph.config.host import is_same_host
from jph.config.report import Report
from jph.errors import ConfigError
from jph.settings import arguments, setting, settings_of

# Units of what meters count. Not mm or l, in which levels are measured, too.
COUNTED = frozenset({"Wh", "kWh", "MWh", "GWh", "VAh", "kVAh", "varh", "kvarh", "m³", "m3"})
DataType = Literal["float", "double", "integer", "bool", "string", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The whole JSON document."""

    name: str = setting("", doc="name of the network, which the pages show")
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
        server: Codifier of the component that sends its values, if it is a proxy.
        serves: Codifiers that it sends values for, beside its own.
    """

    codifier: str = setting(doc="two printable ASCII characters, not @@, unique in the network")
    short_name: str = setting("", doc="name where there is little room; absent: Codifier")
    name: str = setting("", doc="name for people; absent: ShortName")
    symbol: str = setting("", doc="unit of the value", title="Unit")
    type: str = setting(doc="kind of component")
    type_name: str = ""
    data_type: DataType = setting("float", doc="kind of value", title="Kind of value")
    active: bool = setting(True, doc="whether it begins active, or halted", title="Begins active")
    keep_alive_interval_s: float = setting(
        60.0, gt=0, doc="time between signs of life, s", title="Sign of life every"
    )
    sensor_interval_s: float | None = setting(
        None, gt=0, doc="time between readings or calls of the timer, s", title="Reading every"
    )
    timeout_warning_s: float | None = setting(
        None,
        ge=0,
        doc="silence after which the pages show it as silent, s; 0: as if absent",
        title="Counts as silent after",
    )
    control_enabled: bool = setting(
        False,
        key="Control",
        form=Literal["enabled", "disabled"],
        doc="whether it may be set (A) and stepped (E)",
        title="Can be set",
    )
    host: str | None = setting(
        None, doc="name of the node that runs it; absent: any", title="Runs on the machine"
    )
    area: str = setting("", doc="where it is, such as Greenhouse/North")
    labels: tuple[str, ...] = setting((), doc="words that pages group and filter by")
    counter: bool | None = setting(
        None,
        doc="whether its value counts up, so that there are totals per day; absent: by its unit",
    )
    report: Report | None = setting(
        None, doc="which readings are sent, and in what unit", title="Which readings are sent"
    )
    settings: Mapping[str, object] = setting({}, key="Sensor", doc="the type's own settings")
    entry: Mapping[str, object] = setting({})
    index: int = 0
    server: str | None = None
    serves: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Let the names stand in for each other."""
        put = object.__setattr__  # what frozen dataclasses themselves use
        put(self, "short_name", self.short_name or self.codifier)
        put(self, "name", self.name or self.short_name)
        put(self, "type_name", self.type_name or self.type)

    @property
    def is_counter(self) -> bool:
        """Whether its value counts up: as `Counter` says, else by its unit."""
        return self.symbol in COUNTED if self.counter is None else self.counter

    def runs_on(self, host: str) -> bool:
        """Tell whether a host may run it."""
        return not self.host or is_same_host(self.host, host)


# Fields of Component that are no keys of its JSON object.
DERIVED = frozenset({"type_name", "entry", "index", "server", "serves"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of the whole network.

    Args:
        logging: a document for logging.config.dictConfig, if there is one.
        components: by Codifier, in the order of the document.
        warnings: of the check, one line each.
        stale: the URL could not be fetched; this is the last good copy of it.
    """

    multicast: Multicast
    logging: Mapping[str, Any] | None = None
    components: Mapping[str, Component] = field(default_factory=dict)
    document: Mapping[str, object] = field(default_factory=dict)
    source: str = ""
    loaded_ms: int = 0
    warnings: tuple[str, ...] = ()
    stale: bool = False

    def first(self, type: str) -> Component | None:
        """Return the first component of a type, by its present name, or None."""
        return next((c for c in self.components.values() if c.type == type), None)

    def server_of(self, component: Component) -> Component | None:
        """Return the component that sends the values of a proxy; None if it is no proxy."""
        return self.components.get(component.server) if component.server else None


def build(content: object, source: str = "", *, warnings: tuple[str, ...] = ()) -> Config:
    """Turn a parsed document into a configuration.

    Raises:
        ConfigError: names the mistakes of its structure; `jph.config.checks` finds the others.
    """
    document, components, mistakes = read(content)
    if document is None or mistakes or not isinstance(content, Mapping):
        raise ConfigError(mistakes, source)
    return Config(
        multicast=document.multicast,
        logging=document.logging,
        components=MappingProxyType(with_servers(components)),
        document=content,
        source=source,
        loaded_ms=time_now_ms(),
        warnings=warnings,
    )


def read(content: object) -> tuple[Document | None, dict[str, Component], list[str]]:
    """Return document and components as far as they can be read, and the mistakes of structure.

    `Sensor` objects, and components that name each other, are not checked here.
    """
    if not isinstance(content, dict):
        return None, {}, ["the document must be an object"]
    mistakes: list[str] = []
    document = None
    try:
        given: dict[str, Any] = arguments(Document, content, "", without=frozenset())
        document = Document(**given)
    except ConfigError as error:
        mistakes += error.mistakes
    mistakes += _channel_mistakes(content.get("Multicast"))
    components: dict[str, Component] = {}
    places: dict[str, int] = {}  # of each Codifier, the first
    entries = content.get("Sensors")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if not isinstance(entry, dict):
            continue
        mistakes += _codifier_mistakes(entry.get("Codifier"), index, places)
        try:
            component = _component(entry, index)
        except ConfigError as error:
            mistakes += error.mistakes
        else:
            components.setdefault(component.codifier, component)
    return document, components, mistakes


def with_servers(components: Mapping[str, Component]) -> dict[str, Component]:
    """Return components that know who sends for whom.

    A component lists its proxies in `Proxy`. A calculation may do without the list; then the
    proxies name it. A proxy without an area, or without labels, has those of its server.
    """
    servers: dict[str, str] = {}
    for codifier, component in components.items():
        for _, proxy in proxies_of(component.settings):
            if proxy is not None:
                servers.setdefault(proxy, codifier)
    for codifier, component in components.items():
        named = server_named(component.settings) if component.type == "Proxy" else None
        if named is not None and named in components:
            servers.setdefault(codifier, named)
    serves: dict[str, list[str]] = {}
    for proxy, server in servers.items():
        serves.setdefault(server, []).append(proxy)
    found: dict[str, Component] = {}
    for codifier, component in components.items():
        sender = components.get(servers.get(codifier, ""))
        found[codifier] = replace(
            component,
            server=servers.get(codifier),
            serves=tuple(serves.get(codifier, ())),
            area=component.area or (sender.area if sender else ""),
            labels=component.labels or (sender.labels if sender else ()),
        )
    return found


def proxies_of(settings: Mapping[str, object]) -> Iterator[tuple[int, str | None]]:
    """Yield place and Codifier of each item of a Proxy list; None for one without a Codifier."""
    items = settings.get("Proxy")
    for place, item in enumerate(items if isinstance(items, list) else ()):
        codifier = item.get("Codifier") if isinstance(item, Mapping) else None
        yield place, codifier if isinstance(codifier, str) else None


def server_named(settings: Mapping[str, object]) -> str | None:
    """Return the server that a proxy's settings name; older ones name it by `Codifier`."""
    named = settings.get("Server") or settings.get("Codifier")
    return named if isinstance(named, str) else None


def _channel_mistakes(multicast: object) -> list[str]:
    """Return the mistakes in the JSON object of the channels beyond the kind of each value."""
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


def _is_multicast(address: str) -> bool:
    parts = address.split(".")
    if len(parts) != 4 or not all(re.fullmatch("0|[1-9][0-9]{0,2}", part) for part in parts):
        return False
    return 224 <= int(parts[0]) <= 239 and all(int(part) <= 255 for part in parts)


def _codifier_mistakes(codifier: object, index: int, places: dict[str, int]) -> list[str]:
    """Return the mistakes of a Codifier beyond its kind: its form, or that it is taken."""
    if not isinstance(codifier, str):
        return []
    if not wire.is_codifier(codifier):
        return [
            f'Sensors[{index}].Codifier: must be two printable ASCII characters, not "@@";'
            f" it is {codifier!a}"
        ]
    first = places.setdefault(codifier, index)
    if first != index:
        return [
            f'Sensors[{index}].Codifier: Codifier "{codifier}" is also used by Sensors[{first}]'
        ]
    return []


def _component(entry: dict[str, object], index: int) -> Component:
    given: dict[str, Any] = arguments(Component, entry, f"Sensors[{index}]", without=DERIVED)
    type_name = given["type"]
    return Component(
        **{
            **given,
            "type": registry.current(type_name),
            "type_name": type_name,
            "control_enabled": given.get("control_enabled") == "enabled",
            "timeout_warning_s": given.get("timeout_warning_s") or None,
            "host": given.get("host") or None,
            "area": _area(given.get("area", "")),
            "labels": tuple(dict.fromkeys(filter(None, map(str.strip, given.get("labels", ()))))),
            "settings": {**registry.preset(type_name), **given.get("settings", {})},
            "entry": entry,
            "index": index,
        }
    )


def _area(text: str) -> str:
    """Return an area without blanks around its parts, and without empty parts."""
    return "/".join(part for part in map(str.strip, text.split("/")) if part)
