"""`jph control`: send commands to components, and watch the bus.

A command announces its own Codifier (N), sends its messages, and waits for the answers. The watch
only listens, so any number of people can watch at the same time.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from jph.bus import wire
from jph.bus.wire import BROADCAST, Control
from jph.config.model import Component, Config
from jph.node.channel import Channel
from jph.node.process import Process
from tools import options
from tools.watch import Filter, opened_bus, readable, watch_bus

_timeout = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.01, 60),
    default=1.0,
    show_default=True,
    help="Longest wait for answers, in seconds.",
)
_NEVER_ANSWER = ("Proxy", "ControlProgram")  # other components, and commands, send in their name


@dataclass(frozen=True, slots=True)
class Speaker:
    """A network, and the Codifier to speak as; if None, that of the ControlProgram."""

    config: Config
    home: Path
    own: str | None

    def known(self, codifier: str) -> Component:
        """Return a component of the configuration, or end the program if there is none."""
        if codifier not in self.config.components:
            raise click.ClickException(f'no Codifier "{codifier}" in {self.config.source}')
        return self.config.components[codifier]

    def component(self) -> Component:
        """Return the component to speak as, or end the program with what to do."""
        if self.own:
            return self.known(self.own)
        program = self.config.first("ControlProgram")
        if program is None:
            raise click.ClickException(
                "the configuration has no component of Type ControlProgram to speak as; "
                "add one, or name a Codifier with -c"
            )
        return program

    @contextmanager
    def channel(self) -> Iterator[Channel]:
        """Announce the Codifier on the control channel, and close the bus at the end."""
        component = self.component()
        with opened_bus(self.config, "control") as bus:
            channel = Channel(component, Process(self.config, self.home, bus))
            channel.send_control("N")
            yield channel

    def tell(self, flag: str, to: str) -> None:
        """Send a message without waiting for an answer."""
        if flag not in wire.CONTROL_FLAGS:
            flags = " ".join(wire.CONTROL_FLAGS)
            raise click.ClickException(f"no control flag {flag!r}; there are {flags}")
        if to != BROADCAST:
            self.known(to)
        with self.channel() as channel:
            channel.send_control(flag, to)

    def ask(
        self,
        flag: str,
        codifiers: Sequence[str],
        timeout_s: float,
        active: str,
        halted: str,
        number: float | None = None,
    ) -> None:
        """Send a flag, print the answers, and exit with status 1 if a component does not answer.

        C is answered by the N of a component that begins again. Any other flag is followed by a
        ping, which is answered after the flag has had its effect.

        Args:
            active, halted: what an answer shows; {ms} is the time from the question to it.
            number: the time component of the message.
        """
        config = self.config
        wanted = [self.known(codifier).codifier for codifier in codifiers if codifier != BROADCAST]
        if BROADCAST in codifiers:
            wanted = [c.codifier for c in config.components.values() if c.type not in _NEVER_ANSWER]
        silent = dict.fromkeys(wanted)
        with self.channel() as channel:
            asked_s = time.monotonic()
            for codifier in codifiers:
                channel.send_control(flag, codifier, number)
                if flag not in "CP":
                    channel.send_control("P", codifier)
            answer, to = ("N", BROADCAST) if flag == "C" else ("T", channel.codifier)
            for message, heard_s in _heard(channel, timeout_s):
                if message.flag != answer or message.destination != to:
                    continue
                if message.source in silent or flag == "P":
                    text = active if message.is_active else halted
                    self.show(message.source, text.format(ms=(heard_s - asked_s) * 1000))
                    silent.pop(message.source, None)
                if not silent:
                    return
        for codifier in silent:
            self.show(codifier, "no answer")
        click.echo(f"{len(silent)} of {len(wanted)} did not answer in {timeout_s:g} s", err=True)
        sys.exit(1)

    def show(self, codifier: str, text: str) -> None:
        """Print a line about a component."""
        component = self.config.components.get(codifier)
        click.echo(f"{codifier}  {component.name if component else '(unknown)':24.24}  {text}")


@click.group(invoke_without_command=True)
@options.source
@options.home
@click.option("-c", "--code", "own", metavar="CODE", help="Codifier to speak as.")
@click.option("-t", "--msg-to", "to", metavar="CODE", help="Send a message to CODE; needs -f.")
@click.option("-f", "--msg-flag", "flag", metavar="FLAG", help="Flag of the message; needs -t.")
@click.option("-x", "--exit", "without_watch", is_flag=True, help="Do not watch after the message.")
@click.option(
    "-l", "--filter-all", "about", metavar="CODE", help="Watch only messages to or from CODE."
)
@click.option("-o", "--filter-to", "only_to", metavar="CODE", help="Watch only messages to CODE.")
@click.option(
    "-r", "--filter-from", "only_from", metavar="CODE", help="Watch only messages from CODE."
)
@click.option("-n", "--filter-chnl", "channel", metavar="CHNL", help="Watch only Data or Ctrl.")
@click.option("-F", "--force", is_flag=True, help="First start the component to speak as (S).")
@click.pass_context
def control(
    ctx: click.Context,
    source: str,
    home: Path,
    own: str | None,
    to: str | None,
    flag: str | None,
    without_watch: bool,
    about: str | None,
    only_to: str | None,
    only_from: str | None,
    channel: str | None,
    force: bool,
) -> None:
    """Ping, halt, start, reload, set, step, and watch.

    Without a subcommand it takes the options of older versions: it sends a message with -t and -f,
    then watches, unless -x is given.
    """
    speaker = ctx.obj = Speaker(options.load(source, home), home, own)
    if ctx.invoked_subcommand:
        return
    if (to is None) != (flag is None):
        raise click.UsageError("-t and -f belong together")
    if force:
        speaker.tell("S", speaker.component().codifier)
    if to is not None and flag is not None:
        speaker.tell(flag[:1], to[:2])
    if not without_watch:
        names = {"D": "Data", "C": "Ctrl", None: None}
        initial = channel and channel[:1].upper()
        if initial not in names:
            raise click.UsageError(f"-n takes Data or Ctrl, not {channel!r}")
        watch_bus(speaker.config, Filter(about, only_from, only_to, names[initial]), None)


@control.command()
@click.argument("codifiers", nargs=-1, metavar="[CODIFIER...]")
@_timeout
@click.pass_obj
def ping(speaker: Speaker, codifiers: tuple[str, ...], timeout_s: float) -> None:
    """Show which components answer, and after how many ms; all if no CODIFIER is given."""
    asked = codifiers or (BROADCAST,)
    speaker.ask("P", asked, timeout_s, "{ms:8.2f} ms", "{ms:8.2f} ms  halted")


def _command(flag: str, name: str, active: str, halted: str, help: str) -> None:
    """Make a command that sends a flag to components."""

    @control.command(name, help=help)
    @click.argument("codifiers", nargs=-1, required=True, metavar="CODIFIER...")
    @_timeout
    @click.pass_obj
    def command(speaker: Speaker, codifiers: tuple[str, ...], timeout_s: float) -> None:
        if flag == "C":
            timeout_s += 1  # they may have to fetch the configuration from a server
        speaker.ask(flag, codifiers, timeout_s, active, halted)


def _adjustment(flag: str, name: str, number: str, help: str) -> None:
    """Make a command that sends a flag and a number to a component."""

    @control.command(name, help=help, context_settings={"ignore_unknown_options": True})  # -0.5
    @click.argument("codifier")
    @click.argument("number", type=float, metavar=number)
    @_timeout
    @click.pass_obj
    def command(speaker: Speaker, codifier: str, number: float, timeout_s: float) -> None:
        if not speaker.known(codifier).control_enabled:
            raise click.ClickException(
                f'{codifier} takes no values; to set it, add "Control": "enabled" to its entry'
            )
        speaker.ask(flag, [codifier], timeout_s, "sent", "sent, but it is halted", number)


HALT = "Halt the readings and callbacks of components; @@ for all."
RELOAD = "Have components read their configuration again; @@ for all."
_command("H", "halt", "still active", "halted", HALT)
_command("S", "start", "active", "still halted", "Start components that were halted; @@ for all.")
_command("C", "reload", "reloaded", "reloaded", RELOAD)
_adjustment("A", "set", "VALUE", "Set a component to a value.")
_adjustment("E", "step", "BY", "Change a component by a step.")


@control.command()
@click.argument("about", required=False, metavar="[CODIFIER]")
@click.option("--from", "only_from", metavar="CODE", help="Only messages from CODE.")
@click.option("--to", "only_to", metavar="CODE", help="Only messages to CODE.")
@click.option("--channel", type=click.Choice(["ctrl", "data"]), help="Only this channel.")
@click.option("--flag", "flags", metavar="FLAGS", help="Only these flags, such as PT.")
@click.option("--seconds", type=click.FloatRange(0), help="Stop after this long.")
@click.pass_obj
def watch(
    speaker: Speaker,
    about: str | None,
    only_from: str | None,
    only_to: str | None,
    channel: str | None,
    flags: str | None,
    seconds: float | None,
) -> None:
    """Show the messages of both channels until Ctrl-C; of one CODIFIER, if it is given."""
    chosen = Filter(about, only_from, only_to, channel and channel.capitalize(), flags)
    watch_bus(speaker.config, chosen, seconds)


def _heard(channel: Channel, timeout_s: float) -> Iterator[tuple[Control, float]]:
    """Yield the messages of the control channel, each with its time of arrival, s, monotonic."""
    receiver = channel.process.bus.control.receiver
    for _ in readable([receiver.fileno()], timeout_s):
        now_s = time.monotonic()
        for message, _ in receiver.receive():
            yield message, now_s
