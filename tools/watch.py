"""The watch of `jph control`: every datagram of both channels as a line."""

import select
import time
from dataclasses import dataclass
from datetime import datetime

import click

from jph.bus import sockets, wire
from jph.bus.receiver import Datagrams
from jph.bus.wire import Control, Data
from jph.config import Config
from jph.errors import DatagramError


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages are shown; None shows all.

    Args:
        about: Codifier that is source or destination.
        only_from, only_to: source, destination.
        channel: Ctrl or Data.
        flags: any of these.
    """

    about: str | None = None
    only_from: str | None = None
    only_to: str | None = None
    channel: str | None = None
    flags: str | None = None

    def shows(self, channel: str, message: Control | Data) -> bool:
        """Tell whether a message is shown."""
        to = message.destination if isinstance(message, Control) else wire.BROADCAST
        return (
            self.about in (None, message.source, to)
            and self.only_from in (None, message.source)
            and self.only_to in (None, to)
            and self.channel in (None, channel)
            and (self.flags is None or message.flag in self.flags)
        )


def watch_bus(config: Config, chosen: Filter, seconds: float | None) -> None:
    """Print what passes until Ctrl-C or for a time; what is no message is shown as such."""
    until_s = time.monotonic() + seconds if seconds else None
    channels: dict[int, tuple[str, Datagrams]] = {}
    poll = select.poll()
    for channel, group in (("Ctrl", config.control), ("Data", config.data)):
        if chosen.channel not in (None, channel):
            continue
        try:
            datagrams = Datagrams(sockets.open_receiver(group))
        except OSError as error:
            reason = sockets.explain(error, group)
            raise click.ClickException(f"cannot join the {channel} channel: {reason}") from error
        channels[datagrams.fileno()] = channel, datagrams
        poll.register(datagrams.fileno(), select.POLLIN)
    try:
        while until_s is None or time.monotonic() < until_s:
            wait_ms = None if until_s is None else max(0.0, until_s - time.monotonic()) * 1000
            for fileno, _ in poll.poll(wait_ms):
                _show(config, chosen, *channels[fileno])
    except KeyboardInterrupt:
        pass
    finally:
        for _, datagrams in channels.values():
            datagrams.close()


def _show(config: Config, chosen: Filter, channel: str, datagrams: Datagrams) -> None:
    decode = wire.decode_control if channel == "Ctrl" else wire.decode_data
    for datagram, sender in datagrams:
        try:
            message = decode(datagram)
        except DatagramError as error:
            if chosen == Filter(channel=chosen.channel):
                click.echo(f"{'':12} {channel}  no message from {sender[0]}:{sender[1]}: {error}")
            continue
        if chosen.shows(channel, message):
            click.echo(f"{_line(config, channel, message)}  {sender[0]}:{sender[1]}")


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
