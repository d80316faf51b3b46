"""What Home Assistant is told of the components of a network. Pure, no I/O.

MQTT discovery in the form of devices: a component and its proxies are one device, whose retained
message lists an entity for each of them. Source: Home Assistant, MQTT integration, "Device
discovery payload", and the pages of its entities sensor, binary_sensor, number and switch.
"""

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jph.bus.wire import Value
from jph.config.model import Component, Config
from jph.config.silence import interval_s, timeout_s
from jph.config.status import SERVICES
from jph.node.outcome import limits

ONLINE, OFFLINE = "online", "offline"
ON, OFF = "ON", "OFF"
LONGEST_TEXT = 255  # of a state of Home Assistant
WIDEST = 1e6  # of a number that has no limits; Home Assistant takes 1 to 100 unless it is told

# A class of device for each unit that leaves no doubt: "%" may be humidity, a battery, or a duty.
DEVICE_CLASSES = {
    **dict.fromkeys(("°C", "°F", "K"), "temperature"),
    **dict.fromkeys(("W", "kW", "MW"), "power"),
    **dict.fromkeys(("Wh", "kWh", "MWh"), "energy"),
    **dict.fromkeys(("V", "mV"), "voltage"),
    **dict.fromkeys(("A", "mA"), "current"),
    **dict.fromkeys(("Pa", "hPa", "kPa", "mbar", "bar"), "pressure"),
    **dict.fromkeys(("Hz", "kHz", "MHz", "GHz"), "frequency"),
    **dict.fromkeys(("dB", "dBA"), "sound_pressure"),
    "VA": "apparent_power",
    "lx": "illuminance",
    "m/s": "wind_speed",
    "km/h": "speed",
    "W/m²": "irradiance",
    "m³/h": "volume_flow_rate",
}
# Of these Home Assistant takes no momentary values.
COUNTING = frozenset({"energy"})


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one network.

    Args:
        base: of states and commands.
        prefix: of discovery, as it is set in Home Assistant.
    """

    base: str = "jph"
    prefix: str = "homeassistant"

    @property
    def status(self) -> str:
        """Whether this gateway is there."""
        return f"{self.base}/status"

    @property
    def birth(self) -> str:
        """Where Home Assistant tells that it is there."""
        return f"{self.prefix}/status"

    @property
    def commands(self) -> str:
        """The filter of all commands."""
        return f"{self.base}/+/set"

    def state(self, codifier: str) -> str:
        """Where the values of a component are."""
        return f"{self.base}/{code(codifier)}/state"

    def availability(self, codifier: str) -> str:
        """Where it is told whether a component works."""
        return f"{self.base}/{code(codifier)}/status"

    def command(self, codifier: str) -> str:
        """Where commands to a component come."""
        return f"{self.base}/{code(codifier)}/set"

    def config(self, codifier: str) -> str:
        """Where a device is announced."""
        return f"{self.prefix}/device/{self.identifier(codifier)}/config"

    @property
    def announced(self) -> str:
        """The filter of all announced devices, of others, too."""
        return f"{self.prefix}/device/+/config"

    def is_ours(self, topic: str) -> bool:
        """Tell whether a topic announces, or announced, a device of this network."""
        start, end = f"{self.prefix}/device/{self.base}_", "/config"
        return topic.startswith(start) and topic.endswith(end)

    def identifier(self, codifier: str) -> str:
        """Return what identifies a component in Home Assistant."""
        return f"{self.base}_{code(codifier)}"


def code(codifier: str) -> str:
    """Return a Codifier for topics and identifiers, which take letters, digits, _ and - only."""
    return codifier if codifier.isalnum() else f"x{codifier.encode().hex()}"


@dataclass(frozen=True, slots=True)
class Announcement:
    """All that is announced.

    Args:
        entities: Codifiers of the components that are.
        configs: by topic.
        commands: the component that each topic of commands is for.
    """

    entities: Collection[str] = ()
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    commands: Mapping[str, Component] = field(default_factory=dict)


def announce(config: Config, chosen: Collection[str], topics: Topics, version: str) -> Announcement:
    """Return what is announced of the chosen components of a configuration."""
    components = config.components
    devices: dict[str, list[Component]] = {}
    for codifier in components:  # in the order of the document
        if codifier in chosen:
            component = components[codifier]
            devices.setdefault(component.server or codifier, []).append(component)
    configs: dict[str, Mapping[str, Any]] = {}
    commands: dict[str, Component] = {}
    for server, entities in devices.items():
        device = _device(components[server], topics)
        configs[topics.config(server)] = {
            "device": device,
            "origin": {"name": "JPH", "sw_version": version},
            "availability_mode": "all",
            "qos": 1,
            "components": {
                code(c.codifier): entity(c, components.get(c.server or ""), topics)
                for c in entities
            },
        }
        commands |= {topics.command(c.codifier): c for c in entities if is_controllable(c)}
    names = {component.codifier for entities in devices.values() for component in entities}
    return Announcement(names, configs, commands)


def choose(
    config: Config, codifiers: Collection[str], labels: Collection[str], areas: Collection[str]
) -> list[str]:
    """Return the Codifiers that are named, or have one of the labels, or are in one of the areas.

    Where nothing is asked for, all that measures or acts.
    """
    everything = not (codifiers or labels or areas)
    return [
        codifier
        for codifier, component in config.components.items()
        if codifier in codifiers
        or not set(labels).isdisjoint(component.labels)
        or any(component.area == area or component.area.startswith(f"{area}/") for area in areas)
        or (everything and component.type not in SERVICES)
    ]


def is_controllable(component: Component) -> bool:
    """Tell whether Home Assistant may set it."""
    return component.control_enabled and component.data_type not in ("string", "json")


def entity(component: Component, server: Component | None, topics: Topics) -> dict[str, Any]:
    """Return the entity that a component is."""
    codifier = component.codifier
    result: dict[str, Any] = {
        "platform": _platform(component),
        "unique_id": topics.identifier(codifier),
        "name": component.name if server else None,  # None: it has the name of its device
        "state_topic": topics.state(codifier),
        "availability": [{"topic": topics.status}, {"topic": topics.availability(codifier)}],
    }
    if is_controllable(component):
        result["command_topic"] = topics.command(codifier)
        if result["platform"] == "number":
            result |= _limits(component)
            result["step"] = 1 if component.data_type == "integer" else 0.001
    elif interval_s(component, server) is not None or component.timeout_warning_s:
        result["expire_after"] = math.ceil(timeout_s(component, server))
    if result["platform"] in ("sensor", "number") and _is_number(component):
        if component.symbol:
            result["unit_of_measurement"] = component.symbol
        device_class = DEVICE_CLASSES.get(component.symbol)
        if device_class in COUNTING and not component.is_counter:
            device_class = None
        if device_class:
            result["device_class"] = device_class
        if result["platform"] == "sensor":
            result["state_class"] = "total_increasing" if component.is_counter else "measurement"
    return result


def removals(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the message that takes away entities which a device had, None if it lost none.

    An entity goes when the device names it with nothing but its platform; the next message leaves
    it out.
    """
    had, has = before.get("components"), after["components"]
    if not isinstance(had, dict):
        return None
    # An entity that becomes another kind is a new one under its old key.
    gone = {
        key: {"platform": entry["platform"]}
        for key, entry in had.items()
        if isinstance(entry, dict)
        and isinstance(entry.get("platform"), str)
        and entry["platform"] != has.get(key, {}).get("platform")
    }
    if not gone:
        return None
    stays = {key: entry for key, entry in has.items() if key not in gone}
    return {**after, "components": stays | gone}


