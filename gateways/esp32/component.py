"""The component `Esp32`: boards join, what they report is stored, and on the bus.

    broker -> Inlet -> Ingest -> Store, in one transaction -> acknowledged -> Mapping -> bus
    the same transaction, for a board that joins -> Outbox -> broker
    pages, or A on the bus -> the command to switch an LED -> broker

While it is halted it goes on storing, and answering boards; only the bus hears nothing. A new list
of proxies is taken while it works. A command is not kept for a broker that is away: who gave it is
told, and no LED switches minutes later.
"""

import threading
import time
from collections.abc import Mapping as Given
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateways.address import has_accounts
from gateways.esp32 import retention, tables
from gateways.esp32.boards import Board, Listening
from gateways.esp32.ingest import Ingest
from gateways.esp32.protocol import COMMAND, FROM_BOARDS, FROM_US, QOS_COMMAND
from gateways.esp32.proxies import Proxies, ValueOf
from gateways.esp32.service import GoneError, Service
from gateways.gateway import Gateway
from gateways.http import JsonServer
from gateways.inlet import Inlet
from gateways.link import Link, client_id
from gateways.mapping import MappedReading
from gateways.outbox import Outbox
from gateways.rights import Rights
from jph.config.model import Config
from jph.errors import SensorError, StoreError
from jph.node.process import STATE
from jph.settings import setting
from jph.tcp import is_loopback
from jph.threads import component_thread

PORT = 8000
RETENTION_S = 3600.0
LOOK_S = 1.0
THREADS = 64  # each page that is open keeps one, for what changes


