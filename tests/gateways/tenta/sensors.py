"""Sensors for the tests of what they send."""

from uuid import UUID

from sqlalchemy import insert

from gateways.tenta import tables

NETWORK = UUID("00000000-0000-4000-8000-00000000000a")
SENSOR = UUID("00000000-0000-4000-8000-00000000000b")
OTHER = UUID("00000000-0000-4000-8000-00000000000c")
NOBODY = UUID("00000000-0000-4000-8000-00000000000d")
TIME_US = 1_683_645_000_123_456


def add_sensors(connection, *identifiers):
    """Make a network with sensors."""
    network = {"identifier": NETWORK, "name": "greenhouse", "creation_timestamp": TIME_US}
    connection.execute(insert(tables.network), network)
    for identifier in identifiers:
        row = {"identifier": identifier, "name": identifier.hex, "network_identifier": NETWORK}
        connection.execute(insert(tables.sensor), {**row, "creation_timestamp": TIME_US})
