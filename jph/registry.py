"""The types of components: their names, older names, and the class of each.

A class is imported when it is used, so that no component needs the driver of another. Other
packages add types by an entry point of the group `jph.types`: its name is the type, its value
`module:Class`. They are looked up only where a type is not in the table, because that costs a
small node several MB.
"""

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from jph.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "jph.types"

# Type to "module:Class"; None: known, so that a network with it loads, but not in this version.
TYPES: Mapping[str, str | None] = {
    "Pipe": "sensors.pipe:Pipe",
    "JSON": "sensors.json_http:JsonHttp",
    "OneWire": "sensors.one_wire:OneWire",
    "ADCPi": "sensors.adc_pi:AdcPi",
    "AM2302": "sensors.am2302:Am2302",
    "Dwarfpool": "sensors.dwarfpool:Dwarfpool",
    "Nest": "sensors.nest:Nest",
    "Zwave": "sensors.zwave.component:Zwave",
    "Python": "sensors.calculation.component:Python",
    "Formula": "sensors.formula:Formula",
    "SetPoint": "sensors.set_point:SetPoint",
    "Simulated": "sensors.simulated:Simulated",
    "Fan": "sensors.fan:Fan",
    "StateCache": "collectors.state_cache:StateCache",
    "HistoryWriter": "collectors.history_writer:HistoryWriter",
    "Statistics": "collectors.statistics:Statistics",
    "Alerts": "collectors.alerts.component:Alerts",
    "Broker": "gateways.broker.component:Broker",
    "Tenta": "gateways.tenta.component:Tenta",
    "TentaExamples": "gateways.tenta.examples.component:TentaExamples",
    "Esp32": "gateways.esp32.component:Esp32",
    "Esp32Examples": "gateways.esp32.examples.component:Esp32Examples",
    "IotTalk": "gateways.iottalk.component:IotTalk",
    "IotTalkExamples": "gateways.iottalk.examples.component:IotTalkExamples",
    "HomeAssistant": "gateways.home_assistant.component:HomeAssistant",
    "Router": None,
    "Web": "web.service:Web",
    "Proxy": None,
    "ControlProgram": None,
    "External": None,
}

# They stand in the configuration for their names: another component, a person, or a program of its
# own speaks for them.
NEVER_RUN = frozenset({"Proxy", "ControlProgram", "External"})

# They go on when they are told to halt (H), since people and programs rely on them.
IGNORE_HALT = frozenset({"Web", "StateCache", "ControlProgram"})

# What `pip install` brings the packages that a type needs.
EXTRAS: Mapping[str, str] = {
    "ADCPi": "jph[adc]",
    "AM2302": "jph[am2302]",
    "Fan": "jph[gpio]",
    "Python": "jph[python]",
    "Broker": "jph[gateways]",
    "Esp32": "jph[gateways]",
    "Esp32Examples": "jph[gateways]",
    "HomeAssistant": "jph[gateways]",
    "IotTalk": "jph[gateways]",
    "IotTalkExamples": "jph[gateways]",
    "Tenta": "jph[gateways]",
    "TentaExamples": "jph[gateways]",
    "Web": "jph[web]",
    "Zwave": "jph[zwave]",
}


# What each type is, for people who choose one.
ABOUT: Mapping[str, str] = {
    "Pipe": "A number in a file, or in the output of a command",
    "JSON": "A device or service that answers with JSON over HTTP",
    "OneWire": "A 1-Wire thermometer, such as a DS18B20",
    "ADCPi": "An input of an ADC Pi board: voltages, thermistors",
    "AM2302": "Temperature and humidity of an AM2302 or DHT22 at a GPIO pin",
    "Dwarfpool": "The hash rate of a Dwarfpool account",
    "Nest": "A Nest thermostat",
    "Zwave": "A Z-Wave device behind a zwave-js-server",
    "Python": "A calculation of your own, a Python file",
    "Formula": "A formula over the values of other components",
    "SetPoint": "A value that people set and others follow",
    "Simulated": "A simulated sensor, to try things out",
    "Fan": "A fan at a GPIO pin",
    "StateCache": "Keeps the last state of everything",
    "HistoryWriter": "Stores all readings",
    "Statistics": "Computes the statistics of the history",
    "Alerts": "Judges rules, and tells people",
    "Tenta": "Sensors of Tenta or hermes, over MQTT, with their REST API",
    "IotTalk": "Devices and graphs of IoTtalk, with its HTTP and its functions",
    "IotTalkExamples": "Example devices of IoTtalk, to try things out",
    "TentaExamples": "Example sensors of Tenta, to try things out",
    "Esp32": "ESP32 boards with an LED, a button and a photoresistor, over MQTT",
    "Esp32Examples": "Simulated ESP32 boards, to try things out",
    "Broker": "Runs an MQTT broker for the gateways",
    "HomeAssistant": "Brings components to Home Assistant",
    "Web": "These pages",
    "Proxy": "A further value of another component",
    "ControlProgram": "A program that gives commands",
    "External": "A program or device of its own that speaks for itself",
}


