"""`jph up` and `jph run`: run components of the configuration in one process."""

import logging
import os
import shlex
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import click

from jph import registry
from jph.bus.wire import Address
from jph.config import loading
from jph.config.checks import runs_here
from jph.config.host import this_host
from jph.config.model import Component, Config
from jph.errors import ChannelError, ConfigError
from jph.node.building import build
from jph.node.logs import set_up_logging
from jph.node.node import Node
from jph.node.probe import Answers, StartProbe
from jph.node.reload import Reloader
from jph.node.systemd import Notifier, from_environment
from jph.threads import share_pools
from tools import crash, options, places
from tools.change_on_trial import EX_TEMPFAIL, change_on_trial
from tools.service import Service
from tools.stopping import Stop

log = logging.getLogger(__name__)


def _chosen_port(ctx: click.Context, param: click.Parameter, port: int | None) -> int | None:
    """Return the port; for 0 a free one, which the configuration then tells to all who read it."""
    if port != 0:
        return port
    with socket.socket() as probe:
        probe.bind(("", 0))
        chosen: int = probe.getsockname()[1]
    return chosen


_port = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    callback=_chosen_port,
    help="Port of the web server, instead of the configured one; 0 for any free one.",
)
_take_over = click.option(
    "--take-over",
    is_flag=True,
    help="Start also components that are at work already, which ends them there.",
)


class Elsewhere(click.ClickException):
    """Ends the program since others have its components."""

    exit_code = EX_TEMPFAIL

    def show(self, file: object = None) -> None:
        click.echo(f"jph: {self.message}", err=True)


@click.command()
@options.network
@_port
@_take_over
def up(source: str, home: Path, port: int | None, take_over: bool) -> None:
    """Run all components that the configuration names for this machine."""
    _main(source, home, port, None, take_over)


@click.command()
@click.argument("codifiers", nargs=-1, required=True, metavar="CODIFIER...")
@options.network
@_port
@_take_over
def run(
    codifiers: tuple[str, ...], source: str, home: Path, port: int | None, take_over: bool
) -> None:
    """Run these components in one process."""
    _main(source, home, port, codifiers, take_over)


def _main(
    source: str,
    home: Path,
    port: int | None,
    codifiers: Collection[str] | None,
    take_over: bool,
) -> None:
    """Run; if that fails under a change of the configuration on trial, run without it."""

    def runs(entry: Mapping[str, object]) -> bool:
        return runs_here(entry) if codifiers is None else entry.get("Codifier") in codifiers

    share_pools()
    notifier = from_environment()  # which has it for the first who asks
    with change_on_trial(home, runs) as change:
        _run(source, home, port, codifiers, take_over, runs, notifier)
    if change.is_taken_back:
        _run(source, home, port, codifiers, take_over, runs, notifier)


def _run(
    source: str,
    home: Path,
    port: int | None,
    codifiers: Collection[str] | None,
    take_over: bool,
    runs: Callable[[Mapping[str, object]], bool],
    notifier: Notifier,
) -> None:
    stop = Stop()
    stop.on_signals()
    # Without a terminal SIGHUP asks for a reload. Until there are components it is ignored, since
    # the configuration is about to be read anyway.
    _on_hangup(lambda: None)

    def load(wait: bool = False, on_read: Callable[[Config], object] | None = None) -> Config:
        return loading.load(
            source, home, runs=runs, wait=wait, port=port, stop=stop, on_read=on_read
        )

    def runnable(config: Config) -> list[Component]:
        """Return the components to run whose type has an implementation."""
        return [
            component
            for component in config.components.values()
            if runs(component.entry) and registry.is_run(component.type)
        ]

    probe = StartProbe()

    def ask(config: Config) -> None:
        probe.ask(config, home, [component.codifier for component in runnable(config)])

    try:
        notifier.status(f"reading the configuration from {source}")
        config = load(wait=True, on_read=None if take_over else ask)
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
        codifiers_here = frozenset(component.codifier for component in components)
        # After a crash nobody is expected: it begins while the answers come in.
        goes_on = codifiers_here <= crash.components_of_killed(home)
        # Before any is built: a pin or a port may be in use by one who is at work here.
        answers = probe.answers(wait=not goes_on)
        _refuse(components, answers, probe.host)
        if not goes_on:
            probe.close()
        asks_first, was_asked = not take_over, answers is not None
        node = Node(config, home, finished=stop, asks_first=asks_first, was_asked=was_asked)
        service = Service(node, Reloader(node, load, runnable), notifier)
        with places.recorded(source, home), crash.recorded(home, codifiers_here):
            _serve(node, components, stop, service, probe)
    except ConfigError as error:
        if stop.is_set():  # while it waited for the server of the configuration
            return
        raise options.WrongConfig(error.mistakes, source) from error
    except ChannelError as error:
        raise click.ClickException(str(error)) from error
    finally:
        probe.close()


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
    node: Node,
    components: Sequence[Component],
    stop: threading.Event,
    service: Service,
    probe: StartProbe,
) -> None:
    """Run until a signal comes, or until newer instances have replaced every component.

    Args:
        probe: closed, unless answers may still come.
    """
    began_s = time.monotonic()
    try:
        # Build all components before the first is on the bus: if one cannot be built because a
        # running instance has its port, that instance must not think that it was replaced.
        runners = [node.add(component, build) for component in components]
        _refuse(components, probe.answers(wait=False), probe.host)
        service.begin()
        _on_hangup(node.reload)  # before READY, after which the service manager may ask for reloads
        node.start()
        log.info("%d components started in %.1f s", len(runners), time.monotonic() - began_s)
        for runner in runners:
            if runner.callbacks.greeting is not None:
                click.echo(runner.callbacks.greeting())
        sender = node.bus.control.sender
        _refuse(components, probe.answers(ours=sender.addresses), probe.host)
        probe.close()
        stop.wait()
        if node.starter.refused:  # since there is a network
            _refuse(components, node.starter.refused, sender.addresses[0][0])
        if node.taken_over:
            raise Elsewhere(
                f"newer instances run all components of this process: {_places(node.taken_over)};"
                " this one ends"
            )
    finally:
        service.end()
        _on_hangup(lambda: None)
        node.stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            # At its end the interpreter removes handlers: a late signal would change the status.
            signal.signal(number, signal.SIG_IGN)
    log.info("stopped")


def _refuse(components: Iterable[Component], answers: Answers | None, here: str) -> None:
    """End the program if some components are at work already; tell how to go on."""
    if not answers:
        return
    others = [c.codifier for c in components if c.codifier not in answers]
    ways = ['name the machine that runs a component in its entry ("Host")']
    if others:
        ways.append(f"start only the others (jph run -- {shlex.join(others)})")
    raise Elsewhere(
        f"at work already: {_places(answers, here)}; nothing was started here. Either"
        f" {', or '.join([*ways, 'take them over (--take-over), which ends them there'])}."
    )


def _places(answers: Answers, here: str = "") -> str:
    """Return who is at work where, such as `LA UP at 192.0.2.7:40123`."""
    by_place: dict[Address, list[str]] = {}
    for codifier, address in answers.items():
        by_place.setdefault(address, []).append(codifier)
    return ", ".join(
        f"{' '.join(sorted(found))} at {host}:{port}{' (this machine)' * (host == here)}"
        for (host, port), found in by_place.items()
    )


def _on_hangup(action: Callable[[], object]) -> None:
    if not os.isatty(0):  # never SIG_IGN there, which the commands of sensors would inherit
        signal.signal(signal.SIGHUP, lambda number, frame: action())
