"""Two example networks with twelve sensors, and what these do."""

import math
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, insert, select

from gateways.tenta.tables import network, sensor

Behaviour = Literal["measures", "fails", "never acknowledges"]
CONFIGURATION = {"interval": 2, "attributes": ["temperature", "humidity"]}


def _identifier(number: int) -> UUID:
    return UUID(f"00000000-0000-4000-8000-{number:012x}")


@dataclass(frozen=True, slots=True)
class ExampleSensor:
    """A sensor, and the daily curves of its readings, which pass within ten minutes here."""

    number: int
    network: str
    name: str
    temperature: float  # mean, degC
    swing: float  # degC
    behaviour: Behaviour = "measures"

    @property
    def identifier(self) -> UUID:
        """The same in every example, so that programs can name it."""
        return _identifier(self.number)

    def values(self, time_s: float) -> dict[str, float]:
        """Return what it measures at a time."""
        angle = 2 * math.pi * (time_s / 600 + self.number / 12)
        noise = math.sin(time_s * 12.9898 + self.number) * 0.1
        temperature = self.temperature + self.swing * math.sin(angle) + noise
        humidity = 0.6 - 0.15 * math.sin(angle) + noise / 10
        return {"temperature": round(temperature, 2), "humidity": round(humidity, 3)}


NETWORKS = {"greenhouse": _identifier(0xA0), "roof": _identifier(0xB0)}
SENSORS = [
    *(ExampleSensor(n, "greenhouse", f"bed-{n}", 21 + n / 2, 4) for n in range(1, 6)),
    *(ExampleSensor(5 + n, "roof", f"mast-{n}", 12 + n / 2, 8) for n in range(1, 6)),
    ExampleSensor(11, "greenhouse", "pump", 35, 2, "fails"),
    ExampleSensor(12, "roof", "gauge", 10, 6, "never acknowledges"),
]


def add_networks(connection: Connection, time_us: int) -> list[ExampleSensor]:
    """Make the networks and sensors that are missing; return the new sensors."""
    there = set(connection.scalars(select(network.c.identifier)))
    there.update(connection.scalars(select(sensor.c.identifier)))
    for name, identifier in NETWORKS.items():
        if identifier not in there:
            row = {"identifier": identifier, "name": name, "creation_timestamp": time_us}
            connection.execute(insert(network), row)
    added = [each for each in SENSORS if each.identifier not in there]
    for each in added:
        row = {"identifier": each.identifier, "name": each.name, "creation_timestamp": time_us}
        connection.execute(insert(sensor), {**row, "network_identifier": NETWORKS[each.network]})
    return added
