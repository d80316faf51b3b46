"""The programs that can be our broker, and their configuration.

mosquitto speaks MQTT 5 and WebSocket. It acknowledges what it has in memory, and writes it to disk
soon after. nats-server speaks MQTT 3.1.1, and acknowledges what is on disk.
Sources: mosquitto.conf(5); NATS, "Configuration", "MQTT" and "Authorization".
"""

import getpass
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateways.broker.accounts import OWN, accounts, folder_of, hashes, own_password
from gateways.broker.programs import mosquitto, nats_server
from gateways.rights import Rights
from jph.errors import ConfigError
from jph.files import write_file
from jph.tcp import netloc

MOST_PAYLOAD = 1 << 20
ANYBODY = "-anybody"  # who has no account, for nats; no account can be called so
QUEUE_BYTES = 512 << 20  # of one session; what is beyond is lost, since a disk has an end


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a broker listens, and for whom.

    Args:
        web_socket: a second port, for browsers; None for none.
        anonymous: whether a client without an account may publish for devices.
        certificate: paths of the certificate with its chain and of its key; None: without TLS.
    """

    host: str
    port: int
    web_socket: int | None
    anonymous: bool
    certificate: tuple[Path, Path] | None = None


class Engine(ABC):
    """A program that is a broker; its files are in a folder of the home directory.

    Attributes:
        usual: what is in lines of its log that tell nothing to people.
    """

    usual: tuple[str, ...] = ()

    def __init__(self, home: Path, listening: Listening) -> None:
        self.home = home
        self.listening = listening

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command that starts it.

        Raises:
            ConfigError: it is not on this machine; the text tells how to get it.
        """

    @abstractmethod
    def configure(self, rights: Rights) -> None:
        """Write its configuration, the accounts and what each may do."""


class Mosquitto(Engine):
    """mosquitto, of Debian or elsewhere."""

    def command(self) -> list[str]:
        """Return the command that starts it."""
        program = mosquitto()
        if program is None:
            raise ConfigError(
                "mosquitto is not on this machine; type: sudo apt-get install mosquitto"
                " && sudo systemctl disable --now mosquitto"
                ' (or set "Engine": "nats")'
            )
        return [program, "-c", str(folder_of(self.home) / "mosquitto.conf")]

    def configure(self, rights: Rights) -> None:
        """Write mosquitto.conf, acl and passwd."""
        folder, listening = folder_of(self.home), self.listening
        chain, key = listening.certificate or (None, None)
        tls = [f"certfile {chain}", f"keyfile {key}"] if chain else []
        web_socket = [f"listener {listening.web_socket} {listening.host}", "protocol websockets"]
        lines = [
            "per_listener_settings false",
            f"listener {listening.port} {listening.host}",
            *tls,
            *([*web_socket, *tls] if listening.web_socket else []),
            f"allow_anonymous {'true' if listening.anonymous else 'false'}",
            f"password_file {folder}/passwd",
            f"acl_file {folder}/acl",
            f"user {getpass.getuser()}",  # started by root it would become another one
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 30",  # s; each takes a write of some kB, however little has changed
            "max_queued_messages 0",  # the default of 1,000 drops what is beyond
            f"max_queued_bytes {QUEUE_BYTES}",
            "set_tcp_nodelay true",  # else a small message waits for TCP, 5 ms and more
            "queue_qos0_messages true",  # wills of boards that leave while their gateway is away
            "max_inflight_messages 1000",
            f"max_packet_size {MOST_PAYLOAD + 65_536}",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "connection_messages false",
        ]
        known = accounts(self.home)
        passwords = {OWN: hashes(own_password(self.home), is_made=True), **known}
        _write(folder / "passwd", [f"{name}:{it['mosquitto']}" for name, it in passwords.items()])
        _write(folder / "acl", list(_acl(rights, known, listening.anonymous)))
        _write(folder / "mosquitto.conf", lines)


