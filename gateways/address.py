"""Where an MQTT broker is, and as whom we are there."""

import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from gateways.broker import accounts, broker_in, service
from jph.config.model import Config
from jph.errors import ConfigError
from jph.tcp import where_it_answers
from jph.tls import pinned

log = logging.getLogger(__name__)

PORT, TLS_PORT = 1883, 8883
CA_OPTION = "ssl_ca_certs"  # named as for Redis
DEFAULT_BROKER = f"mqtt://127.0.0.1:{PORT}"
WEB_SOCKET_PATH = "/mqtt"  # the only one of nats-server; mosquitto takes any


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """The address of a broker; without a user it is asked as anybody.

    Args:
        ca_file: path of the only certificates that its own may be signed by; empty: of the system.
        certificate: path of its own certificate, where that is one of ours.
        is_v5: whether it may speak MQTT 5.
    """

    host: str
    port: int = PORT
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    certificate: str = ""
    is_v5: bool = True

    def trust(self) -> ssl.SSLContext:
        """Return which certificate the broker may have.

        Raises:
            OSError: a file cannot be read, or has no certificate.
        """
        if self.certificate:
            return pinned(Path(self.certificate))
        return ssl.create_default_context(cafile=self.ca_file or None)


def address_of(
    broker: str, password_file: Path | None, config: Config, home: Path
) -> BrokerAddress:
    """Return the address that the setting `Broker` of a gateway means.

    Args:
        broker: mqtt://[user@]host[:port], mqtts://… for TLS, which takes ?ssl_ca_certs=FILE, or
            the Codifier of a Broker.
        password_file: holds the password of the user in the URL.

    Raises:
        ConfigError: it is neither, or the file cannot be read.
    """
    if component := broker_in(config, broker):
        settings = component.settings
        host = where_it_answers(str(settings.get("Host") or ""))
        port = settings.get("Port", PORT)
        if not isinstance(port, int):
            raise ConfigError(f"Broker: the Port of {broker} is no number")
        password = accounts.own_password(home)
        certificate = str(settings.get("Certificate") or "")
        return BrokerAddress(
            *(host, port, bool(certificate), accounts.OWN, password),
            certificate=certificate,
            is_v5=settings.get("Engine") != "nats",
        )
    try:
        parts = urlsplit(broker)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"Broker: {broker!r}: {error}") from None
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/"):
        raise ConfigError(
            f"Broker: {broker!r} is neither a URL such as mqtt://127.0.0.1:1883"
            " nor the Codifier of a component of type Broker"
        )
    if parts.password is not None:
        raise ConfigError("Broker: no password in the URL, please; name its file in PasswordFile")
    tls = parts.scheme == "mqtts"
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    ca_file = options.pop(CA_OPTION, "") if tls else ""
    if options or parts.fragment:
        raise ConfigError(
            f"Broker: {broker!r} has more than an address; only mqtts:// takes ?{CA_OPTION}=FILE"
        )
    password = password_in(password_file, "PasswordFile")
    user = unquote(parts.username or "")
    address = BrokerAddress(
        parts.hostname, port or (TLS_PORT if tls else PORT), tls, user, password, ca_file
    )
    if tls:
        try:
            address.trust()
        except OSError as error:
            raise ConfigError(f"Broker: {ca_file} has no certificates ({error})") from None
    if warning := service.drops(address.host, address.port):
        log.warning("%s", warning)
    return address


def has_accounts(broker: str, config: Config) -> bool:
    """Tell whether devices need an account at the broker that a setting `Broker` means.

    It is not known of one elsewhere, and taken for granted where we have one ourselves.
    """
    if component := broker_in(config, broker):
        host = component.settings.get("Host", "127.0.0.1")
        return not accounts.lets_anybody_in(host, component.settings.get("Anonymous"))
    return bool(urlsplit(broker).username)


def password_in(file: Path | None, setting: str) -> str:
    """Return the password that a file holds, empty without a file; ConfigError names `setting`."""
    if file is None:
        return ""
    try:
        return file.expanduser().read_text().strip()
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting}: {error}") from None


@dataclass(frozen=True, slots=True)
class WebSocket:
    """Where a broker has MQTT over WebSocket; the host is that of the broker."""

    port: int | None
    tls: bool
    path: str = WEB_SOCKET_PATH

    @classmethod
    def of(cls, url: str) -> "WebSocket":
        """Return it from a URL; ConfigError if that is none."""
        parts = urlsplit(url)
        try:
            usual = {"ws": 80, "wss": 443}[parts.scheme]
            port = parts.port or usual
        except (ValueError, KeyError):
            raise ConfigError(f"WebSocket: {url!r} is no ws://host:port/path, or wss://…") from None
        return cls(port, parts.scheme == "wss", parts.path or WEB_SOCKET_PATH)


def web_socket_of(broker: str, config: Config, tls: bool) -> WebSocket:
    """Return where MQTT over WebSocket is, which is known of a Broker by its Codifier only."""
    component = broker_in(config, broker)
    port = component.settings.get("WebSocket") if component else None
    return WebSocket(port if isinstance(port, int) else None, tls)
