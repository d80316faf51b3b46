"""Voltages at the eight inputs of an ADC Pi Plus, or the quantities that they stand for.

The board has two MCP3424, inputs 1 to 4 on the first and 5 to 8 on the second. A divider of 10 kΩ
and 6.8 kΩ before each input of a chip makes 5.06 V of its 2.048 V, and pulls an input that is not
connected to ground.
"""

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal

from jph.bus.wire import Value
from jph.errors import NoReading, SensorError
from jph.settings import setting
from sensors import i2c
from sensors.mcp3424 import REFERENCE_V, Mcp3424, OutOfRange
from sensors.missing_values import MissingValues

DIVIDER = (10.0 + 6.8) / 6.8  # voltage at an input / voltage at the chip
_INPUTS = 4  # of a chip
_ADDRESSES = range(0x68, 0x70)  # that an MCP3424 can have, DS22088C, section 5.3.1
_ZERO_CELSIUS = 273.15  # K
_DECIMALS = 7  # of a voltage; a step at 18 bits and gain 8 is 5 µV


@dataclass(frozen=True, slots=True)
class Conversion:
    """The meaning of a voltage: volts, a quantity in proportion to it, or a temperature.

    A thermistor is the upper resistor of a divider, from the supply to the input; the lower one is
    the reference, which is the board's own 16.8 kΩ where nothing else is wired to ground. Its
    temperature is x in °C. By SteinhartHart 1/T = A + B ln R + C (ln R)^3, T in K, R in ohm.
    """

    scale: float = setting(1.0, doc="value = x * Scale + Offset")
    offset: float = setting(0.0, doc="value = x * Scale + Offset")
    steinhart_hart: tuple[float, ...] = setting((), doc="A, B, C of a thermistor, for ohms")
    polynomial: tuple[float, ...] = setting((), doc="°C over kΩ, constant term first")
    supply_v: float = setting(5.0, key="Supply", gt=0, doc="of the thermistor's divider, V")
    reference_kohm: float = setting(16.8, key="Reference", gt=0, doc="its other resistor, kΩ")

    def __post_init__(self) -> None:
        if self.steinhart_hart and self.polynomial:
            raise ValueError("Conversion: has both SteinhartHart and Polynomial; leave one out")
        if self.steinhart_hart and len(self.steinhart_hart) != 3:
            raise ValueError("Conversion.SteinhartHart: must be three numbers, A, B and C")

    def value(self, voltage: float) -> float:
        """Return the value that a voltage above 0 stands for; SensorError if there is none."""
        x = voltage
        if self.steinhart_hart or self.polynomial:
            kohm = self._kohm(voltage)
            x = self._steinhart_hart(kohm) if self.steinhart_hart else self._polynomial(kohm)
        value = x * self.scale + self.offset
        if not math.isfinite(value):
            raise SensorError(f"{voltage:g} V converts to no finite number; check the Conversion")
        return value

    def _kohm(self, voltage: float) -> float:
        kohm = (self.supply_v - voltage) / voltage * self.reference_kohm
        if kohm <= 0:
            raise SensorError(
                f"{voltage:g} V is not below the supply of {self.supply_v:g} V; "
                "look for a short circuit, or set Supply"
            )
        return kohm

    def _steinhart_hart(self, kohm: float) -> float:
        a, b, c = self.steinhart_hart
        logarithm = math.log(kohm * 1000)
        inverse = a + b * logarithm + c * logarithm**3
        if inverse <= 0:
            raise SensorError(f"{kohm:g} kΩ is no temperature by SteinhartHart; check A, B and C")
        return 1 / inverse - _ZERO_CELSIUS

    def _polynomial(self, kohm: float) -> float:
        temperature = 0.0
        for coefficient in reversed(self.polynomial):
            temperature = temperature * kohm + coefficient
        return temperature


_VOLTS = Conversion()


@dataclass(frozen=True, slots=True)
class InputOf:
    """The input whose value a proxy has."""

    codifier: str = setting(key="Codifier", doc="the proxy")
    pin: int = setting(ge=1, le=8, doc="its input")
    conversion: Conversion | None = setting(None, doc="meaning of its voltage")


