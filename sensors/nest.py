"""Values of a Nest thermostat, by Google's Smart Device Management API.

A value is a field of a trait, such as `Temperature.ambientTemperatureCelsius`, or one of a few
names for the usual ones. The names of earlier interfaces stay valid; one of
those also knew the weather, which this one does not.
"""

import dataclasses
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jph.bus.wire import Value
from jph.errors import SensorError
from jph.settings import setting
from jph.tcp import plain, shown
from sensors import json_api, json_text
from sensors.google_token import GoogleToken
from sensors.json_http import FieldOf
from sensors.missing_values import MissingValues

_PREFIX = "sdm.devices.traits."
_THERMOSTAT = "sdm.devices.types.THERMOSTAT"
_ADVICE = {  # what to do about a status
    401: "access is refused, even with a new token",
    403: "access is refused; grant it to the project again",
    404: "there is no such thermostat; look at Project and Device",
    429: "asked too often; choose a longer SensorInterval",
}

_TEXTS = frozenset(
    (
        *("mode", "hvac", "hvac_state"),
        *("ThermostatMode.mode", "ThermostatHvac.status", "ThermostatEco.mode"),
        *("Connectivity.status", "Info.customName", "Settings.temperatureScale"),
    )
)

Traits = Mapping[str, object]  # name without its prefix -> object of fields


@dataclass
class Nest:
    """Read a thermostat with one GET."""

    codifier: str
    home: Path
    field: str = setting("temperature", doc="a name, or Trait.field")
    proxy: tuple[FieldOf, ...] = setting((), doc="further fields, each the value of a proxy")
    password: str = setting("nest.json", doc="path of the file with the credentials")
    project: str = setting("", doc="id of the Device Access project")
    device: str = setting("", doc="id of the thermostat; absent: the only one")
    timeout_s: float = setting(10.0, key="Timeout", gt=0, doc="longest wait for each answer, s")
    url: str = setting("https://smartdevicemanagement.googleapis.com/v1", doc="the API")
    token_url: str = setting("https://www.googleapis.com/oauth2/v4/token", doc="what gives tokens")
    _token: GoogleToken = dataclasses.field(init=False, repr=False)
    _gaps: MissingValues = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        json_api.check(self.url, "URL", secure=True)
        json_api.check(self.token_url, "TokenURL", secure=True)
        self._token = GoogleToken(self.home / os.path.expanduser(self.password), self.token_url)
        self._gaps = MissingValues(self.codifier)

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], codifiers: Collection[str]) -> None:
        """Refuse settings that contradict each other; see `jph.config.checks`."""
        cls("", Path(), **given)  # which asks no server yet

    @classmethod
    def texts(
        cls, codifier: str, field: str = "temperature", proxy: Sequence[FieldOf] = (), **_: object
    ) -> dict[str, str]:
        """Return which components get text, and the field of each; see `jph.config.checks`."""
        fields = {codifier: field, **{of.codifier: of.field for of in proxy}}
        return {code: name for code, name in fields.items() if name.removeprefix(_PREFIX) in _TEXTS}

    def read(self) -> Mapping[str, Value]:
        """Return the values of the component and of its proxies that the device has.

        Raises:
            SensorError: no answer, access is refused, the thermostat is offline, or it has none of
                the fields.
        """
        if not self.project:
            raise SensorError("Project is not set; it is the id of the Device Access project")
        traits = self._traits()
        if json_text.pick(traits, "Connectivity.status") == "OFFLINE":
            raise SensorError("the thermostat is offline")
        values: dict[str, Value] = {}
        missing = {}
        for codifier, name in (
            (self.codifier, self.field),
            *((of.codifier, of.field) for of in self.proxy),
        ):
            find = _NAMES.get(name) or _field(name.removeprefix(_PREFIX))
            value = find(traits)
            if value is None:
                missing[codifier] = _absence(name)
            else:
                values[codifier] = value
        return self._gaps.settle(values, missing)

    def _traits(self) -> Traits:
        devices = f"enterprises/{quote(self.project, safe='')}/devices"
        if self.device:
            found = self._get(f"{devices}/{quote(self.device, safe='')}")
        else:
            found = _only(self._get(devices))
        traits = found.get("traits")
        if not isinstance(traits, dict):
            raise SensorError(f"{shown(self.url)}: the answer has no traits")
        return {name.removeprefix(_PREFIX): content for name, content in traits.items()}

    def _get(self, path: str) -> Mapping[str, object]:
        """Return an object of the API; a token that it refuses is replaced once."""
        url = f"{self.url.rstrip('/')}/{path}"
        answer = self._ask(url)
        if answer.status == 401:
            self._token.drop()
            answer = self._ask(url)
        if answer.status in _ADVICE:
            raise SensorError(f"{answer.address}: {_ADVICE[answer.status]}")
        return json_api.members(answer)

    def _ask(self, url: str) -> "json_api.Answer":
        token = self._token.get(self.timeout_s)
        headers = {"Authorization": f"Bearer {token}"}
        return json_api.ask(url, timeout_s=self.timeout_s, headers=headers)


