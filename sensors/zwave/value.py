"""Which value of a Z-Wave node a configuration means.

Older configurations name it as OpenZWave numbered it: an index and an instance. zwave-js names it
by command class, endpoint, property and property key. Of an index without a command class only
sensors and meters are meant:

    Meter (50)                index = 4 * scale: 0 kWh, 4 kVAh, 8 W, 12 pulses, 16 V, 20 A; what is
                              consumed, not produced. Its property key is 65536 * kind of meter
                              + 256 * scale + rate, so that 66049 is W and 65537 kWh.
    Multilevel Sensor (49)    index = type of sensor: 1 temperature, 3 light, 4 power, 5 humidity, …
    Binary Sensor (48)        index 0

in this order, where a node has several of them. Instance n is endpoint n - 1, or n where the node
has the value only there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jph.settings import setting
from jph.tcp import plain

BINARY_SENSOR, MULTILEVEL_SENSOR, METER = 48, 49, 50
_SENSORS = (METER, MULTILEVEL_SENSOR, BINARY_SENSOR)
_PRESENT = ("currentValue", "value", "level")  # properties that hold the state of a device
_INDEX = "as OpenZWave numbers it, or the name of a property"

Node = Mapping[str, object]
NodeValue = Mapping[str, object]


@dataclass(slots=True)
class ValueOf:
    """Which value of a node belongs to a component or a proxy."""

    codifier: str = setting(key="Codifier", doc="the proxy")
    node: int = setting(key="node", ge=1, doc="number of the device")
    index: int | str | None = setting(None, key="index", ge=0, doc=_INDEX)
    instance: int = setting(1, key="instance", ge=1, doc="part of the device, 1 for the first")
    command_class: int | None = setting(None, ge=0, le=0xFFFF, doc="number of the command class")
    endpoint: int | None = setting(None, ge=0, doc="instead of instance")
    property: int | str | None = setting(None, doc="instead of index")
    property_key: int | str | None = setting(None, doc="where a property has several values")

    def __post_init__(self) -> None:
        if self.index is None and self.property is None:
            raise ValueError("index: is required, or Property")
        if isinstance(self.index, str) and self.index.isdecimal():
            self.index = int(self.index)  # as older configurations have it

    def __str__(self) -> str:
        """Name the value as the configuration does."""
        given = {
            "index": self.index,
            "instance": self.instance if self.endpoint is None else None,
            "CommandClass": self.command_class,
            "Endpoint": self.endpoint,
            "Property": self.property,
            "PropertyKey": self.property_key,
        }
        words = [f"{key} {value}" for key, value in given.items() if value is not None]
        return f"node {self.node}, {', '.join(words)}"


def find(values: Iterable[NodeValue], wanted: ValueOf) -> NodeValue | None:
    """Return the value that is wanted among those of its node, or None."""
    values = readable(values)
    places = (
        [wanted.instance - 1, wanted.instance] if wanted.endpoint is None else [wanted.endpoint]
    )
    for endpoint in places:
        ranked = []
        for number, value in enumerate(values):
            if (value.get("endpoint") or 0) == endpoint:
                rank = _rank(value, wanted)
                if rank is not None:
                    ranked.append((rank, number))
        if ranked:
            return values[min(ranked)[1]]
    return None


def readable(values: Iterable[NodeValue]) -> list[NodeValue]:
    """Return the values that can be read; the reset of a meter has the meter's property key."""
    return [value for value in values if _metadata(value).get("readable") is not False]


def id_of(value: NodeValue) -> dict[str, object]:
    """Return what names a value to the server."""
    keys = ("commandClass", "endpoint", "property", "propertyKey")
    return {key: value[key] for key in keys if value.get(key) is not None}


def choices(values: Iterable[NodeValue]) -> str:
    """Return the sensors and meters of a node, for people."""
    found = [
        plain(" ".join(str(part)[:40] for part in id_of(value).values()))
        for value in readable(values)
        if value.get("commandClass") in _SENSORS
    ]
    if not found:
        return "it has no sensor and no meter"
    more = ", …" if len(found) > 8 else ""
    return f"it has (CommandClass Endpoint Property PropertyKey) {', '.join(found[:8])}{more}"


def _rank(value: NodeValue, wanted: ValueOf) -> int | None:
    """Tell how well a value fits, 0 best; None: not at all."""
    kind = value.get("commandClass")
    if wanted.command_class is not None and kind != wanted.command_class:
        return None
    if wanted.property is not None:
        if not _same(value.get("property"), wanted.property):
            return None
        if wanted.property_key is None:
            return 0 if value.get("propertyKey") is None else 1
        return 0 if _same(value.get("propertyKey"), wanted.property_key) else None
    if wanted.command_class is None and kind not in _SENSORS:
        return None
    if isinstance(wanted.index, str):
        names = ("property", "propertyName", "propertyKeyName")
        return 0 if any(_same(value.get(name), wanted.index) for name in names) else None
    assert wanted.index is not None
    return _rank_of_index(value, kind, wanted.index)


def _rank_of_index(value: NodeValue, kind: object, index: int) -> int | None:
    if value.get("propertyKey") == index or value.get("property") == index:
        return 0
    if kind == METER:
        scale, rate = _meter(value)
        is_it = scale is not None and 4 * scale == index and rate in (0, 1)
        return 2 - rate if is_it and rate is not None else None
    if kind == MULTILEVEL_SENSOR:
        specific = _mapping(_metadata(value).get("ccSpecific"))
        return 3 if specific.get("sensorType") == index else None
    if kind == BINARY_SENSOR:
        return 4 if index == 0 else None
    return 5 if index == 0 and value.get("property") in _PRESENT else None


def _meter(value: NodeValue) -> tuple[int | None, int | None]:
    """Return the scale and the rate (1 consumed, 2 produced, 0 unknown) of a meter's value."""
    key = value.get("propertyKey")
    if value.get("property") != "value" or not isinstance(key, int):
        return None, None
    return key >> 8 & 0xFF, key & 0xFF


def _metadata(value: NodeValue) -> Mapping[str, object]:
    return _mapping(value.get("metadata"))


def _mapping(found: object) -> Mapping[str, object]:
    return found if isinstance(found, Mapping) else {}


def _same(found: object, said: int | str) -> bool:
    return found is not None and str(found).casefold() == str(said).casefold()
