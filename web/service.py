"""The Web component: binds its port, hears the bus, and keeps the server running.

Flask and what it needs take a third of a second to load. The server's thread does that, while the
sensors of the same process already read; a browser that connects meanwhile waits in the listen
queue.
"""

import errno
import importlib.util
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jph.bus.wire import Address, Control, Reading
from jph.config.model import Config
from jph.errors import ChannelError, ConfigError
from jph.node.channel import Channel
from jph.settings import setting
from jph.stores.address import Sql, address_of
from jph.tcp import is_loopback, listening, netloc, where_it_answers
from web.serving.proxies import EVERYWHERE, LOOPBACK, Networks, Proxies
from web.serving.server import PageServer, ServerName
from web.site import Site

if TYPE_CHECKING:
    from web.serving.tls import Certificate

NEEDED = ("flask", "flask_login", "flask_sqlalchemy", "waitress", "bcrypt")
HOST, PORT = "127.0.0.1", 8080  # unless its settings name others
BACKLOG = 256


@dataclass
class Web:
    """The pages and the JSON of the network.

    Raises:
        ChannelError: the port is taken, or the address is not one of this machine.
        ConfigError: packages that it needs are not installed.
    """

    channel: Channel
    config: Config
    home: Path
    host: str = setting(HOST, doc="address to listen on; 0.0.0.0 for all of this machine")
    port: int = setting(PORT, ge=0, le=65535, doc="TCP port to listen on; 0 for any free one")
    state: str | None = setting(
        None, doc="URL of a state store; absent: that of the first StateCache"
    )
    history: str | None = setting(
        None, doc="URL of the history store; absent: that of the first HistoryWriter"
    )
    sql: Sql | None = setting(None, doc="the history in PostgreSQL, in place of a URL")
    password_file: Path | None = setting(
        None, doc="path of the file with the password of the history"
    )
    allowed_hosts: tuple[str, ...] = setting(
        (), doc="further host names under which browsers may ask for pages"
    )
    proxies: tuple[str, ...] = setting(
        (), doc="addresses or networks of reverse proxies, whose X-Forwarded headers are believed"
    )
    anonymous_read: bool | tuple[str, ...] | None = setting(
        None,
        doc="who may read without signing in: true for all, or a list of addresses and networks; "
        "absent: this machine, if Host is a loopback address",
    )
    origins: tuple[str, ...] = setting(
        (), doc="origins of other pages whose scripts may use the API, with a token"
    )
    server: ServerName = setting(
        "waitress", doc="the server: waitress, or gevent for a thousand live pages"
    )
    certificate: Path | None = setting(
        None,
        doc="path of the certificate with its chain, in PEM; the pages speak TLS then",
    )
    key: Path | None = setting(None, doc="path of the key of the certificate, without a password")
    stalled_reader_s: float = setting(
        20.0,
        key="StalledReader",
        gt=0,
        le=600,
        doc="seconds after which a reader that takes nothing is dropped",
    )

    ignores_halt = True

    @staticmethod
    def listens_on(host: str = HOST, port: int = PORT, **others: object) -> tuple[str, int]:
        """Return address and port, by the settings that are given; see `jph.config.checks`."""
        return host, port

    def __post_init__(self) -> None:
        """Bind the port and start the server."""
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise ConfigError(f"Web needs {', '.join(missing)}: pip install 'jph[web]'")
        if self.server == "gevent" and importlib.util.find_spec("gevent") is None:
            raise ConfigError("Server: gevent is not installed: pip install 'jph[gevent]'")
        try:
            proxies = Proxies(self.proxies)
        except ValueError as error:
            raise ConfigError(f"Proxies: {error}; name addresses or networks") from error
        unsigned = self._readers_unsigned()
        origins = checked_origins(self.origins)
        certificate = self._load_certificate()
        listener = listen(self.host, self.port, self.stalled_reader_s)
        self.bound_port: int = listener.getsockname()[1]
        self._site = Site(
            self.channel,
            self.config,
            self.home,
            state_url=self.state,
            history=address_of(self.history, self.sql, self.password_file),
            stalled_reader_s=self.stalled_reader_s,
            proxies=proxies,
            readers_unsigned=unsigned,
            origins=origins,
        )
        self._site.address = self.address
        self._server = PageServer(
            self._site, listener, self.host, self.allowed_hosts, self.server, certificate
        )

    @property
    def address(self) -> str:
        """The address to open in a browser of this machine."""
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://{netloc(where_it_answers(self.host), self.bound_port)}/"

    def _readers_unsigned(self) -> Networks:
        given = self.anonymous_read
        if given is None:
            return LOOPBACK if is_loopback(self.host) else Networks(())
        if isinstance(given, bool):
            return EVERYWHERE if given else Networks(())
        try:
            return Networks(given)
        except ValueError as error:
            raise ConfigError(f"AnonymousRead: {error}; name addresses or networks") from error

    def _load_certificate(self) -> "Certificate | None":
        if self.certificate is None and self.key is None:
            return None
        if self.certificate is None or self.key is None:
            raise ConfigError("Certificate and Key go together: name both files, or none")
        if self.server == "gevent":
            raise ConfigError(
                "Certificate: the server gevent speaks no TLS; use waitress, or put nginx or Caddy "
                "before it (docs/home-network.md)"
            )
        from web.serving.tls import Certificate  # loads ssl

        return Certificate(self.certificate, self.key)

    def sign_in_url(self) -> str:
        """Return a new link that signs in the first person who opens it, within an hour."""
        return f"{self.address}enter/{self._site.links.create()}"

    def greeting(self) -> str:
        """Return what to print when the server starts: its address, and a way in."""
        return f"Open {self.address}\nSign in once with {self.sign_in_url()}"

    def on_batch(self, readings: list[Reading]) -> None:
        """Take readings."""
        self._site.on_batch(readings)

    def on_control(self, message: Control, address: Address) -> None:
        """Take one control message."""
        self._site.on_control(message, address)

    def on_config(self, config: Config) -> None:
        """Show the components of a new configuration, under which its own settings are the same."""
        self.config = config
        self._site.reconfigure(config)

    def close(self) -> None:
        """Stop serving within two seconds, live streams too."""
        self._server.close()
        self._site.close()


def checked_origins(origins: Iterable[str]) -> frozenset[str]:
    """Return origins as browsers write them.

    Raises:
        ConfigError: one of them is none.
    """
    found = set()
    for origin in origins:
        parts = urlsplit(origin.lower())
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
            raise ConfigError(
                f"Origins: {origin!r} is none; write it as https://panel.example:8443"
            )
        found.add(f"{parts.scheme}://{parts.netloc}")
    return frozenset(found)


def listen(host: str, port: int, stalled_reader_s: float) -> socket.socket:
    """Return a listening socket whose connections break when their reader takes nothing.

    Raises:
        ChannelError: the port is taken, not allowed, or the address is not of this machine.
    """
    options = []
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Inherited by accepted connections. It counts while sent bytes are not acknowledged and
        # while the reader's window is shut: the kernel drops a reader that reads nothing.
        most_ms = int(stalled_reader_s * 1000)
        options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, most_ms))
    try:
        listener = listening(host or "0.0.0.0", port, BACKLOG, options)
        listener.setblocking(False)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} on {host} is taken; choose another with --port"
        elif error.errno == errno.EACCES:
            reason = f"port {port} on {host} needs root; choose one above 1023 with --port"
        else:
            reason = f"{host} port {port} cannot be listened on: {error}"
        raise ChannelError(reason) from error
    return listener