@dataclass
class AdcPi:
    """Read inputs of an ADC Pi Plus."""

    codifier: str
    pin: int = setting(ge=1, le=8, doc="input, 1 to 8", title="Input")
    proxy: tuple[InputOf, ...] = setting(
        (), doc="further inputs, each the value of a proxy", title="Further inputs"
    )
    conversion: Conversion | None = setting(None, doc="meaning of the voltages")
    # A reading takes 4, 17, 67 or 267 ms for each input.
    bits: Literal[12, 14, 16, 18] = setting(18, doc="resolution")
    gain: Literal[1, 2, 4, 8] = setting(1, doc="the range is 5.06 V / Gain")
    bus: int = setting(1, ge=0, doc="number of the I2C bus")
    addresses: tuple[int | str, ...] = setting(
        ("0x68", "0x69"), doc="of the chips, that of inputs 1 to 4 first"
    )
    # An open input shows the chip's offset and noise, a few steps of 18 bits (39 µV each).
    connected_above_v: float = setting(
        0.0002, key="ConnectedAbove", doc="with no more an input is not connected, V"
    )
    _opener: i2c.Opener = field(default=i2c.open_bus, repr=False)
    _clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    _sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def __post_init__(self) -> None:
        self._inputs = (InputOf(self.codifier, self.pin), *self.proxy)
        addresses = _chips_of(self.addresses, [each.pin for each in self._inputs])
        key = self.bus, self._opener
        bus = i2c.BUSES.acquire(key)
        self._to_close = ExitStack()
        self._to_close.callback(i2c.BUSES.release, key)
        self._gaps = MissingValues(self.codifier)
        self._chips = [Mcp3424(bus, at, self._clock, self._sleep) for at in addresses]

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], codifiers: Collection[str]) -> None:
        """Refuse settings that contradict each other; see `jph.config.checks`."""
        pins = [given["pin"], *(each.pin for each in given.get("proxy", ()))]
        _chips_of(given.get("addresses", cls.addresses), pins)

    def read(self) -> Mapping[str, Value]:
        """Return the values of the inputs that are connected and can be read.

        Raises:
            NoReading: no input is connected.
            SensorError: no input can be read.
        """
        broken: dict[int, str] = {}  # chips that failed in this reading are not asked again
        values = self._gaps.collect(
            [(each.codifier, each) for each in self._inputs],
            lambda each: self._read_input(each, broken),
        )
        if not values:
            pins = ", ".join(str(each.pin) for each in self._inputs)
            raise NoReading(f"0 V at input {pins}: not connected")
        return values

    def close(self) -> None:
        """Give the bus back."""
        self._to_close.close()

    def _read_input(self, each: InputOf, broken: dict[int, str]) -> Value | None:
        """Return the value and the voltage of an input; None if it is not connected."""
        chip, channel = divmod(each.pin - 1, _INPUTS)
        if chip in broken:
            raise SensorError(broken[chip])
        try:
            at_chip_v = self._chips[chip].read_v(channel + 1, self.bits, self.gain)
        except OutOfRange as error:
            limit_v = REFERENCE_V * DIVIDER / self.gain
            raise SensorError(
                f"input {each.pin}: beyond the {limit_v:.3g} V of Gain {self.gain}"
            ) from error
        except SensorError as error:
            broken[chip] = str(error)
            raise
        voltage = round(at_chip_v * DIVIDER, _DECIMALS)
        if voltage <= self.connected_above_v:
            return None
        conversion = each.conversion or self.conversion or _VOLTS
        try:
            return {"value": conversion.value(voltage), "voltage": voltage}
        except SensorError as error:
            raise SensorError(f"input {each.pin}: {error}") from error


def _chips_of(addresses: Iterable[int | str], pins: Iterable[int]) -> list[int]:
    """Return the addresses as numbers; ValueError if an input is on none of these chips."""
    chips = [_address(text) for text in addresses]
    for pin in pins:
        if pin > _INPUTS * len(chips):
            raise ValueError(f"Pin: input {pin} is on a chip that Addresses does not name")
    return chips


def _address(text: int | str) -> int:
    try:
        address = int(text, 0) if isinstance(text, str) else text
    except ValueError:
        address = -1
    if address not in _ADDRESSES:
        raise ValueError(f'Addresses: {text} is none of "0x68" to "0x6f"')
    return address
