"""`jph up` and `jph run`: components of the configuration at work, in one process."""

import logging
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
from tools import options
from tools.service import Service

log = logging.getLogger(__name__)

_port = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port of the web server, instead of the configured one.",
)


@click.command()
@options.source
@options.home
@_port
def up(source: str, home: Path, port: int | None) -> None:
    """Run all components that the configuration names for this machine."""
    _main(source, home, port, None)


@click.command()
@click.argument("codifiers", nargs=-1, required=True, metavar="CODIFIER...")
@options.source
@options.home
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

    try:
        notifier.status(f"reading the configuration from {source}")
        config = load(wait=True)
        set_up_logging(config)
        for warning in config.warnings:
            log.warning("%s", warning)
        node = Node(config, home, finished=stop)
        reloader = Reloader(node, load, lambda new: _runnable(new, codifiers))
        components = list(_chosen(config, codifiers))
        if not components:
            raise ConfigError(
                f"no component for this machine ({this_host()}); set JPH_HOST "
                "to the Host of its entries, or name Codifiers with jph run",
                source,
            )
        _serve(node, components, stop, Service(node, reloader, notifier))
    except ConfigError as error:
        if stop.is_set():  # while it waited for the server of the configuration
            return
        raise options.WrongConfig(error.mistakes, source) from error
    except ChannelError as error:
        raise click.ClickException(str(error)) from error


def _chosen(config: Config, codifiers: Collection[str] | None) -> Iterable[Component]:
    """Return the components to run.

    Raises:
        ConfigError: one that was named is unknown, or never run.
    """
    mistakes = []
    for codifier in codifiers or ():
        component = config.components.get(codifier)
        if component is None:
            mistakes.append(f'no Codifier "{codifier}" in Sensors')
        elif component.type in registry.NEVER_RUN:
            mistakes.append(f"{codifier} is a {component.type}: others speak for it")
    if mistakes:
        raise ConfigError(mistakes)
    return _runnable(config, codifiers)


def _runnable(config: Config, codifiers: Collection[str] | None) -> Iterable[Component]:
    """Yield those that are named, or that this host runs; not what is without an implementation."""
    host = this_host()
    for component in config.components.values():
        chosen = component.runs_on(host) if codifiers is None else component.codifier in codifiers
        if chosen and component.type not in registry.NEVER_RUN and registry.is_run(component.type):
            yield component


def _serve(
    node: Node, components: Iterable[Component], stop: threading.Event, service: Service
) -> None:
    """Run until a signal comes, or until newer instances took every component over."""
    began_s = time.monotonic()
    try:
        # All are built before the first is on the bus: where one cannot be, for a port that is
        # taken by an instance which runs already, that instance must not think it was replaced.
        members = [node.add(component, build) for component in components]
        service.begin()
        _on_hangup(node.reload)  # before READY, after which the service manager may ask for it
        node.start()
        log.info("%d components started in %.1f s", len(members), time.monotonic() - began_s)
        for member in members:
            if member.callbacks.greeting is not None:
                click.echo(member.callbacks.greeting())
        stop.wait()
    finally:
        service.end()
        _on_hangup(_nothing)
        node.stop()
    log.info("stopped")


def _stop_on_signals() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set; a second signal ends the process at once.

    So does SIGHUP on a terminal, which closes then. Elsewhere it means: read the configuration
    anew; while there is no component yet that is about to be done anyway.
    """
    stop = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    if _has_terminal():
        signal.signal(signal.SIGHUP, on_signal)
    else:
        _on_hangup(_nothing)
    return stop


def _on_hangup(action: Callable[[], object]) -> None:
    if not _has_terminal():
        signal.signal(signal.SIGHUP, lambda number, frame: action())


def _has_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False


def _nothing() -> None:
    pass
