"""The component `TentaExamples`: example sensors, and the program that they are."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateways.examples import Program, at_broker, broker_of, gateway_named
from gateways.store import DEFAULT_STORE, Store
from gateways.tenta import configurations, people, tables
from gateways.tenta.examples.networks import CONFIGURATION, NETWORKS, SENSORS, add_networks
from jph.config.model import Component, Config
from jph.node.channel import Channel
from jph.node.process import STATE
from jph.settings import setting

PROGRAM = "gateways.tenta.examples.sensors"
USER = "example"


@dataclass
class TentaExamples:
    """Have example sensors at a Tenta component; its own data is how many of them are at work."""

    channel: Channel
    config: Config
    home: Path
    server: str = setting(doc="Codifier of the Tenta component")
    interval_s: float = setting(2.0, key="Interval", gt=0, doc="how often they measure, s")

    def __post_init__(self) -> None:
        gateway = gateway_named(self.config, self.server, "Tenta")
        where, said = at_broker(broker_of(gateway, self.config, self.home))
        base_topic = str(gateway.settings.get("BaseTopic") or "")
        how = ["--interval", str(self.interval_s), "--base-topic", base_topic]
        self._program = Program(
            [PROGRAM, *where, *how], said, prepare=lambda: populate(gateway, self.home)
        )

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish how many are at work."""
        self.channel.send_data(len(SENSORS) * self._program.works, timestamp_ms)
        return STATE.WITHERRORS if self._program.fault else STATE.GOOD

    def close(self) -> None:
        """End the sensors."""
        self._program.close()


def populate(gateway: Component, home: Path) -> int:
    """Put networks, sensors and their first configurations into the store; return new sensors.

    Raises:
        StoreError: the store is away.
    """
    base_topic = str(gateway.settings.get("BaseTopic") or "")
    outgoing = configurations.Outgoing(gateway.codifier, base_topic)
    with _store(gateway, home) as store, store.writing() as connection:
        added = add_networks(connection, people.now_us())
        for each in added:
            configurations.post(connection, each.identifier, CONFIGURATION, outgoing)
    return len(added)


def add_user(gateway: Component, home: Path) -> str | None:
    """Make a user of the example networks, which are there already.

    Returns:
        the password, which is kept nowhere; None: there is that user.

    Raises:
        StoreError: the store is away.
    """
    password = secrets.token_urlsafe(12)
    hashed = people.hash_password(password)
    with _store(gateway, home) as store, store.writing() as connection:
        if people.find_user(connection, USER):
            return None
        identifier = people.create_user(connection, USER, hashed)
        for network in NETWORKS.values():
            people.allow(connection, identifier, network)
    return password


@contextmanager
def _store(gateway: Component, home: Path) -> Iterator[Store]:
    password = gateway.settings.get("StorePasswordFile")
    url = str(gateway.settings.get("Store") or DEFAULT_STORE)
    file = Path(str(password)) if password else None
    with closing(Store.open(url, home, file, tables.STEPS)) as store:
        yield store
