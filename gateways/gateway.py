"""What all gateways of devices have: settings, and the parts between a broker and the bus."""

import socket
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateways.address import DEFAULT_BROKER, address_of
from gateways.http import home_token, listen
from gateways.link import Link
from gateways.mapping import Mapping as BusMapping
from gateways.steps import Step
from gateways.store import DEFAULT_STORE, Store
from jph.config.adopt import codifiers_in
from jph.config.model import Config
from jph.errors import ConfigError
from jph.node.channel import Channel
from jph.settings import arguments, setting


@dataclass
class Gateway:
    """A component that serves devices at a broker, and people and programs over HTTP."""

    channel: Channel
    config: Config
    home: Path
    broker: str = setting(DEFAULT_BROKER, doc="URL of the broker, or Codifier of a Broker")
    password_file: Path | None = setting(
        None, doc="path of the file with the password of the user in the URL"
    )
    store: str = setting(DEFAULT_STORE, doc="URL of the store, sqlite:///… or postgresql://…")
    store_password_file: Path | None = setting(
        None, doc="path of the file with the password of the store"
    )
    codifiers: str = setting(
        "", doc="range that jph gateway adopt and the pages take new Codifiers from, as t0-tz"
    )

    live_settings = ("Proxy",)
    _link: Link = field(init=False, repr=False)

    @staticmethod
    def check_settings(given: Mapping[str, Any], codifiers: Collection[str]) -> None:
        """Refuse a range of Codifiers that is none."""
        if given.get("codifiers"):
            try:
                codifiers_in(given["codifiers"])
            except ValueError as error:
                raise ConfigError(f"Codifiers: {error}") from None

    def _open(
        self, opened: ExitStack, host: str, port: int, steps: Sequence[Step]
    ) -> tuple[socket.socket, str]:
        """Open what a gateway needs; `opened` closes it if the rest fails.

        Returns:
            the socket of its server, and the token of the home directory.
        """
        self._address = address_of(self.broker, self.password_file, self.config, self.home)
        listener = listen(host, port)
        opened.callback(listener.close)
        self._store = Store.open(self.store, self.home, self.store_password_file, steps)
        opened.callback(self._store.close)
        self._mapping = BusMapping(self.channel)
        opened.callback(self._mapping.close)
        return listener, home_token(self.home)

    def _proxies_in(self, config: Config) -> Any:
        """Return the list of proxies of another configuration, and take their entries."""
        entry = config.components[self.channel.codifier]
        given = arguments(type(self), entry.settings, f"Sensors[{entry.index}].Sensor")
        self._mapping.reconfigure()
        return given.get("proxy", ())

    @property
    def fault(self) -> str:
        """Why the broker or the store takes nothing; empty if they do."""
        return self._link.fault