def _only(listing: Mapping[str, object]) -> Mapping[str, object]:
    """Return the one thermostat of a list of devices."""
    devices = listing.get("devices")
    found = [
        device
        for device in (devices if isinstance(devices, list) else [])
        if isinstance(device, dict) and device.get("type") == _THERMOSTAT
    ]
    if not found:
        raise SensorError("the project has no thermostat; grant it access to one")
    if len(found) > 1:
        ids = ", ".join(_id(device) for device in found[:8]) + (", …" if len(found) > 8 else "")
        raise SensorError(f"there are several thermostats; name one in Device: {ids}")
    return found[0]


def _id(device: Mapping[str, object]) -> str:
    return plain(str(device.get("name")).rpartition("/")[2], 200)


def _absence(name: str) -> str:
    if "." in name or name in _NAMES:
        return f"the thermostat does not tell {name}"
    return f"{name} is no field; take {', '.join(_NAMES)} or Trait.field"


def _field(path: str) -> Callable[[Traits], Value | None]:
    return lambda traits: json_text.pick(traits, path)


def _set_point(*kinds: str) -> Callable[[Traits], Value | None]:
    """Return what finds the first of these set-points that is in force."""

    def find(traits: Traits) -> Value | None:
        trait = "ThermostatEco" if _is_eco(traits) else "ThermostatTemperatureSetpoint"
        found = (json_text.pick(traits, f"{trait}.{kind}Celsius") for kind in kinds)
        return next((value for value in found if value is not None), None)

    return find


def _is_eco(traits: Traits) -> Value | None:
    mode = json_text.pick(traits, "ThermostatEco.mode")
    return None if mode is None else int(mode == "MANUAL_ECO")


_temperature = _field("Temperature.ambientTemperatureCelsius")
_humidity = _field("Humidity.ambientHumidityPercent")
_hvac = _field("ThermostatHvac.status")
_target = _set_point("heat", "cool")
_NAMES: Mapping[str, Callable[[Traits], Value | None]] = {
    "temperature": _temperature,
    "humidity": _humidity,
    "target": _target,
    "heat": _set_point("heat"),
    "cool": _set_point("cool"),
    "eco": _is_eco,
    "mode": _field("ThermostatMode.mode"),
    "hvac": _hvac,
    # Of the interfaces before this one. A thermostat whose people are away is in eco mode.
    "ambient_temperature_c": _temperature,
    "target_temperature_c": _target,
    "hvac_state": _hvac,
    "nestTemp": _temperature,
    "nestHumidity": _humidity,
    "nestTarget": _target,
    "nestAway": _is_eco,
    "nestTempOutside": lambda _: None,
    "nestHumiOutside": lambda _: None,
}
