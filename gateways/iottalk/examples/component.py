"""The component `IotTalkExamples`: example devices, and the program that they are."""

from dataclasses import dataclass
from pathlib import Path

from gateways.examples import Program, at_broker, broker_of, gateway_named
from gateways.iottalk.component import PORT
from gateways.iottalk.examples.devices import DEVICES
from jph.config.model import Config
from jph.node.channel import Channel
from jph.node.process import STATE
from jph.settings import setting

PROGRAM = "gateways.iottalk.examples.devices"


@dataclass
class IotTalkExamples:
    """Have example devices at an IotTalk component; its own data is how many are at work."""

    channel: Channel
    config: Config
    home: Path
    server: str = setting(doc="Codifier of the IotTalk component")
    sets: str = setting(
        "", doc="Codifier that the example graph sets, too; it must be controllable"
    )
    interval_s: float = setting(2.0, key="Interval", gt=0, doc="how often the dial turns, s")

    def __post_init__(self) -> None:
        gateway = gateway_named(self.config, self.server, "IotTalk")
        where, said = at_broker(broker_of(gateway, self.config, self.home))
        port = int(str(gateway.settings.get("Port") or PORT))
        how = ["--http", f"http://127.0.0.1:{port}", "--interval", str(self.interval_s)]
        how += ["--sets", self.sets] if self.sets else []
        self._program = Program([PROGRAM, *where, *how], said)

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish how many are at work."""
        self.channel.send_data(len(DEVICES) * self._program.works, timestamp_ms)
        return STATE.WITHERRORS if self._program.fault else STATE.GOOD

    def close(self) -> None:
        """End the devices."""
        self._program.close()
