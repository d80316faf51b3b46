"""The parts that the views share: records, channel, stores, sign-in links. No Flask here."""

import logging
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from jph.bus.bus import BusStatus
from jph.bus.wire import Address, Control, Reading
from jph.config.model import Config
from jph.errors import StoreError
from jph.faults import Fault
from jph.node.channel import Channel
from jph.node.written import Written
from jph.stores import HistoryStore, open_history
from jph.stores.address import StoreAddress, history_address
from web.alerts.board import Board
from web.alerts.notes import AlertNotes
from web.alerts.push import PushSender
from web.history.event_recorder import EventRecorder
from web.live.readers import Readers
from web.live.records import Records
from web.live.stream import LiveStream
from web.logs.ring import Ring
from web.network.pings import Pings
from web.outcomes import Outcomes
from web.people.sign_in_links import Links, Throttle
from web.serving.exports import Exports
from web.serving.limits import Gate, Places
from web.serving.proxies import LOOPBACK, Networks, Proxies

if TYPE_CHECKING:
    from web.configuration.keeper import Keeper

log = logging.getLogger(__name__)

MOST_READERS = 1200
MOST_READERS_OF_ADDRESS = 64
MOST_CONNECTIONS = 1024
MOST_CONNECTIONS_OF_ADDRESS = 48  # a browser has six
MOST_EXPORTS = 8  # each has a thread
MOST_EXPORTS_OF_ADDRESS = 3
RECALL_S = 0.2  # longest wait of the start for the states from before


class Site:
    """One running web server, as its views see it."""

    def __init__(
        self,
        channel: Channel,
        config: Config,
        home: Path,
        *,
        state_url: str | None = None,
        history: StoreAddress | None = None,
        stalled_reader_s: float = 20.0,
        proxies: Proxies | None = None,
        readers_unsigned: Networks = LOOPBACK,
        origins: frozenset[str] = frozenset(),
    ) -> None:
        self.channel = channel
        self.config = config
        self.home = home
        self.address = ""  # on this machine, as soon as it is known
        self.records = Records(config, channel.last_states(), channel.process.components)
        self.records.own_addresses = channel.process.bus.own_addresses
        self.records.bus_fault = lambda: _bus_fault(channel.process.bus.status())
        self.stream = LiveStream(self.records)
        self.proxies = proxies or Proxies(())
        self.readers_unsigned = readers_unsigned  # who may read without signing in
        self.origins = origins  # of other pages whose scripts may use the API
        self.connections = Places(
            "connections", MOST_CONNECTIONS, MOST_CONNECTIONS_OF_ADDRESS, exempt=self.proxies
        )
        self.outcomes = Outcomes()
        self.pings = Pings(channel)
        self.written = Written()
        self.links = Links()
        self.throttle = Throttle()
        self.session_fault = Fault(log, logging.ERROR)  # each page of a session needs the database
        # What takes long has few places, so that the threads of the server are never all taken.
        self.page_gate = Gate("pages", at_once=1, most=12, most_of_address=6)
        self.history_gate = Gate("questions about history", at_once=2, most=8, most_of_address=6)
        self.password_gate = Gate("sign-ins", at_once=2, most=8, most_of_address=4)
        self.command_gate = Gate("commands", at_once=8, most=8, most_of_address=8)
        self._own_history = history
        self._lock = threading.Lock()
        self._history: tuple[StoreAddress, HistoryStore] | None = None
        self.recorder = EventRecorder(self.records, home)
        self.log_ring = Ring(lambda: self.config.components)
        self.log_ring.install()
        self.board = Board(config, self._ask)
        self.board.listeners.append(AlertNotes(self.recorder).take)
        self.push = PushSender(home)
        self.board.listeners.append(self.push.take)
        self.stream.more = self.board.frame
        recall = channel.process.recall(state_url)
        if recall is not None:
            recall.then(self._recalled)
            # The first page is complete where the store answers at once, and nobody waits for one
            # that does not.
            recall.wait(RECALL_S)
        self.exports = Exports(
            Places("exports", MOST_EXPORTS, MOST_EXPORTS_OF_ADDRESS, exempt=self.proxies),
            stalled_reader_s,
        )
        places = Places("live pages", MOST_READERS, MOST_READERS_OF_ADDRESS)
        # Last: these start threads.
        self.readers = Readers(self.stream, places, stalled_reader_s)
        self.recorder.start()

    def _recalled(self) -> None:
        self.records.recall()
        self.recorder.recalled()

    def _ask(self, codifier: str, number: float) -> bool:
        """Send an A, if there is a bus; tell whether there is."""
        is_joined = self.channel.process.bus.control.joined
        if is_joined:
            self.channel.send_control("A", codifier, number)
        return is_joined

    @cached_property
    def keeper(self) -> "Keeper":
        """What looks after the file of the configuration; it loads Flask."""
        from web.configuration.keeper import keeper_of

        return keeper_of(self.channel, self.home)

    def on_batch(self, readings: list[Reading]) -> None:
        """Take readings."""
        self.outcomes.hear(readings)
        self.board.on_batch(readings)
        self.records.on_batch(readings)

    def on_control(self, message: Control, address: Address) -> None:
        """Take one control message."""
        self.pings.hear(message)
        self.outcomes.hear([message])
        self.board.on_control(message)
        self.records.on_control(message, address)
        self.recorder.on_control(message)
        if "keeper" in vars(self):
            self.keeper.hear(message)

    def reconfigure(self, config: Config) -> None:
        """Go on with another configuration."""
        self.config = config
        self.board.reconfigure(config)
        self.records.reconfigure(config)

    def note_damage(self, text: str) -> None:
        """Show that the accounts were damaged, until this server ends."""
        self.records.note(self.channel.codifier, "The accounts were damaged.", text)

    def history_place(self) -> StoreAddress | None:
        """Return the history that the charts show, None if the network keeps none."""
        return history_address(self.config, self._own_history)

    def history(self) -> HistoryStore:
        """Return the history store, opened when it is first asked for.

        Raises:
            StoreError: the network keeps no history.
            ConfigError: its URL names no store that there is.
        """
        place = self.history_place()
        if place is None:
            raise StoreError("no HistoryWriter is configured, so there is no history")
        with self._lock:
            if self._history is None or self._history[0] != place:
                opened = open_history(place.url, self.home, place.password_file)
                if self._history is not None:
                    self._history[1].close()
                self._history = place, opened
            return self._history[1]

    def close(self) -> None:
        """Let the readers go, and close the stores that were opened."""
        self.readers.close()
        self.exports.close()
        if "keeper" in vars(self):
            self.keeper.detach(self)
        self.recorder.close()
        self.log_ring.remove()
        self.push.close()
        with self._lock:
            if self._history is not None:
                self._history[1].close()
                self._history = None


def _bus_fault(status: BusStatus) -> str:
    """Return why a bus is not joined, empty if it is."""
    faults = [channel.fault for channel in status.channels.values() if not channel.joined]
    return (faults[0] or f"It tries to join on {status.interface}.") if faults else ""