@dataclass
class Esp32(Gateway):
    """Serve ESP32 boards with an LED, a button and a photoresistor.

    Its own data is {"value": messages stored per minute, "boards": how many are connected,
    "refused": messages that broke a rule, "fault": why the broker or the store takes nothing;
    absent if they do}, every SensorInterval.
    """

    port: int = setting(PORT, ge=0, le=65535, doc="TCP port of the pages; 0 for any free one")
    host: str = setting("127.0.0.1", doc="address of the pages; 0.0.0.0: all of this machine")
    page_password_file: Path | None = setting(
        None, doc="path of the file with the password of the pages"
    )
    keep_days: float | None = setting(
        None, gt=0, doc="age of the values that are kept, days; absent: all are"
    )
    proxy: tuple[ValueOf, ...] = setting((), doc="what goes on the bus, each value a proxy")

    @staticmethod
    def listens_on(host: str = "127.0.0.1", port: int = PORT, **others: object) -> tuple[str, int]:
        """Return address and port, by the settings that are given; see `jph.config.checks`."""
        return host, port

    @staticmethod
    def rights(settings: Given[str, Any]) -> Rights:
        """Return what a Broker lets boards do: say who they are and report, and hear us only."""
        return Rights(own=FROM_US, devices=FROM_BOARDS, reads=FROM_US)

    def __post_init__(self) -> None:
        codifier = self.channel.codifier
        self._proxies = Proxies(self.proxy)
        self._stopping = threading.Event()
        with ExitStack() as opened:
            listener, token = self._open(opened, self.host, self.port, tables.STEPS)
            self._ingest = Ingest(self._store, codifier, self._send)
            self._inlet = Inlet(
                self._address,
                client_id("esp32", token, codifier),
                FROM_BOARDS,
                self._ingest.commit,
                refused=self._ingest.refuse,
            )
            self._accounts = has_accounts(self.broker, self.config)
            self._ingest.listening = self._listening
            outbox = Outbox(self._store, codifier, self._inlet)
            self._ingest.wake = outbox.wake
            self._link = Link(
                self.channel,
                self._address,
                self._store,
                self._inlet,
                outbox,
                self._mapping,
                lambda: self._ingest.counts,
            )
            self.service = Service(
                self._store,
                codifier,
                self._ingest,
                publish=self._publish,
                state=self.state,
                codifiers=lambda: self._proxies.codifiers,
            )
            self._server = self._serve(listener, token)
            opened.pop_all()
        self.bound_port = self._server.port
        self._link.start()
        self._keeper = component_thread("retention", self._keep)
        self._keeper.start()

    def _serve(self, listener: Any, token: str) -> JsonServer:
        from gateways.esp32.pages import app_of, password_of  # Flask takes a while

        password = None
        if self.page_password_file or not is_loopback(self.host):
            password = password_of(self.home, self.page_password_file)
        app = app_of(self.service, token, host=self.host, password=password)
        return JsonServer(listener, app, threads=THREADS)

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish what it does; and LED and button of connected boards, which report changes."""
        boards = self._ingest.boards()
        found = {key: board for board in boards for key in (board.mac, board.name)}
        again = []
        for (device, kind), codifier in self._proxies:
            board = found.get(device)
            if board is not None and board.connected and kind != "photoresistor":
                value = board.led if kind == "led" else board.button
                if value is not None:
                    again.append(MappedReading(codifier, timestamp_ms, int(value)))
        self._mapping.send(again)
        connected = sum(board.connected for board in boards)
        return self._link.send_own(timestamp_ms, boards=connected)

    def on_command(self, codifier: str, flag: str, number: float) -> None:
        """Switch the LED that has a Codifier: A 1 or 0; by E, a step up is on and one down off.

        The board's answer is the next value of the LED.
        """
        device, kind = self._proxies.key(codifier) or ("", "")
        if kind != "led":
            raise SensorError("only an LED can be switched")
        board = next((it for it in self._ingest.boards() if device in (it.mac, it.name)), None)
        if board is None:
            raise SensorError(f"there is no board {device}")
        if flag == "E":
            number = min(1, max(0, int(bool(board.led)) + number))
        if number not in (0, 1):
            raise SensorError("an LED takes 0 or 1")
        try:
            self.service.send(board.name, board.session, bool(number))
        except (GoneError, TimeoutError) as error:
            raise SensorError(str(error)) from None

    def on_config(self, config: Config) -> None:
        """Take a new list of proxies, their new entries, and whether boards have accounts."""
        self._accounts = has_accounts(self.broker, config)
        self.proxy = self._proxies_in(config)
        self._proxies = Proxies(self.proxy)

    def state(self) -> dict[str, object]:
        """Return what the pages and tools show of it."""
        boards = self._ingest.boards()
        connected = sum(board.connected for board in boards)
        return {**self._link.facts(), "boards": len(boards), "connected_boards": connected}

    def close(self) -> None:
        """Commit what has come, and close everything."""
        self._stopping.set()
        self._server.close()
        self._link.close()
        self._keeper.join(2)
        self._ingest.save()
        self._store.close()

    def _send(self, values: Sequence[tuple[Board, tables.Reading]]) -> None:
        proxies = self._proxies
        mapped = [
            MappedReading(codifier, each.at_ms, each.value)
            for board, each in values
            if (codifier := proxies.codifier(board, each.kind))
        ]
        if mapped:
            self._mapping.send(mapped)

    def _publish(self, payload: bytes) -> bool:
        connection = self._inlet.connection
        return connection.publish(COMMAND, payload, QOS_COMMAND, False) is not None

    def _listening(self) -> Listening:
        return Listening(self._inlet.connection.listening_since_us // 1000, self._accounts)

    def _keep(self) -> None:
        self._ingest.load()
        next_retention_s = time.monotonic() + RETENTION_S
        while not self._stopping.wait(LOOK_S):
            now_ms = time.time_ns() // 1_000_000
            with suppress(StoreError):  # the inlet says so; the next time will do
                # Wills may have been lost: a broker keeps none with QoS 0 for a gateway that is
                # away, and none at all when it is killed. Whoever is there after all is back with
                # the next value.
                self._ingest.leave_silent(now_ms)
                if time.monotonic() > next_retention_s:
                    next_retention_s = time.monotonic() + RETENTION_S
                    self._ingest.forget_unused(now_ms)
                    retention.apply(
                        self._store, self.keep_days, now_ms, lambda: not self._stopping.is_set()
                    )
