"""Temperature and humidity of an AM2302 (DHT22) at a GPIO pin."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jph.errors import SensorError
from jph.node.channel import Channel
from jph.settings import setting
from sensors import dht
from sensors.dht import Measurement, Way

log = logging.getLogger(__name__)

PAUSE_S = 2.0  # between measurements: the sensing period; Aosong's AM2302 datasheet, section 3
_INTERVAL_S = 10.0  # where there is none
_LOWEST_C, _HIGHEST_C = -40.0, 80.0  # operating range, same section
_SIGN_BIT_C = 3276.8  # 0.1 °C * 2**15
_AGREEING = 3  # readings in a row that confirm a jump

# When the last measurement at a pin ended, by which clock: a reader that is built again keeps the
# distance from that of the one before it.
_tried_s: dict[tuple[int, Callable[[], float]], float] = {}


@dataclass(frozen=True, slots=True)
class HumidityOf:
    """Which proxy gets the humidity."""

    codifier: str = setting(key="Codifier", doc="the proxy")
    pin: int | None = setting(None, ge=0, doc="as Pin; not looked at")


class Steadiness:
    """Tells what changes faster than air does: bits that got lost and still had a right checksum.

    A measurement may differ from the last one that was taken by as much as the rates allow in the
    time between them, at least that of a minute. What differs more is refused. When 3 in a row are
    refused and agree with each other by the same rule, the third is taken: so it is real.
    """

    def __init__(self, most_per_minute: Measurement) -> None:
        self._most = most_per_minute
        self._taken: tuple[float, Measurement] | None = None  # when (s), what
        self._refused: tuple[float, Measurement] | None = None  # the last one
        self._agreeing = 0  # how many in a row it makes

    def check(self, measured: Measurement, now_s: float) -> None:
        """Take a measurement; SensorError if it is refused."""
        if self._taken is not None and not self._agree(self._taken, measured, now_s):
            if self._refused is not None and self._agree(self._refused, measured, now_s):
                self._agreeing += 1
            else:
                self._agreeing = 1
            if self._agreeing < _AGREEING:
                self._refused = now_s, measured
                was = self._taken[1]
                raise SensorError(
                    f"jumped from {was[0]:g} °C, {was[1]:g} % to {measured[0]:g} °C, "
                    f"{measured[1]:g} %; it counts when {_AGREEING} in a row agree"
                )
        self._taken, self._refused, self._agreeing = (now_s, measured), None, 0

    def _agree(
        self, before: tuple[float, Measurement], measured: Measurement, now_s: float
    ) -> bool:
        minutes = max(1.0, (now_s - before[0]) / 60)
        return all(
            abs(new - old) <= most * minutes
            for new, old, most in zip(measured, before[1], self._most, strict=True)
        )


@dataclass
class Am2302:
    """Read the temperature, and the humidity for a proxy.

    A measurement that fails or cannot be true is repeated after 2 s, as often as `tries` and the
    interval allow.
    """

    codifier: str
    pin: int = setting(ge=0, doc="GPIO number (BCM) of the data line", title="GPIO")
    channel: Channel | None = None
    proxy: tuple[HumidityOf, ...] = setting(
        (), doc="who gets the humidity", title="Humidity goes to"
    )
    device: str = setting("", doc="IIO device, iio:device0, or its name, dht11@4")
    tries: int = setting(5, ge=1, le=5, doc="measurements in an interval, at most")
    temperature_rate: float = setting(10.0, gt=0, doc="fastest believable change, °C per minute")
    humidity_rate: float = setting(40.0, gt=0, doc="fastest believable change, % per minute")
    _devices: Path = field(default=dht.DEVICES, repr=False)
    _clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    _sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def __post_init__(self) -> None:
        self._steadiness = Steadiness((self.temperature_rate, self.humidity_rate))
        self._way: Way | None = None

    def read(self) -> Mapping[str, float]:
        """Return temperature and humidity; SensorError after the last try."""
        until_s = self._clock() + self._interval_s()
        way = self._way = self._way or dht.find(self.pin, self.device, self._devices)
        count, reason = 0, ""
        while count < self.tries and (count == 0 or self._clock() + PAUSE_S <= until_s):
            count += 1
            try:
                temperature, humidity = self._measure(way)
            except SensorError as error:
                reason = str(error)
                log.debug("%s: try %d: %s", self.codifier, count, reason)
                continue
            return {
                self.codifier: temperature,
                **dict.fromkeys((each.codifier for each in self.proxy), humidity),
            }
        self.close()  # the sensor may be at another place when it returns
        tries = "1 try" if count == 1 else f"{count} tries"
        raise SensorError(f"no measurement in {tries}; the last one: {reason}")

    def close(self) -> None:
        """Give the pin back."""
        way, self._way = self._way, None
        if way is not None:
            way.close()

    def _measure(self, way: Way) -> Measurement:
        """Measure once, 2 s after the last time; SensorError if it failed or cannot be true."""
        place = self.pin, self._clock
        if place in _tried_s:
            wait_s = _tried_s[place] + PAUSE_S - self._clock()
            if wait_s > 0:
                self._sleep(wait_s)
        try:
            measured = way.measure()
        finally:
            _tried_s[place] = self._clock()
        measured = _as_meant(measured)
        _check_range(measured)
        self._steadiness.check(measured, _tried_s[place])
        return measured

    def _interval_s(self) -> float:
        component = self.channel.component if self.channel else None
        return (component.sensor_interval_s if component else None) or _INTERVAL_S


def _as_meant(measured: Measurement) -> Measurement:
    """Return a measurement of a clone, below 0 °C, as it means it.

    An AM2302 sends sign and magnitude, and so every driver reads it. Some clones send two's
    complement, so that 0xffff, -0.1 °C, is read as -3276.7. No true reading is near that.
    """
    temperature, humidity = measured
    meant = round(-temperature - _SIGN_BIT_C, 1)
    return (meant if _LOWEST_C <= meant < 0 else temperature), humidity


def _check_range(measured: Measurement) -> None:
    temperature, humidity = measured
    if not _LOWEST_C <= temperature <= _HIGHEST_C:
        raise SensorError(f"{temperature:g} °C is beyond the sensor's range of -40 to 80 °C")
    if not 0 <= humidity <= 100:
        raise SensorError(f"a humidity of {humidity:g} % is impossible")
    if temperature == 0 and humidity == 0:
        raise SensorError("all bits are 0, as of a data line that is held at ground")
