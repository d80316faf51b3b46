"""Ways to an AM2302 (DHT22): the kernel's driver, or a Python package.

The wire protocol takes microseconds, which the kernel meets by interrupts and a Python package
only by chance, so a failed measurement now and then is normal.
"""

import importlib
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from jph import registry
from jph.errors import SensorError

log = logging.getLogger(__name__)

DEVICES = Path("/sys/bus/iio/devices")

_KERNEL_NAME = "dht11"  # the driver of DHT11, DHT21 and DHT22 alike
_MOST_BYTES = 64  # of a file in sysfs
_CELLS = 12  # bytes of the property gpios: phandle, pin, flags, 32 bit each, big-endian

Measurement = tuple[float, float]  # temperature, °C; relative humidity, %


class Way(Protocol):
    """How a sensor is reached."""

    def measure(self) -> Measurement:
        """Measure once; SensorError if that failed."""

    def close(self) -> None:
        """Release its resources."""


def find(pin: int, device: str, devices: Path = DEVICES) -> Way:
    """Return the best way to the sensor at a pin.

    Args:
        pin: GPIO number (BCM).
        device: IIO device to take, as iio:device0, or its name, as dht11@4; "" to look for it.
        devices: folder of the IIO devices.

    Raises:
        SensorError: there is none, or it cannot be told which.
    """
    folder = _iio_device(pin, device, devices)
    if folder is not None:
        return Iio(folder)
    broken: SensorError | None = None
    for kind in (CircuitPython, Legacy):
        try:
            return kind(pin)
        except ImportError:
            continue
        except SensorError as error:
            broken = broken or error
    if broken is not None:
        raise broken
    raise SensorError(
        f"no driver of the sensor: neither the kernel's driver (dtoverlay=dht11,gpiopin={pin} in "
        f"config.txt), nor adafruit-circuitpython-dht (pip install '{registry.EXTRAS['AM2302']}'), "
        "nor Adafruit_DHT is there"
    )


class Iio:
    """The kernel's driver.

    It measures when one of the two files is read and the last measurement is older than 2 s, so
    both values are of one measurement. It answers EIO or ETIMEDOUT when that failed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def measure(self) -> Measurement:
        return self._number("in_temp_input"), self._number("in_humidityrelative_input")

    def close(self) -> None:
        pass

    def _number(self, name: str) -> float:
        path = self.folder / name
        try:
            with path.open("rb") as file:
                text = file.read(_MOST_BYTES)
            return int(text) / 1000
        except OSError as error:
            raise SensorError(f"{path}: {error.strerror or error}") from error
        except ValueError as error:
            raise SensorError(f"{path}: no number in {text!r}") from error


class CircuitPython:
    """The package adafruit-circuitpython-dht.

    Raises:
        ModuleNotFoundError: it is not installed.
        SensorError: it does not work on this machine.
    """

    def __init__(self, pin: int) -> None:
        try:
            board = importlib.import_module("board")
            package = importlib.import_module("adafruit_dht")
            self._device: Any = package.DHT22(getattr(board, f"D{pin}"), use_pulseio=False)
        except Exception as error:  # whatever its layers raise on a machine they do not know
            if isinstance(error, ModuleNotFoundError) and error.name in ("board", "adafruit_dht"):
                raise
            raise SensorError(f"adafruit_dht: {_reason(error)}") from error

    def measure(self) -> Measurement:
        try:
            # Within 2 s the second is of the same measurement; if the first raises, the second
            # would be of an older one, so it is not asked then.
            return _measurement(self._device.temperature, self._device.humidity)
        except SensorError:
            raise
        except Exception as error:
            raise SensorError(f"adafruit_dht: {_reason(error)}") from error

    def close(self) -> None:
        try:
            self._device.exit()
        except Exception as error:
            log.debug("adafruit_dht: %s", _reason(error))


class Legacy:
    """The package Adafruit_DHT, which is no longer maintained.

    Raises:
        ImportError: it is not installed.
    """

    def __init__(self, pin: int) -> None:
        self._package: Any = importlib.import_module("Adafruit_DHT")
        self._pin = pin

    def measure(self) -> Measurement:
        try:
            humidity, temperature = self._package.read(self._package.AM2302, self._pin)
        except Exception as error:
            raise SensorError(f"Adafruit_DHT: {_reason(error)}") from error
        return _measurement(temperature, humidity)

    def close(self) -> None:
        pass


def _measurement(temperature: object, humidity: object) -> Measurement:
    if temperature is None or humidity is None:
        raise SensorError("the sensor did not answer; check wiring and pull-up resistor")
    for value in (temperature, humidity):
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise SensorError(f"the sensor's driver gave {value!r}, which is no number")
    return float(temperature), float(humidity)  # type: ignore[arg-type]


def _iio_device(pin: int, device: str, devices: Path) -> Path | None:
    """Return the folder of the IIO device to take, or None if there is none.

    That which `device` names; else that whose device tree entry has our pin; else the only one
    of those whose pin is not known.
    """
    try:
        folders = sorted(devices.iterdir())
    except OSError:
        folders = []
    names = {folder: _text(folder / "name") for folder in folders}
    if device:
        for folder, name in names.items():
            if device in (folder.name, name):
                return folder
        there = _listed([folder for folder in folders if names[folder]]) or "none"
        raise SensorError(f"{devices}: no device {device}; there is {there}")
    pins = {
        folder: _pin_of(folder) for folder, name in names.items() if name.startswith(_KERNEL_NAME)
    }
    for folder, its_pin in pins.items():
        if its_pin == pin:
            return folder
    unknown = [folder for folder, its_pin in pins.items() if its_pin is None]
    if len(unknown) > 1:
        raise SensorError(
            f"{devices}: cannot tell which is at pin {pin}: {_listed(unknown)}; name it in Device"
        )
    return unknown[0] if unknown else None


def _listed(folders: Sequence[Path]) -> str:
    return ", ".join(f"{folder.name} ({_text(folder / 'name')})" for folder in folders)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES).decode(errors="replace").strip()
    except OSError:
        return ""


def _pin_of(folder: Path) -> int | None:
    """Return the GPIO number in the device tree, or None if it does not stand there."""
    try:
        cells = (folder / "of_node" / "gpios").read_bytes()
    except OSError:
        return None
    return int.from_bytes(cells[4:8], "big") if len(cells) == _CELLS else None


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