def payload(value: Value, component: Component) -> str:
    """Return a value as the text of a state."""
    if isinstance(value, dict):
        value = value.get("value", json.dumps(value))  # type: ignore[assignment]
    if component.data_type == "bool" and isinstance(value, int | float):
        return ON if value else OFF
    if isinstance(value, float):
        return f"{value:.9g}" if component.data_type == "float" else repr(value)
    return str(value)[:LONGEST_TEXT]


def number_of_command(text: str, component: Component) -> float:
    """Return the number that a command sets.

    Raises:
        ValueError: it is none, or outside of the limits of the component.
    """
    if component.data_type == "bool":
        if text not in (ON, OFF):
            raise ValueError(f"neither {ON} nor {OFF}")
        return float(text == ON)
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    low, high = _limits(component).values()
    if not low <= number <= high:
        raise ValueError(f"not within {low:g} and {high:g}")
    return number


def announced_before(texts: Iterable[tuple[str, bytes]]) -> dict[str, Mapping[str, Any]]:
    """Return the devices that retained messages announce, by topic; {} for what is no JSON."""
    result: dict[str, Mapping[str, Any]] = {}
    for topic, text in texts:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = {}
        result[topic] = found if isinstance(found, dict) else {}
    return result


def _device(component: Component, topics: Topics) -> dict[str, Any]:
    device: dict[str, Any] = {
        "identifiers": [topics.identifier(component.codifier)],
        "name": component.name,
        "manufacturer": "JPH",
        "model": component.type,
        "serial_number": component.codifier,
    }
    if component.area:
        device["suggested_area"] = component.area
    return device


def _platform(component: Component) -> str:
    if is_controllable(component):
        return "switch" if component.data_type == "bool" else "number"
    return "binary_sensor" if component.data_type == "bool" else "sensor"


def _is_number(component: Component) -> bool:
    return component.data_type in ("float", "double", "integer")


def _limits(component: Component) -> dict[str, float]:
    low, high = limits(component)
    return {"min": -WIDEST if low is None else low, "max": WIDEST if high is None else high}
