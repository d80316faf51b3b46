"""The watch of `jph control`: a line for each datagram of both channels."""

import math
import select
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import click

from jph.bus import wire
from jph.bus.bus import Bus
from jph.bus.receiver import Datagrams
from jph.bus.wire import Control, Data
from jph.config.model import Config
from jph.errors import DatagramError


@dataclass(frozen=True, slots=True)
class Filter:
    """The messages to show, by Codifier, channel and flags; None stands for all."""

    about: str | None = None
    only_from: str | None = None
    only_to: str | None = None
    channel: str | None = None
    flags: str | None = None

    def shows(self, channel: str, message: Control | Data) -> bool:
        """Tell whether to show a message."""
        to = message.destination if isinstance(message, Control) else wire.BROADCAST
        return (
            self.about in (None, message.source, to)
            and self.only_from in (None, message.source)
            and self.only_to in (None, to)
            and self.channel in (None, channel)
            and (self.flags is None or message.flag in self.flags)
        )


@contextmanager
def opened_bus(config: Config, *channels: str) -> Iterator[Bus]:
    """Open the bus of a network, listening to these of its channels: control, data.

    Raises:
        click.ClickException: a channel cannot be joined.
    """
    bus = Bus(config.multicast)
    for name in channels:
        getattr(bus, name).listen()
    try:
        bus.open()
        for name, channel in bus.status().channels.items():
            if not channel.joined:
                raise click.ClickException(f"cannot join the {name} channel: {channel.fault}")
        yield bus
    finally:
        bus.close()


def readable(sockets: Iterable[int], seconds: float) -> Iterator[int]:
    """Yield each of these sockets whenever it has datagrams, for a time."""
    poll = select.poll()
    for fileno in sockets:
        poll.register(fileno, select.POLLIN)
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        for fileno, _ in poll.poll(None if left_s == math.inf else left_s * 1000):
            yield fileno


def watch_bus(config: Config, chosen: Filter, seconds: float | None) -> None:
    """Print the messages of the bus until Ctrl-C or for a time, invalid datagrams too."""
    names = {"Ctrl": "control", "Data": "data"}
    if chosen.channel is not None:
        names = {chosen.channel: names[chosen.channel]}
    with suppress(KeyboardInterrupt), opened_bus(config, *names.values()) as bus:
        waiting: dict[int, tuple[str, Datagrams]] = {}
        for label, name in names.items():
            datagrams = getattr(bus, name).receiver.datagrams
            waiting[datagrams.fileno()] = label, datagrams
        for fileno in readable(waiting, seconds or math.inf):
            _show(config, chosen, *waiting[fileno])


def _show(config: Config, chosen: Filter, channel: str, datagrams: Datagrams) -> None:
    decode = wire.decode_control if channel == "Ctrl" else wire.decode_data
    for datagram, address in datagrams:
        sender = f"{address[0]}:{address[1]}"
        try:
            message = decode(datagram)
        except DatagramError as error:
            if chosen == Filter(channel=chosen.channel):
                click.echo(f"{'':12} {channel}  invalid datagram from {sender}: {error}")
            continue
        if chosen.shows(channel, message):
            click.echo(f"{_line(config, channel, message)}  {sender}")


def _line(config: Config, channel: str, message: Control | Data) -> str:
    try:
        moment = datetime.fromtimestamp(message.timestamp_ms / 1000).strftime("%H:%M:%S.%f")[:12]
    except (ValueError, OverflowError, OSError):  # beyond the year 9999
        moment = str(message.timestamp_ms)
    if isinstance(message, Control):
        to = message.destination
        content = f"{message.number:.15g} {'active' if message.is_active else 'halted'}"
    else:
        to = wire.BROADCAST
        component = config.components.get(message.source)
        unit = f" {component.symbol}" if component and component.symbol else ""
        value = message.value
        content = (f"{value:.7g}" if isinstance(value, float) else repr(value)) + unit
    return (
        f"{moment} {channel}={message.flag} {message.source}-{to} {message.sequence:10} {content}"
    )
