"""The component `Tenta`: what sensors of Tenta and hermes send is stored, and on the bus.

    broker -> Inlet -> Ingest -> Store, in one transaction -> acknowledged -> Mapping -> bus
    people -> HTTP -> Store, with the message that is to go out -> Outbox -> broker

While it is halted it goes on storing and publishing configurations; only the bus hears nothing. A
new list of proxies is taken while it works.
"""

import threading
import time
from collections.abc import Collection
from collections.abc import Mapping as Given
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from gateways.gateway import Gateway
from gateways.http import JsonServer
from gateways.inlet import Inlet
from gateways.link import Link, client_id
from gateways.outbox import Outbox
from gateways.rights import Rights
from gateways.tenta import configurations, tables
from gateways.tenta.ingest import Ingest
from gateways.tenta.models import KINDS, subscriptions
from gateways.tenta.proxies import AttributeOf, Proxies
from gateways.tenta.retention import Keep, Retention
from gateways.tenta.service import Flavour, Service
from jph.config.model import Config
from jph.errors import ConfigError, StoreError
from jph.node.process import STATE
from jph.settings import setting
from jph.tcp import is_loopback
from jph.threads import component_thread

PORT = 8421
RETENTION_S = 3600.0


@dataclass
class Tenta(Gateway):
    """Serve the sensors and programs of Tenta and hermes.

    Its own data is {"value": messages stored per minute, "refused": messages that broke a rule,
    "fault": why the broker or the store takes nothing; absent if they do}, every SensorInterval.
    """

    port: int = setting(PORT, ge=0, le=65535, doc="TCP port of the REST API; 0 for any free one")
    host: str = setting("127.0.0.1", doc="address the API listens on; 0.0.0.0: all of this machine")
    base_topic: str = setting("", doc="before all topics; hermes often has sensortopic/")
    registration: bool | None = setting(
        None, doc="whether anybody may make a user; absent: only if Host is a loopback address"
    )
    flavour: Flavour = setting("tenta", doc="shape of the API's answers: tenta or hermes")
    keep: Keep | None = setting(None, doc="how long what sensors sent is kept")
    proxy: tuple[AttributeOf, ...] = setting((), doc="what goes on the bus, each value a proxy")

    @staticmethod
    def listens_on(host: str = "127.0.0.1", port: int = PORT, **others: object) -> tuple[str, int]:
        """Return address and port, by the settings that are given; see `jph.config.checks`."""
        return host, port

    @staticmethod
    def check_settings(given: Given[str, Any], codifiers: Collection[str]) -> None:
        """Refuse a range of Codifiers that is none, and topics that no broker takes."""
        Gateway.check_settings(given, codifiers)
        base = given.get("base_topic", "")
        if base and (not base.endswith("/") or set(base) & {"+", "#", "\0"}):
            raise ConfigError(f"BaseTopic: {base!r} must end with / and have no + and no #")

    @staticmethod
    def rights(settings: Given[str, Any]) -> Rights:
        """Return what a Broker lets sensors do."""
        base = settings.get("BaseTopic") or ""
        return Rights(
            own=(f"{base}configurations/+",),
            devices=tuple(f"{base}{kind}/%s" for kind in KINDS),
            reads=(f"{base}configurations/%s",),
        )

    def __post_init__(self) -> None:
        codifier = self.channel.codifier
        self._stopping = threading.Event()
        with ExitStack() as opened:
            listener, token = self._open(opened, self.host, self.port, tables.STEPS)
            self._ingest = Ingest(
                self._store, codifier, self.base_topic, Proxies(self.proxy), self._mapping.send
            )
            self._inlet = Inlet(
                self._address,
                client_id("tenta", token, codifier),
                subscriptions(self.base_topic),
                self._ingest.commit,
                refused=self._ingest.refuse,
            )
            self._outgoing = configurations.Outgoing(codifier, self.base_topic)
            self._outbox = Outbox(
                self._store,
                codifier,
                self._inlet,
                configurations.published,
                lambda connection: configurations.publish_again(
                    connection, self._outgoing, knows_us=self._inlet.connection.is_resumed
                ),
            )
            self._link = Link(
                self.channel,
                self._address,
                self._store,
                self._inlet,
                self._outbox,
                self._mapping,
                lambda: self._ingest.counts,
            )
            self._server = JsonServer(listener, self._app(token))
            opened.pop_all()
        self.bound_port = self._server.port
        self._link.start()
        self._retention = component_thread("retention", self._keep)
        self._retention.start()

    def _app(self, token: str) -> Any:
        from gateways.tenta.routes import app_of  # Flask takes a while

        registration = self.registration
        if registration is None:
            registration = is_loopback(self.host)
        return app_of(
            Service(
                self._store,
                self._outgoing,
                token,
                flavour=self.flavour,
                registration=registration,
                mqtt=(self._address.host, self._address.port),
                wake=self._outbox.wake,
                state=self.state,
                codifiers=lambda: {(it.device, it.attribute): it.codifier for it in self.proxy},
            )
        )

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish messages per minute, and the fault if there is one."""
        return self._link.send_own(timestamp_ms)

    def on_config(self, config: Config) -> None:
        """Take a new list of proxies, and their new entries."""
        self.proxy = self._proxies_in(config)
        self._ingest.proxies = Proxies(self.proxy)

    def state(self) -> dict[str, object]:
        """Return what the pages and tools show of it."""
        return self._link.facts()

    def close(self) -> None:
        """Commit what has come, and close everything."""
        self._stopping.set()
        self._server.close()
        self._link.close()
        self._retention.join(2)
        self._store.close()

    def _keep(self) -> None:
        retention = Retention(self._store, self.keep or Keep(), lambda: not self._stopping.is_set())
        while not self._stopping.wait(RETENTION_S):
            with suppress(StoreError):  # the inlet says so; the next hour will do
                retention.apply(time.time_ns() // 1000)