def _acl(rights: Rights, known: Mapping[str, Mapping[str, object]], anonymous: bool) -> list[str]:
    """Return the lines of an access list; what none of them allows is forbidden."""
    everything = [topic.replace("%s", "+") for topic in rights.devices]
    reads = [f"topic read {topic}" for topic in rights.own]
    commands = [f"topic write {topic}" for topic in rights.programs]
    writes = [f"topic write {topic}" for topic in everything]
    lines = [*reads, *writes, *commands] if anonymous else []
    lines += [f"user {OWN}", "topic readwrite #", "topic read $SYS/#"]
    for name, account in known.items():
        lines.append(f"user {name}")
        if account.get("program"):
            lines += ["topic read #", *commands]
        elif account.get("all"):
            lines += [*reads, *writes]
        else:
            lines += [f"topic read {topic.replace('%s', name)}" for topic in rights.reads]
            lines += [f"topic write {topic.replace('%s', name)}" for topic in rights.devices]
    return lines


class Nats(Engine):
    """nats-server, of its wheel or installed."""

    # That of who has no account is the only password in plain text; disks are slow at first.
    usual = ("[INF]", "Plaintext passwords", "Readloop processing time", "took too long")

    def command(self) -> list[str]:
        """Return the command that starts it."""
        program = nats_server()
        if program is None:
            raise ConfigError("nats-server is not on this machine; type: pip install 'jph[nats]'")
        return [program, "-c", str(folder_of(self.home) / "nats.conf")]

    def configure(self, rights: Rights) -> None:
        """Write nats.conf."""
        folder, listening = folder_of(self.home), self.listening
        known = accounts(self.home)
        tls = ""
        if listening.certificate:
            chain, key = (_quoted(str(path)) for path in listening.certificate)
            tls = f", tls: {{cert_file: {chain}, key_file: {key}}}"
        everything = [topic.replace("%s", "+") for topic in rights.devices]
        users = [_user(OWN, hashes(own_password(self.home), is_made=True)["nats"])]
        if listening.anonymous:
            allowed = _permissions([*everything, *rights.programs], rights.own)
            users.append(_user(ANYBODY, "", allowed))
        for name, account in known.items():
            publishes, reads = everything, rights.own
            if account.get("program"):
                publishes, reads = list(rights.programs), ("#",)
            elif not account.get("all"):
                publishes = [topic.replace("%s", name) for topic in rights.devices]
                reads = tuple(topic.replace("%s", name) for topic in rights.reads)
            users.append(_user(name, account["nats"], _permissions(publishes, reads)))
        lines = [
            "server_name: jph",
            'listen: "127.0.0.1:-1"',  # of its own protocol, which nobody here speaks: any port
            f"max_payload: {MOST_PAYLOAD}",
            f"jetstream {{store_dir: {_quoted(str(folder / 'jetstream'))}, sync_interval: always}}",
            f"mqtt {{listen: {_quoted(netloc(listening.host, listening.port))}{tls}}}",
            "authorization {",
            f"  users: [{', '.join(users)}]",
            "}",
            f"no_auth_user: {_quoted(ANYBODY)}" if listening.anonymous else "",
            "logtime: false",
        ]
        if listening.web_socket:
            address = _quoted(netloc(listening.host, listening.web_socket))
            lines.append(f"websocket {{listen: {address}{tls or ', no_tls: true'}}}")
        _write(folder / "nats.conf", lines)


def _user(name: str, password_hash: object, permissions: str = "") -> str:
    """Return a user of NATS, who speaks MQTT only.

    Its own protocol would let devices hear what the broker hands over to others.
    """
    kinds = 'allowed_connection_types: ["MQTT", "MQTT_WS"]'
    return f"{{user: {_quoted(name)}, password: {_quoted(password_hash)}, {kinds}{permissions}}}"


def _permissions(publishes: Sequence[str], reads: Sequence[str]) -> str:
    """Return what a user of NATS may do: subjects have dots, `*` and `>`."""
    allowed = [_subject(topic) for topic in publishes]
    # Sessions of MQTT hear on subjects of their own, and answer there for QoS 2.
    heard = [*(_subject(topic) for topic in reads), "$MQTT.sub.>"]
    publish = json.dumps([*allowed, "$MQTT.deliver.pubrel.>"])
    subscribe = json.dumps(heard)
    return f", permissions: {{publish: {{allow: {publish}}}, subscribe: {{allow: {subscribe}}}}}"


def _subject(topic: str) -> str:
    levels = topic.split("/")
    return ".".join({"+": "*", "#": ">"}.get(level, level.replace(".", "//")) for level in levels)


def _quoted(text: object) -> str:
    return json.dumps(text)


def _write(path: Path, lines: Sequence[str]) -> None:
    write_file(path, "".join(f"{line}\n" for line in lines).encode(), mode=0o600)
