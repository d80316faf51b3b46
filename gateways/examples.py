"""A program of example devices beside a gateway: started, watched, started again, and ended."""

import argparse
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from gateways.address import DEFAULT_BROKER, BrokerAddress, address_of
from jph import child
from jph.config.model import Component, Config
from jph.errors import ConfigError, StoreError
from jph.faults import Fault
from jph.threads import component_thread

log = logging.getLogger(__name__)

PAUSE_S = 2.0
STOP_S = 5.0


class Program:
    """Runs a module as a program until `close`; it begins at once.

    Args:
        arguments: of the module, after its name.
        said: what it gets as its input first; the input ends when we do, and so does the program.
        prepare: called before each start.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        said: bytes = b"",
        prepare: Callable[[], object] = lambda: None,
    ) -> None:
        self._arguments = arguments
        self._said = said
        self._prepare = prepare
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self.fault = Fault(log)
        self._thread = component_thread("examples", self._run)
        self._thread.start()

    @property
    def works(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """End it."""
        self._closing.set()
        self._thread.join(STOP_S + PAUSE_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._prepare()
                self.fault.end("the examples are ready")
                self._watch()
            except (OSError, StoreError) as error:
                self.fault.note(str(error))
            self._closing.wait(PAUSE_S)

    def _watch(self) -> None:
        """Run the program until it ends or we do."""
        with subprocess.Popen(
            [sys.executable, "-P", "-m", *self._arguments],
            stdin=subprocess.PIPE,
            env=child.environment(),
            start_new_session=True,
        ) as process:
            self._process = process
            assert process.stdin is not None
            process.stdin.write(self._said)
            process.stdin.flush()
            while process.poll() is None and not self._closing.wait(0.2):
                pass
            child.end(process, STOP_S)


def gateway_named(config: Config, codifier: str, kind: str) -> Component:
    """Return a gateway of the configuration, for the setting `Server`.

    Raises:
        ConfigError: there is none of this name and type.
    """
    component = config.components.get(codifier)
    if component is None or component.type != kind:
        raise ConfigError(f"Server: {codifier} is no component of type {kind}")
    return component


def broker_of(gateway: Component, config: Config, home: Path) -> BrokerAddress:
    """Return the broker that a gateway uses, with its account."""
    password = gateway.settings.get("PasswordFile")
    broker = str(gateway.settings.get("Broker") or DEFAULT_BROKER)
    return address_of(broker, Path(str(password)) if password else None, config, home)


def at_broker(address: BrokerAddress) -> tuple[list[str], bytes]:
    """Return the arguments of a program that says where the broker is, and its first input.

    Raises:
        ConfigError: the broker speaks TLS, which none of these programs does.
    """
    if address.tls:
        raise ConfigError("the examples speak no TLS: leave Certificate out of their Broker")
    where = ["--host", address.host, "--port", str(address.port)]
    if not address.user:
        return where, b""
    return [*where, "--user", address.user], f"{address.password}\n".encode()


def program_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser that knows where the broker is; `begun` reads what it parses."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--user", default="", help="the password is the first line of the input")
    return parser


def begun(given: argparse.Namespace) -> BrokerAddress:
    """Return the broker; from now on SystemExit is raised by SIGINT, SIGTERM, or the input's end.

    A terminal as input does not count, since a person may use it for something else.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit())
    password = sys.stdin.readline().strip() if given.user else ""
    if not sys.stdin.isatty():
        threading.Thread(target=_end_with_input, daemon=True).start()
    return BrokerAddress(given.host, given.port, user=given.user, password=password)


def _end_with_input() -> None:
    sys.stdin.read()  # whoever started us has ended, however that was
    os.kill(os.getpid(), signal.SIGTERM)
