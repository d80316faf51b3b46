"""The component `TentaExamples`: example sensors, and the program that they are."""

import logging
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateways.address import DEFAULT_BROKER, BrokerAddress, address_of
from gateways.store import DEFAULT_STORE, Store
from gateways.tenta import configurations, tables
from gateways.tenta.examples.networks import CONFIGURATION, SENSORS, add_networks
from jph import child
from jph.config.model import Component, Config
from jph.errors import ConfigError, StoreError
from jph.faults import Fault
from jph.node.channel import Channel
from jph.node.process import STATE
from jph.settings import setting
from jph.threads import component_thread

log = logging.getLogger(__name__)

PROGRAM = "gateways.tenta.examples.sensors"
PAUSE_S = 2.0
STOP_S = 5.0


@dataclass
class TentaExamples:
    """Have example sensors at a Tenta component; its own data is how many of them are at work."""

    channel: Channel
    config: Config
    home: Path
    server: str = setting(doc="Codifier of the Tenta component")
    interval_s: float = setting(2.0, key="Interval", gt=0, doc="how often they measure, s")

    def __post_init__(self) -> None:
        gateway = gateway_named(self.config, self.server)
        self._gateway = gateway
        self._address = _address(gateway, self.config, self.home)
        self._process: subprocess.Popen[bytes] | None = None
        self._fault = Fault(log)
        self._closing = threading.Event()
        self._thread = component_thread("examples", self._run)
        self._thread.start()

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish how many are at work."""
        works = self._process is not None and self._process.poll() is None
        self.channel.send_data(len(SENSORS) * works, timestamp_ms)
        return STATE.WITHERRORS if self._fault else STATE.GOOD

    def close(self) -> None:
        """End the sensors."""
        self._closing.set()
        self._thread.join(STOP_S + PAUSE_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                populate(self._gateway, self.home)
                self._fault.end("the example sensors are in the store")
                self._watch()
            except (OSError, StoreError) as error:
                self._fault.note(str(error))
            self._closing.wait(PAUSE_S)

    def _watch(self) -> None:
        """Run the program of the sensors until it ends or we do."""
        base_topic = str(self._gateway.settings.get("BaseTopic") or "")
        where = ["--host", self._address.host, "--port", str(self._address.port)]
        how = ["--interval", str(self.interval_s), "--base-topic", base_topic]
        # It ends when its input does, so that it never outlives us.
        with subprocess.Popen(
            [sys.executable, "-P", "-m", PROGRAM, *where, *how],
            stdin=subprocess.PIPE,
            env=child.environment(),
            start_new_session=True,
        ) as process:
            self._process = process
            while process.poll() is None and not self._closing.wait(0.2):
                pass
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def gateway_named(config: Config, codifier: str) -> Component:
    """Return a Tenta component of the configuration.

    Raises:
        ConfigError: there is none of this name.
    """
    component = config.components.get(codifier)
    if component is None or component.type != "Tenta":
        raise ConfigError(f"Server: {codifier} is no component of type Tenta")
    return component


def populate(gateway: Component, home: Path) -> int:
    """Put networks, sensors and their first configurations into the store; return new sensors.

    Raises:
        StoreError: the store is away.
    """
    settings = gateway.settings
    password = settings.get("StorePasswordFile")
    url = str(settings.get("Store") or DEFAULT_STORE)
    outgoing = configurations.Outgoing(gateway.codifier, str(settings.get("BaseTopic") or ""))
    file = Path(str(password)) if password else None
    with (
        closing(Store.open(url, home, file, tables.STEPS)) as store,
        store.writing() as connection,
    ):
        added = add_networks(connection, time.time_ns() // 1000)
        for each in added:
            configurations.post(connection, each.identifier, CONFIGURATION, outgoing)
    return len(added)


def _address(gateway: Component, config: Config, home: Path) -> BrokerAddress:
    password = gateway.settings.get("PasswordFile")
    broker = str(gateway.settings.get("Broker") or DEFAULT_BROKER)
    return address_of(broker, Path(str(password)) if password else None, config, home)
