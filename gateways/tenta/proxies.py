"""Which values of which sensors go on the bus, and under which Codifier."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, select, tuple_

from gateways.tenta.tables import network, sensor
from jph.settings import setting

Codifiers = Mapping[UUID, Mapping[str, str]]  # sensor -> attribute -> Codifier


@dataclass(frozen=True, slots=True)
class AttributeOf:
    """One attribute of a sensor, and the Codifier it has on the bus."""

    codifier: str = setting(doc="the Codifier of the value")
    device: str = setting(doc="the sensor: its network and name as network/sensor, or its UUID")
    attribute: str = setting(doc="the key of the value in the sensor's measurements")


class Proxies:
    """Finds the sensors of the entries; names anew at each call, since people rename sensors."""

    def __init__(self, entries: Sequence[AttributeOf]) -> None:
        self._by_identifier: dict[UUID, dict[str, str]] = {}
        self._by_name: dict[tuple[str, str], dict[str, str]] = {}
        for entry in entries:
            with suppress(ValueError):
                found = self._by_identifier.setdefault(UUID(entry.device), {})
                found[entry.attribute] = entry.codifier
                continue
            of_network, _, name = entry.device.partition("/")
            self._by_name.setdefault((of_network, name), {})[entry.attribute] = entry.codifier

    def codifiers(self, connection: Connection) -> Codifiers:
        """Return the Codifiers of all sensors that there are now."""
        if not self._by_name:
            return self._by_identifier
        query = (
            select(sensor.c.identifier, network.c.name, sensor.c.name)
            .join(network, network.c.identifier == sensor.c.network_identifier)
            .where(tuple_(network.c.name, sensor.c.name).in_(list(self._by_name)))
        )
        found = dict(self._by_identifier)
        for identifier, *names in connection.execute(query):
            found[identifier] = self._by_name[names[0], names[1]] | found.get(identifier, {})
        return found