@dataclass(frozen=True, slots=True)
class Older:
    """An older name of a type.

    Args:
        type: the name it has now.
        preset: settings that the older name implies.
        note: what differs in this version, if anything does.
    """

    type: str
    preset: Mapping[str, object] = field(default_factory=dict)
    note: str = ""


OLDER: Mapping[str, Older] = {
    "TempLinux": Older("Pipe", {"Scale": 0.001}),
    "failsafeReader": Older("JSON", {"Infinity": 0}),
    "ADCpiReader": Older("ADCPi", {"Conversion": {"Polynomial": [60.589, -4.2327, 0.0755]}}),
    "ADAfruitReader": Older("AM2302"),
    "DwarfpoolReader": Older("Dwarfpool"),
    "NestReader": Older("Nest"),
    "ZwavePower": Older("Zwave"),
    "PythonNinja": Older("Python", {"SendDuration": True}),
    "controlSensor": Older("SetPoint", {"Recall": True}),
    "fanControl": Older("Fan", {"Pin": 25, "Frequency": 10000, "Default": 100}),
    "jphRedis": Older("StateCache", {"URL": "redis://127.0.0.1:6379/0"}),
    "jphPostgreSQL": Older("HistoryWriter"),
    "jphCalcHistory": Older("Statistics"),
    "postgresCalcHandler": Older("Statistics"),
    "Flask": Older("Web", {"Port": 5000}),
}


def canonical(type_name: str) -> str | None:
    """Return the name that a type has now, or None if it is unknown."""
    if in_table(type_name):
        return current(type_name)
    return type_name if type_name in _plug_ins() else None


def current(type_name: str) -> str:
    """Return the name that a type has now, taking one that is not in the table as it stands."""
    older = OLDER.get(type_name)
    return older.type if older else type_name


def in_table(type_name: str) -> bool:
    """Tell whether JPH itself knows a type, under its present or an older name."""
    return type_name in TYPES or type_name in OLDER


def preset(type_name: str) -> Mapping[str, object]:
    """Return the settings that an older type name implies."""
    older = OLDER.get(type_name)
    return older.preset if older else {}


def note(type_name: str) -> str:
    """Return how this version differs from the promise of an older type name."""
    older = OLDER.get(type_name)
    return older.note if older else ""


def is_run(type_name: str) -> bool:
    """Tell whether components of this type are run by this version."""
    name = canonical(type_name)
    return name is not None and (TYPES[name] is not None if name in TYPES else True)


def find(type_name: str) -> type:
    """Return the class of a type.

    Raises:
        ConfigError: the type is unknown or not in this version, or a package that it needs is
            not installed.
    """
    name = canonical(type_name)
    if name is None:
        raise ConfigError(unknown(type_name))
    if name in TYPES:
        place = TYPES[name]
        if place is None:
            raise ConfigError(f"Type {type_name} is not in this version")
        module, _, attribute = place.partition(":")
        what = f"Type {type_name}"
    else:
        entry = _plug_ins()[name]
        module, attribute = entry.module, entry.attr
        what = f"Type {type_name} ({_package(entry)})"
    try:
        found: object = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ImportError as error:
        raise ConfigError(f"{what} {_absence(name, module, error)}") from error
    except AttributeError as error:
        raise ConfigError(f"{what}: there is no {module}:{attribute}") from error
    return cast(type, found)


def unknown(type_name: str) -> str:
    """Return the message that a type is unknown, with the one that may be meant."""
    hint = suggestion(type_name, names())
    return f'unknown Type "{type_name}"' + (f"; did you mean {hint}?" if hint else "")


def names() -> list[str]:
    """Return all type names, present, older and of other packages, in alphabetical order."""
    return sorted({*TYPES, *OLDER, *_plug_ins()}, key=str.casefold)


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a misspelt one comes closest to, or None."""
    from difflib import get_close_matches

    lower = {name.casefold(): name for name in known}
    close = get_close_matches(word.casefold(), lower, n=1, cutoff=0.6)
    return lower[close[0]] if close else None


@lru_cache(maxsize=1)
def _plug_ins() -> Mapping[str, "EntryPoint"]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP) if not in_table(entry.name)}


def _package(entry: "EntryPoint") -> str:
    return f"of {entry.dist.name}" if entry.dist else "of another package"


def _absence(name: str, module: str, error: ImportError) -> str:
    missing = error.name or str(error)
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{missing}."):
        return f"is not installed: there is no module {module}"
    needs = f"needs {missing}, which is not installed"
    if not isinstance(error, ModuleNotFoundError):
        needs = f"cannot be imported: {error}"
    return f"{needs}: pip install '{EXTRAS[name]}'" if name in EXTRAS else needs
