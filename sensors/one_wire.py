"""Thermometers on a 1-Wire bus (DS18B20, DS18S20, DS1822, DS1825, DS28EA00), by Linux' driver.

The driver measures while its file is read, 0.75 s long. It tells what it read in `w1_slave`, with
the verdict on the checksum; where there is none, the temperature alone in `temperature`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jph.errors import SensorError
from jph.settings import setting

DEVICES = Path("/sys/bus/w1/devices")

_FAMILIES = ("10", "22", "28", "3b", "42")  # of thermometers, the first two digits of an id
_LOWEST_C, _HIGHEST_C = -55.0, 125.0  # DS18B20 datasheet, features
_AT_START_C = 85.0  # in the scratchpad until the first conversion; same, "Temperature Register"
_NEAR_START_C = 80.0
_MOST_BYTES = 1024
_WRONG_CRC = re.compile(r"^(?:[0-9a-f]{2} )+: crc=[0-9a-f]{2} NO\b", re.MULTILINE)
_NOTHING = re.compile(r"^(?:00 )+: crc=00 ", re.MULTILINE)
_TEMPERATURE = re.compile(r"(?:^|\bt=)(-?\d+)\s*\Z")


def refuse_wrong_crc(text: str) -> None:
    """Raise ValueError if this is the text of a `w1_slave` whose checksum is wrong."""
    if _WRONG_CRC.search(text):
        raise ValueError(
            "the checksum is wrong (crc=… NO): check the wires and the pull-up resistor"
        )


@dataclass
class OneWire:
    """Read one thermometer.

    A wrong checksum is refused, and so is a line held at ground, of which all bytes are 0 and the
    checksum is right. 85 °C is what the chip has before it measured, as after a short loss of its
    supply: it counts only behind a value of 80 °C or more.
    """

    codifier: str
    device: str = setting(
        "", doc="id, as 28-000005e2fdc3; absent: the only thermometer", title="Thermometer"
    )
    _devices: Path = field(default=DEVICES, repr=False)
    _before: float | None = field(default=None, init=False)

    def read(self) -> Mapping[str, float]:
        """Return the temperature, °C; SensorError if there is none."""
        folder = self._devices / (self.device or self._only_one())
        path = folder / "w1_slave"
        if not path.exists():
            path = folder / "temperature"
        try:
            with path.open("rb") as file:
                text = file.read(_MOST_BYTES).decode(errors="replace")
            temperature = self._measured(text)
        except OSError as error:
            raise SensorError(f"{path}: {error.strerror or error}") from error
        except ValueError as error:
            raise SensorError(f"{path}: {error}") from error
        self._before = temperature
        return {self.codifier: temperature}

    def _measured(self, text: str) -> float:
        """Return the temperature in a text of the driver; ValueError if it is not true."""
        refuse_wrong_crc(text)
        if _NOTHING.search(text):
            raise ValueError("all bytes are 0, as of a data line that is held at ground")
        found = _TEMPERATURE.search(text)
        if found is None:
            raise ValueError(f"no temperature in {text[:100]!r}")
        temperature = int(found[1]) / 1000
        if not _LOWEST_C <= temperature <= _HIGHEST_C:
            raise ValueError(f"{temperature:g} °C is beyond the sensor's range of -55 to 125 °C")
        if temperature == _AT_START_C and (self._before or 0.0) < _NEAR_START_C:
            raise ValueError("85 °C is what it has before it measured: check its supply")
        return temperature

    def _only_one(self) -> str:
        try:
            names = sorted(path.name for path in self._devices.iterdir())
        except OSError:
            raise SensorError(
                f"{self._devices}: is not there; dtoverlay=w1-gpio in config.txt makes a bus"
            ) from None
        found = [name for name in names if name.partition("-")[0] in _FAMILIES]
        if len(found) == 1:
            return found[0]
        if found:
            raise SensorError(f"{self._devices}: has {', '.join(found)}; name one in Device")
        raise SensorError(f"{self._devices}: has no thermometer; check the wires")
