"""Pins of this machine that give pulses of a duty, by gpiozero.

A pin is never given back, because gpiozero makes it an input then, and the fan would follow
whatever the wire does. Who is done with a pin leaves it at a duty; the next who wants it takes it
over. Pulses end with the process: then a pin that was left is on, or off if its duty was 0.
"""

import atexit
import os
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, cast

from jph import registry
from jph.errors import SensorError

DEVICES = Path("/dev")


class Output(Protocol):
    """What we use of `gpiozero.PWMOutputDevice`."""

    value: float  # share of the time for which the pin is high, 0 to 1
    frequency: float  # Hz

    def close(self) -> None:
        """Make the pin an input."""


Opener = Callable[[int, float, float], Output]  # number, frequency_hz, value at the beginning


def open_output(number: int, frequency_hz: float, value: float) -> Output:
    """Open a pin by the factory that gpiozero finds; it raises errors of many kinds."""
    from gpiozero import Device, PWMOutputDevice

    global _factory
    if _factory is None:
        with warnings.catch_warnings():  # a line for each factory that is not there
            warnings.simplefilter("ignore")
            Device.ensure_pin_factory()
        # Of our own, since gpiozero closes the one that is there when the program ends.
        _factory, Device.pin_factory = Device.pin_factory, None
    device = PWMOutputDevice(
        number, frequency=frequency_hz, initial_value=value, pin_factory=_factory
    )
    return cast(Output, device)


class PwmPin:
    """One pin. It is opened when it is first driven, and again after any error.

    Args:
        number: of the GPIO (BCM).
        frequency_hz: of the pulses.
        devices: folder of the device files.
    """

    def __init__(
        self,
        number: int,
        frequency_hz: float,
        *,
        inverted: bool = False,
        opener: Opener = open_output,
        devices: Path = DEVICES,
    ) -> None:
        self._number = number
        self._frequency_hz = frequency_hz
        self._inverted = inverted
        self._opener = opener
        self._devices = devices
        self._output: Output | None = None

    def drive(self, duty: float) -> None:
        """Give pulses of this duty, 0 to 100; SensorError if the pin cannot."""
        # lgpio cuts off fractions of a percent, and 0.29 * 100 is 28.999999999999996.
        value = min(1.0, (100 - duty if self._inverted else duty) / 100 + 1e-9)
        try:
            if self._output is None:
                self._output = self._take(value)
            else:
                self._output.value = value
        except Exception as error:  # drivers below gpiozero have no common class of errors
            output, self._output = self._output, None
            if output is not None:
                _close(output)
            raise SensorError(f"GPIO {self._number}: {self._reason(error)}") from error

    def leave(self, duty: float) -> None:
        """Set a duty that stays, if the pin was ever driven; nothing is driven after that."""
        if self._output is None:
            return
        self.drive(duty)
        last = 1.0 if (duty > 0) != self._inverted else 0.0
        with _lock:
            if not _left:
                atexit.register(_stay)
            _left[self._number, self._opener] = self._output, last
        self._output = None

    def _take(self, value: float) -> Output:
        with _lock:  # gpiozero looks for its factory at the first pin, and is not made for threads
            output, _ = _left.pop((self._number, self._opener), (None, 0.0))
            if output is None:
                return self._opener(self._number, self._frequency_hz, value)
        try:
            output.frequency = self._frequency_hz
            output.value = value
        except Exception:
            _close(output)
            raise
        return output

    def _reason(self, error: Exception) -> str:
        """Return the meaning of an error, and what to do."""
        install = f"pip install '{registry.EXTRAS['Fan']}'"
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if "BadPinFactory" in kinds or "can not open gpiochip" in str(error):
            chips = sorted(self._devices.glob("gpiochip*"))
            if not chips:
                return f"this machine has no GPIO: there is no {self._devices}/gpiochip0"
            if not any(os.access(chip, os.R_OK | os.W_OK) for chip in chips):
                return f"{chips[0]}: permission denied; add the user to the group gpio"
            return f"gpiozero finds no driver that works here ({error}): {install}"
        if isinstance(error, ImportError):
            return f"{error}: {install}"
        if isinstance(error, PermissionError):
            return f"{error.filename or 'pins'}: permission denied; add the user to the group gpio"
        if "PinPWMError" in kinds:
            return f"the driver that gpiozero found has no PWM; lgpio has: {install}"
        if "GPIOPinInUse" in kinds:
            return "another component of this process uses it"
        if "busy" in str(error).lower():
            return "another program uses it; gpioinfo names it"
        if "PinInvalidPin" in kinds:
            return "there is no such pin on the connector"
        return str(error) or type(error).__name__


_left: dict[tuple[int, Opener], tuple[Output, float]] = {}  # and its value when pulses end
_lock = threading.Lock()
_factory: Any = None


def _stay() -> None:
    """Let pins that were left be on or off when the program has ended."""
    device: Any
    for device, last in _left.values():
        with suppress(Exception):
            # A change of pulses waits for the end of their cycle (lgpio, tx_pwm), and the process
            # may be gone by then; without pulses the level is set at once.
            device.frequency = None
            device.value = last
            device.close = lambda: None  # which gpiozero calls when it is collected


def _close(output: Output) -> None:
    with suppress(Exception):  # it failed already
        output.close()
