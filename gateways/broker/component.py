"""The component `Broker`: starts an MQTT broker for the gateways, watches it, and ends it."""

import logging
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateways.broker import instance
from gateways.broker.accounts import file_of, lets_anybody_in
from gateways.broker.engines import Engine, Listening, Mosquitto, Nats
from gateways.rights import rights_on
from jph import child
from jph.backoff import Backoff
from jph.config.model import Config
from jph.errors import ConfigError
from jph.faults import MOST_TEXT, Fault
from jph.files import Identity, changed_ns, identity_of
from jph.node.channel import Channel
from jph.node.process import STATE
from jph.settings import setting
from jph.tcp import listening, where_it_answers
from jph.threads import component_thread
from jph.tls import load, pinned

log = logging.getLogger(__name__)

LOOK_S = 1.0
STOP_S = 5.0
LASTED_S = 10.0  # after which a start counts as one that worked
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0


@dataclass
class Broker:
    """Run mosquitto, or nats-server, with accounts and an access list made for the gateways.

    Its own data is 1 while the broker takes connections, else 0.
    """

    channel: Channel
    home: Path
    engine: Literal["mosquitto", "nats"] = setting(
        "mosquitto", doc="mosquitto, or nats: MQTT 3.1.1 that acknowledges what is on the disk"
    )
    host: str = setting("127.0.0.1", doc="address it listens on; 0.0.0.0: all of this machine")
    port: int = setting(1883, ge=1, le=65535, doc="TCP port of MQTT")
    web_socket: int | None = setting(
        None, ge=1, le=65535, doc="TCP port of MQTT over WebSocket, for browsers, path /mqtt"
    )
    anonymous: bool | None = setting(
        None, doc="whether devices need no account; absent: only on the loopback interface"
    )
    certificate: Path | None = setting(
        None, doc="path of the certificate with its chain, in PEM; both ports speak TLS then"
    )
    key: Path | None = setting(None, doc="path of the key of the certificate, without a password")
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @staticmethod
    def check_settings(given: Mapping[str, Any], codifiers: Collection[str]) -> None:
        """Refuse a certificate without its key, and a key without its certificate."""
        if (given.get("certificate") is None) != (given.get("key") is None):
            raise ConfigError("Certificate and Key go together: name both files, or none")

    def __post_init__(self) -> None:
        anonymous = lets_anybody_in(self.host, self.anonymous)
        self._files: tuple[Path, Path] | None = None  # of the certificate
        if self.certificate is not None and self.key is not None:
            self._files = (self.certificate.absolute(), self.key.absolute())
            self._load_certificate()
        listening = Listening(self.host, self.port, self.web_socket, anonymous, self._files)
        engine = {"mosquitto": Mosquitto, "nats": Nats}[self.engine]
        self._engine: Engine = engine(self.home, listening)
        self._fault = Fault(log, logging.ERROR)
        self._backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        self._config = self.channel.config
        self._accounts: Identity = None
        self._certificates = self._identities()
        self._stale = True  # its files are to be written
        self._closing = threading.Event()
        self._thread = component_thread("broker", self._run)
        self._thread.start()

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish whether it works."""
        fault = self._fault.text[:MOST_TEXT]
        works = int(not fault and self._answers())
        self.channel.send_data({"value": works, "fault": fault} if fault else works, timestamp_ms)
        if fault:
            return STATE.WITHERRORS
        return STATE.GOOD if works else STATE.NOREADING  # it is about to start

    def on_config(self, config: Config) -> None:
        """Give the gateways of a new configuration their rights."""
        self._config, self._stale = config, True

    def close(self) -> None:
        """End the broker."""
        self._closing.set()
        self._thread.join(STOP_S + 2)

    # In a thread of its own, which lives as long as the broker: it ends with this thread

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._start()
                self._watch()
            except (ConfigError, OSError) as error:
                self._fault.note(str(error), f"{self.channel.codifier}: {error}")
            finally:
                self._end()
            self._closing.wait(self._backoff.next_s())

    def _start(self) -> None:
        command = self._engine.command()
        self._certificates = self._identities()
        self._configure()
        for port in (self.port, self.web_socket):
            if port and (reason := _why_not(self.host, port)):
                raise ConfigError(reason)
        instance.begin(self.home)
        # In a group of its own, so that Ctrl-C is for us, who then end it.
        self._process = subprocess.Popen(
            [*_as_child(), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=self.home,
        )

    def _configure(self) -> None:
        self._stale, self._accounts = False, identity_of(file_of(self.home))
        self._engine.configure(rights_on(self._config, self.channel.codifier))

    def _watch(self) -> None:
        """Log what the broker says until it ends."""
        process = self._process
        assert process is not None and process.stdout is not None
        began_s, said, last = time.monotonic(), b"", ""
        while not self._closing.is_set():
            if select.select([process.stdout], [], [], LOOK_S)[0]:
                more = os.read(process.stdout.fileno(), 1 << 16)
                if not more:  # it has ended, and said all
                    process.wait()
                    break
                said += more
                *lines, said = said[-(1 << 16) :].split(b"\n")
                for line in lines:
                    last = line.decode(errors="replace").strip()
                    is_usual = any(words in last for words in self._engine.usual)
                    log.log(
                        logging.DEBUG if is_usual else logging.INFO, "%s: %s", self.engine, last
                    )
            if self._fault and self._answers():
                self._fault.end(f"{self.channel.codifier}: {self.engine} runs again")
            if time.monotonic() - began_s > LASTED_S:
                self._backoff.reset()
            if self._stale or identity_of(file_of(self.home)) != self._accounts:
                self._configure()
                process.send_signal(signal.SIGHUP)
            if self._is_renewed():
                log.info("%s begins again with the renewed certificate", self.engine)
                return
        if not self._closing.is_set():
            status = f"{self.engine} ended with status {process.returncode}"
            raise ConfigError(f"{status}: {last}; it is started again" if last else status)

    def _is_renewed(self) -> bool:
        """Tell whether there is another certificate, whose key fits already."""
        if (found := self._identities()) == self._certificates:
            return False
        self._certificates = found
        try:
            self._load_certificate()
        except ConfigError as error:
            log.error("%s; the certificate from before stays in use", error)
            return False
        return True

    def _load_certificate(self) -> None:
        if self._files is not None:
            load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *self._files)

    def _identities(self) -> list[tuple[Identity, int]]:
        return [(identity_of(file), changed_ns(file)) for file in self._files or ()]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((where_it_answers(self.host), self.port), 1) as plain:
                if self._files is None:
                    return self._process is not None
                with pinned(self._files[0]).wrap_socket(plain):
                    return self._process is not None
        except OSError:
            return False

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        child.end(process, STOP_S)
        if process.stdout is not None:
            process.stdout.close()


def _as_child() -> list[str]:
    """Return the command that has a child end with its parent, however that ends."""
    program = shutil.which("setpriv")  # of util-linux
    return [program, "--pdeathsig", "TERM"] if program else []


def _why_not(host: str, port: int) -> str:
    """Return why a port cannot be listened on; empty if it can."""
    try:
        listening(host, port, 1).close()
    except OSError as error:
        return (
            f"port {port} of {host} cannot be listened on ({error.strerror or error});"
            " another broker may have it, such as the service that Debian starts with mosquitto:"
            " stop it (sudo systemctl disable --now mosquitto), choose another Port,"
            f" or let the gateways use it (Broker: mqtt://{host}:{port})"
        )
    return ""
