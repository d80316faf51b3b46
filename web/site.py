"""What the views share: the hub, the channel, the stores and who may come in. No Flask here."""

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from jph.config import Config
from jph.errors import ConfigError, StoreError
from jph.node.channel import Channel
from jph.stores import HistoryStore, open_history, open_state
from jph.stores.address import StoreAddress, history_address
from web.hub import Hub
from web.pings import Pings
from web.sign_in_links import Links, Throttle

if TYPE_CHECKING:
    from web.users import Accounts

log = logging.getLogger(__name__)

MOST_READERS = 40  # of the live stream; each holds a thread
DEFAULT_STATE = "memory:"  # what a StateCache without a URL fills
RECALL_S = 0.2  # longest wait of the start for the states from before
RECALL_RETRY_S = 2.0


class Readers:
    """Counts the readers of the live stream and bounds them."""

    def __init__(self, most: int = MOST_READERS) -> None:
        self.most = most
        self.count = 0
        self._on_change: Callable[[int], object] = lambda count: None
        self._lock = threading.Lock()

    def watch(self, on_change: Callable[[int], object]) -> None:
        """Have their number told whenever it changes, one call at a time, from now on."""
        with self._lock:
            self._on_change = on_change

    def enter(self) -> bool:
        """Take a place; False if there is none."""
        with self._lock:
            if self.count >= self.most:
                return False
            self.count += 1
            self._on_change(self.count)
        return True

    def leave(self) -> None:
        """Give a place back."""
        with self._lock:
            self.count -= 1
            self._on_change(self.count)


class Site:
    """One running web server, as its views see it.

    Args:
        channel: the Web component's place on the bus.
        config: the configuration in force; replaced when it is reloaded.
        home: the folder for all that is written.
        state_url: names the state store; None for that of the first StateCache.
        history: the history store; None for that of the first HistoryWriter.
    """

    def __init__(
        self,
        channel: Channel,
        config: Config,
        home: Path,
        *,
        state_url: str | None = None,
        history: StoreAddress | None = None,
    ) -> None:
        self.channel = channel
        self.config = config
        self.home = home
        self.hub = Hub(config, channel.data_sources, channel.control_sources)
        self.pings = Pings()
        self.links = Links()
        self.throttle = Throttle()
        self.readers = Readers()
        self._own_history = history
        self._lock = threading.Lock()
        self._history: tuple[StoreAddress, HistoryStore] | None = None
        self._accounts: Accounts | None = None
        self._closing = threading.Event()
        url = state_url or _url_of(config, "StateCache", DEFAULT_STATE)
        if url is not None:
            arguments = (url, _password_file_of(config, "StateCache", url))
            recalling = threading.Thread(
                target=self._recall, args=arguments, name="recall", daemon=True
            )
            recalling.start()
            # The first page is complete where the store answers at once, and nobody waits for one
            # that does not.
            recalling.join(RECALL_S)

    def _recall(self, url: str, password_file: Path | None) -> None:
        """Begin with what a state cache knows from before this server was started."""
        retry_s = 0.0
        try:
            with closing(open_state(url, self.home, password_file)) as store:
                while not self._closing.wait(retry_s):
                    try:
                        self.hub.recall(store.recall())
                        break
                    except StoreError as error:
                        if not retry_s:
                            log.warning("no last states to begin with yet: %s", error)
                        retry_s = RECALL_RETRY_S
        except ConfigError as error:
            log.warning("no last states to begin with: %s", error)

    def reconfigure(self, config: Config) -> None:
        """Go on with another configuration."""
        self.config = config
        self.hub.reconfigure(config)

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

    def accounts(self) -> "Accounts":
        """Return the accounts, opened when the first person with a password comes.

        Raises:
            StoreError: the file cannot be used.
        """
        with self._lock:
            if self._accounts is None:
                from web.users import Accounts  # 20 MB, see there

                self._accounts = Accounts(self.home)
            return self._accounts

    def close(self) -> None:
        """Close the stores that were opened."""
        self._closing.set()
        with self._lock:
            if self._history is not None:
                self._history[1].close()
                self._history = None
            if self._accounts is not None:
                self._accounts.close()
                self._accounts = None


def _url_of(config: Config, type: str, default: str) -> str | None:
    """Return the URL that the first component of a type names; None if there is no such one."""
    component = config.first(type)
    if component is None:
        return None
    url = component.settings.get("URL")
    return url if isinstance(url, str) else default


def _password_file_of(config: Config, type: str, url: str) -> Path | None:
    """Return the PasswordFile of the component that names this URL: no other server sees it."""
    for component in config.components.values():
        path = component.settings.get("PasswordFile")
        if component.type == type and component.settings.get("URL") == url and path:
            return Path(str(path))
    return None
