"""The component `Esp32Examples`: simulated boards, and the program that they are."""

from dataclasses import dataclass
from pathlib import Path

from gateways.address import DEFAULT_BROKER, BrokerAddress, address_of
from gateways.examples import Program
from jph.config.model import Component, Config
from jph.errors import ConfigError
from jph.node.channel import Channel
from jph.node.process import STATE
from jph.settings import setting

PROGRAM = "gateways.esp32.examples.boards"


@dataclass
class Esp32Examples:
    """Have simulated boards at an Esp32 component; its own data is how many of them are at work."""

    channel: Channel
    config: Config
    home: Path
    server: str = setting(doc="Codifier of the Esp32 component")
    boards: int = setting(4, ge=1, le=1000, doc="how many")
    interval_s: float = setting(2.0, key="Interval", gt=0, doc="how often they measure, s")

    def __post_init__(self) -> None:
        gateway = gateway_named(self.config, self.server)
        address = broker_of(gateway, self.config, self.home)
        where = ["--host", address.host, "--port", str(address.port)]
        how = ["--boards", str(self.boards), "--interval", str(self.interval_s)]
        said = b""
        if address.user:
            where += ["--user", address.user]
            said = f"{address.password}\n".encode()
        self._program = Program([PROGRAM, *where, *how], said)

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish how many are at work."""
        self.channel.send_data(self.boards * self._program.works, timestamp_ms)
        return STATE.WITHERRORS if self._program.fault else STATE.GOOD

    def close(self) -> None:
        """End the boards."""
        self._program.close()


def gateway_named(config: Config, codifier: str) -> Component:
    """Return an Esp32 component of the configuration.

    Raises:
        ConfigError: there is none of this name.
    """
    component = config.components.get(codifier)
    if component is None or component.type != "Esp32":
        raise ConfigError(f"Server: {codifier} is no component of type Esp32")
    return component


def broker_of(gateway: Component, config: Config, home: Path) -> BrokerAddress:
    """Return the broker that a gateway uses, with its account."""
    password = gateway.settings.get("PasswordFile")
    broker = str(gateway.settings.get("Broker") or DEFAULT_BROKER)
    return address_of(broker, Path(str(password)) if password else None, config, home)
