"""A barometer that writes hPa and °C into a device file, as a type of JPH."""

from collections.abc import Mapping
from dataclasses import dataclass

from jph import SensorError, setting


@dataclass
class TemperatureOf:
    """Which proxy gets the temperature."""

    codifier: str = setting(key="Codifier", doc="the proxy")


@dataclass
class Barometer:
    """Read the pressure, reduced to sea level, and the temperature for a proxy."""

    codifier: str
    device: str = setting("/dev/baro0", doc="path of the device")
    altitude_m: float = setting(0.0, key="Altitude", ge=-500, le=9000, doc="above the sea, m")
    proxy: tuple[TemperatureOf, ...] = setting((), doc="who gets the temperature")

    def read(self) -> Mapping[str, float]:
        """Return both values; SensorError if the device has none now."""
        try:
            with open(self.device) as file:
                pressure_hpa, temperature = map(float, file.read(100).split())
        except (OSError, ValueError) as error:
            raise SensorError(f"{self.device}: {error}") from error
        values = {self.codifier: pressure_hpa + self.altitude_m / 8.3}
        return values | {each.codifier: temperature for each in self.proxy}
