"""The component `Esp32Examples`: simulated boards, and the program that they are."""

from dataclasses import dataclass
from pathlib import Path

from gateways.examples import Program, at_broker, broker_of, gateway_named
from jph.config.model import Config
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
        gateway = gateway_named(self.config, self.server, "Esp32")
        where, said = at_broker(broker_of(gateway, self.config, self.home))
        how = ["--boards", str(self.boards), "--interval", str(self.interval_s)]
        self._program = Program([PROGRAM, *where, *how], said)

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish how many are at work."""
        self.channel.send_data(self.boards * self._program.works, timestamp_ms)
        return STATE.WITHERRORS if self._program.fault else STATE.GOOD

    def close(self) -> None:
        """End the boards."""
        self._program.close()
