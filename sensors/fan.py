"""A fan whose speed is set: pulses of a duty of 0 to 100 at a GPIO.

The safe duty is set when the component stops, and holds while the process lives. With the process
the pulses end: the pin is left on then, or off if the safe duty is 0. What stays of that is up to
the kernel, and after a crash or a power cut up to the hardware.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

from jph.errors import SensorError
from jph.faults import Fault
from jph.node.channel import Channel
from jph.settings import setting
from sensors import pwm
from sensors.inputs import Inputs

log = logging.getLogger(__name__)


@dataclass
class Fan:
    """Give pulses of the last duty that was set, or of the safe duty when none comes any more.

    A and E tell it, and the values of a set-point, each of them until the next of either.

    Args:
        frequency_hz: of the pulses; the kernel's and the driver's timing is good for some 100 Hz.
        safe: the duty at exit and when none comes any more.
        set_point: Codifier whose values are followed.
        timeout_s: time without an A, an E or a value of the set-point until the safe duty holds;
            None: the TimeoutWarning of the set-point, or never if there is none.
        inverted: low is on, as behind a transistor that pulls the wire down.
    """

    channel: Channel
    pin: int | None = setting(None, ge=0, doc="GPIO number (BCM)", title="GPIO")
    frequency_hz: float = setting(100.0, key="Frequency", gt=0, le=10_000, doc="of the pulses, Hz")
    default: float | None = setting(None, ge=0, le=100, doc="the duty until one is set")
    safe: float = setting(100.0, ge=0, le=100, doc="the duty at exit, and when none comes any more")
    set_point: str | None = setting(None, doc="Codifier whose values are followed")
    timeout_s: float | None = setting(None, gt=0, doc="longest time without being told a duty, s")
    inverted: bool = setting(False, doc="low is on")
    _opener: pwm.Opener = field(default=pwm.open_output, repr=False)
    _clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    def __post_init__(self) -> None:
        """Begin to listen; the pin is taken at the first reading."""
        _refuse_unknown(self.set_point, self.channel.config.components)
        self._codifier = self.channel.codifier
        self._pin: pwm.PwmPin | None = None
        if self.pin is not None:
            self._pin = pwm.PwmPin(
                self.pin, self.frequency_hz, inverted=self.inverted, opener=self._opener
            )
        self._inputs = Inputs(self.channel) if self.set_point is not None else None
        self._heard_ms: object = None  # the timestamp of the set-point's last value
        self._no_duty = Fault(log)  # the set-point sends no duty
        self._limit_s = inf
        self._duty = self.safe if self.default is None else self.default
        self._told_s = self._clock()
        self._silent = False

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], codifiers: Collection[str]) -> None:
        """Refuse settings that contradict each other; see `jph.config.checks`."""
        _refuse_unknown(given.get("set_point"), codifiers)

    def read(self) -> Mapping[str, float]:
        """Set and return the duty in force.

        Raises:
            SensorError: the pin cannot be driven.
        """
        if self._pin is None:
            raise SensorError("drives nothing: Pin is not set")
        duty = self._in_force()
        self._pin.drive(duty)
        return {self._codifier: duty}

    def command(self, flag: str, number: float) -> None:
        """Set the duty (A), or change it by a step (E); both end at 0 and at 100.

        A controller overshoots, and to refuse its 104 would leave a fan slow that is to be fast.

        Raises:
            SensorError: it is no number; the duty in force stays.
        """
        before = self._in_force()
        if not isfinite(number):
            raise SensorError(f"is no number; the duty stays {before:g}")
        self._tell(before + number if flag == "E" else number)

    def close(self) -> None:
        """Set the safe duty and leave the pin at it."""
        if self._pin is None:
            return
        try:
            self._pin.leave(self.safe)
        except SensorError as error:
            log.warning("%s: the safe duty cannot be set: %s", self._codifier, error)

    def _in_force(self) -> float:
        """Listen; return the duty that was told last, or the safe one."""
        limit_s = self._listen()
        silent_s = self._clock() - self._told_s
        if self._silent != (silent_s > limit_s):
            self._silent = not self._silent
            if self._silent:
                log.warning(
                    "%s: told nothing for %.0f s%s; its duty is the safe one, %g",
                    self._codifier,
                    silent_s,
                    f" by {self.set_point}" if self.set_point else "",
                    self.safe,
                )
            else:
                log.info("%s: told again, %g", self._codifier, self._duty)
        return self.safe if self._silent else self._duty

    def _listen(self) -> float:
        """Take a new value of the set-point; return how long nothing may be told."""
        if self._inputs is None or self.set_point is None:
            return self.timeout_s or inf
        heard = self._inputs.look(self.set_point)
        heard_ms = heard.fields.get("DTimestamp") if heard.is_known and heard.fields else None
        if heard_ms != self._heard_ms:
            # Our own clock, since the set-point's may be wrong. Only of a value that was there
            # before us nothing else tells how old it is.
            age_s = heard.age_s if self._heard_ms is None else 0.0
            self._heard_ms = heard_ms
            value: Any = heard.value
            if type(value) in (int, float) and isfinite(value):
                self._tell(value, age_s)
                self._no_duty.end(f"{self._codifier}: {self.set_point} sends a duty again")
            else:
                self._no_duty.note(
                    f"{self._codifier}: {self.set_point} sends no duty: {value!r:.80}"
                )
        if heard.limit_s < inf:  # else a new configuration, not checked in full, has it no more
            self._limit_s = heard.limit_s
        return self.timeout_s or self._limit_s

    def _tell(self, duty: float, age_s: float = 0.0) -> None:
        self._duty = max(0.0, min(100.0, float(duty)))
        self._told_s = self._clock() - age_s


def _refuse_unknown(set_point: object, codifiers: Collection[str]) -> None:
    if set_point is not None and set_point not in codifiers:
        raise ValueError(f'SetPoint: "{set_point}" is not in Sensors')
