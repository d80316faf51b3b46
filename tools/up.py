"""`jph up` and `jph run`: run components of the configuration in one process."""

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import click

from jph import registry
from jph.config import loading
from jph.config.checks import runs_here
from jph.config.host import this_host
from jph.config.model import Component, Config
from jph.errors import ChannelError, ConfigError
from jph.node.building import build
from jph.node.logs import set_up_logging
from jph.node.node import Node
from jph.node.reload import Reloader
from jph.node.systemd import from_environment
from tools import options, places
from tools.service import Service

log = logging.getLogger(__name__)

_IMPATIENT_S = 1.0  # from the first signal to a Ctrl-C that ends the process at once

_port = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port of the web server, instead of the configured one.",
)


@click.command()
@options.network
@_port
def up(source: str, home: Path, port: int | None) -> None:
    """Run all components that the configuration names for this machine."""
    _main(source, home, port, None)


@click.command()
@click.argument("codifiers", nargs=-1, required=True, metavar="CODIFIER...")
@options.network
@_port
def run(codifiers: tuple[str, ...], source: str, home: Path, port: int | None) -> None:
    """Run these components in one process."""
    _main(source, home, port, codifiers)


def _main(source: str, home: Path, port: int | None, codifiers: Collection[str] | None) -> None:
    stop = _stop_on_signals()
    notifier = from_environment()

    def runs(entry: Mapping[str, object]) -> bool:
        return runs_here(entry) if codifiers is None else entry.get("Codifier") in codifiers

    def load(wait: bool = False) -> Config:
        return loading.load(source, home, runs=runs, wait=wait, port=port, stop=stop)

    def runnable(config: Config) -> list[Component]:
        """Return the components to run whose type has an implementation."""
        return [
            component
            for component in config.components.values()
            if runs(component.entry)
            and component.type not in registry.NEVER_RUN
            and registry.is_run(component.type)
        ]

    try:
        notifier.status(f"reading the configuration from {source}")
        config = load(wait=True)
        set_up_logging(config)
        for warning in config.warnings:
            log.warning("%s", warning)
        _check_named(config, codifiers or ())
        components = runnable(config)
        if not components:
            raise ConfigError(
                f"no component for this machine ({this_host()}); set JPH_HOST "
                "to the Host of its entries, or name Codifiers with jph run",
                source,
            )
        node = Node(config, home, finished=stop)
        service = Service(node, Reloader(node, load, runnable), notifier)
        with places.recorded(source, home):
            _serve(node, components, stop, service)
    except ConfigError as error:
        if stop.is_set():  # while it waited for the server of the configuration
            return
        raise options.WrongConfig(error.mistakes, source) from error
    except ChannelError as error:
        raise click.ClickException(str(error)) from error


def _check_named(config: Config, codifiers: Iterable[str]) -> None:
    """Raise ConfigError if a named component is unknown, or of a type that is never run."""
    mistakes = []
    for codifier in codifiers:
        component = config.components.get(codifier)
        if component is None:
            mistakes.append(f'no Codifier "{codifier}" in Sensors')
        elif component.type in registry.NEVER_RUN:
            mistakes.append(f"{codifier} is of Type {component.type}, which jph run does not run")
    if mistakes:
        raise ConfigError(mistakes)


def _serve(
    node: Node, components: Iterable[Component], stop: threading.Event, service: Service
) -> None:
    """Run until a signal comes, or until newer instances have replaced every component."""
    began_s = time.monotonic()
    try:
        # Build all components before the first is on the bus: if one cannot be built because a
        # running instance has its port, that instance must not think that it was replaced.
        runners = [node.add(component, build) for component in components]
        service.begin()
        _on_hangup(node.reload)  # before READY, after which the service manager may ask for reloads
        node.start()
        log.info("%d components started in %.1f s", len(runners), time.monotonic() - began_s)
        for runner in runners:
            if runner.callbacks.greeting is not None:
                click.echo(runner.callbacks.greeting())
        stop.wait()
    finally:
        service.end()
        _on_hangup(lambda: None)
        node.stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            # At its end the interpreter removes handlers: a late signal would change the status.
            signal.signal(number, signal.SIG_IGN)
    log.info("stopped")


def _stop_on_signals() -> threading.Event:
    """Return an event that SIGINT or SIGTERM sets.

    Further ones change nothing, since a stop takes 5 s at most and has readings to store: a service
    manager, or a script, may send two. Only who presses Ctrl-C again after a second means it.

    SIGHUP with a terminal, which has then closed, stops too. Without one it asks for a reload;
    until there are components it is ignored, since the configuration is about to be read anyway.
    """
    stop = threading.Event()
    signalled_s = math.inf  # when the first came, monotonic

    def on_signal(number: int, frame: object) -> None:
        nonlocal signalled_s
        now_s = time.monotonic()
        if number == signal.SIGINT and now_s > signalled_s + _IMPATIENT_S:
            os._exit(128 + number)
        signalled_s = min(signalled_s, now_s)
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    if os.isatty(0):
        signal.signal(signal.SIGHUP, on_signal)
    _on_hangup(lambda: None)
    return stop


def _on_hangup(action: Callable[[], object]) -> None:
    if not os.isatty(0):  # never SIG_IGN there, which the commands of sensors would inherit
        signal.signal(signal.SIGHUP, lambda number, frame: action())
