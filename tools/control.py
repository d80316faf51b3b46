"""`jph control`: send commands to components, and watch the bus.

A command announces its own Codifier (N), sends its messages, and waits for what becomes of them.
The watch only listens, so any number of people can watch at the same time.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from jph import registry
from jph.bus import wire
from jph.bus.bus import Bus
from jph.bus.wire import BROADCAST, Control, Reading
from jph.config.model import Component, Config
from jph.node.channel import Channel
from jph.node.outcome import Expectation, Outcome, send_command, source_of
from jph.node.probe import program_of
from jph.node.process import Process
from jph.node.throttle import RELOAD_EVERY_S
from tools import options
from tools.watch import Filter, opened_bus, readable, watch_bus

_timeout = click.option(
    "--timeout",
    "timeout_s",
    type=options.Number(0.01, 60),
    default=1.0,
    show_default=True,
    help="Longest wait for answers, in seconds.",
)
NAME_WIDTH = 24  # beyond it a line has the short name
_NEVER_ANSWER = ("Proxy", "ControlProgram")  # other components, and commands, send in their name
_ANSWER_S = 0.3  # longest wait for anyone's answer to a ping


@dataclass(frozen=True, slots=True)
class Speaker:
    """A network, and the Codifier to speak as; None: that of the ControlProgram, or a free one."""

    config: Config
    home: Path
    own: str | None

    def known(self, codifier: str) -> Component:
        """Return a component of the configuration, or end the program if there is none."""
        if codifier not in self.config.components:
            raise click.ClickException(f'no Codifier "{codifier}" in {self.config.source}')
        return self.config.components[codifier]

    def component(self) -> Component:
        """Return the component to speak as: the named one, a ControlProgram, or one of no entry."""
        if self.own:
            return self.known(self.own)
        return program_of(self.config)

    @contextmanager
    def channel(self, *channels: str) -> Iterator[Channel]:
        """Announce the Codifier, and listen to the control channel and others; close them."""
        component = self.component()
        with opened_bus(self.config, "control", *channels) as bus:
            channel = Channel(component, Process(self.config, self.home, bus))
            # The number 0 is no later configuration time: it replaces nobody of the same Codifier.
            channel.send_control("N", number=0.0)
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
        self, flag: str, codifiers: Sequence[str], timeout_s: float, number: float | None = None
    ) -> None:
        """Send a command, print what became of it, and exit with status 1 if it is not done."""
        waiting = {c.codifier: Expectation(c, flag, number) for c in self._wanted(flag, codifiers)}
        served = {one.answers: codifier for codifier, one in waiting.items()}
        outcomes: list[Outcome] = []
        others = False  # speak on the bus

        def end(expected: Expectation, outcome: Outcome) -> None:
            outcomes.append(outcome)
            text = outcome.text
            if flag == "P" and expected.round_trip_ms is not None:
                halted = "  halted" if "halted" in text else ""
                text = f"{expected.round_trip_ms:8.2f} ms{halted}"
            self.show(expected.component.codifier, text)

        def listen(bus: Bus) -> Iterator[Control | Reading]:
            yield from _heard(bus, timeout_s)
            if flag == "C" and any(one.is_answered for one in waiting.values()):
                yield from _heard(bus, RELOAD_EVERY_S)  # after a reload that was just before

        with self.channel(*(["data"] if flag in "AE" else [])) as channel:
            for codifier in codifiers:
                to_all = codifier == BROADCAST
                expected = waiting.values() if to_all else [waiting[codifier]]
                send_command(channel, flag, codifier, number, expected)
            for message in listen(channel.process.bus):
                source = source_of(message)
                others = others or source != channel.codifier
                of = source if source in waiting else served.get(source, "")
                if of in waiting and (outcome := waiting[of].hear(message)) is not None:
                    end(waiting.pop(of), outcome)
                elif flag == "P" and source not in self.config.components and _is_answer(message):
                    self.show(source, "answered")
                if not waiting:
                    break
            is_alone = not others and _is_alone(channel)
        if is_alone:
            raise click.ClickException(_nobody(self.config))
        for one in waiting.values():
            end(one, one.at_last())
        silent = sum(not one.is_answered for one in waiting.values())
        if silent:
            wanted = f"{silent} of {len(outcomes)} did not answer"
            click.echo(f"{wanted} in {timeout_s:g} s", err=True)
        if not all(outcome.is_done for outcome in outcomes):
            sys.exit(1)

    def _wanted(self, flag: str, codifiers: Sequence[str]) -> Iterator[Component]:
        """Yield the components that a command is for, or end the program if it is for none."""
        for codifier in codifiers:
            if codifier != BROADCAST:
                component = self.known(codifier)
                if component.server is not None and flag not in "AE":
                    raise click.ClickException(
                        f"{codifier} is served by {component.server}: send it there"
                    )
                yield component
        if BROADCAST in codifiers:
            ignoring = registry.IGNORE_HALT if flag == "H" else ()
            for component in self.config.components.values():
                if component.type not in _NEVER_ANSWER and component.type not in ignoring:
                    yield component

    def show(self, codifier: str, text: str) -> None:
        """Print a line about a component."""
        component = self.config.components.get(codifier)
        name = component.name if component else "(unknown)"
        if component and len(name) > NAME_WIDTH:
            name = component.short_name
        click.echo(f"{codifier}  {name:{NAME_WIDTH}.{NAME_WIDTH}}  {text}")


@click.group(invoke_without_command=True)
@options.network
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
    speaker.ask("P", asked, timeout_s)


def _command(flag: str, name: str, help: str) -> None:
    """Make a command that sends a flag to components."""

    @control.command(name, help=help)
    @click.argument("codifiers", nargs=-1, required=True, metavar="CODIFIER...")
    @_timeout
    @click.pass_obj
    def command(speaker: Speaker, codifiers: tuple[str, ...], timeout_s: float) -> None:
        if flag == "C":
            timeout_s += 1  # they may have to fetch the configuration from a server
        speaker.ask(flag, codifiers, timeout_s)


def _adjustment(flag: str, name: str, number: str, help: str) -> None:
    """Make a command that sends a flag and a number to a component."""

    @control.command(name, help=help, context_settings={"ignore_unknown_options": True})  # -0.5
    @click.argument("codifier")
    @click.argument("number", type=options.Number(), metavar=number)
    @_timeout
    @click.pass_obj
    def command(speaker: Speaker, codifier: str, number: float, timeout_s: float) -> None:
        if not speaker.known(codifier).control_enabled:
            raise click.ClickException(
                f'{codifier} takes no values; to set it, add "Control": "enabled" to its entry'
            )
        speaker.ask(flag, [codifier], timeout_s, number)


HALT = "Halt the readings and callbacks of components; @@ for all."
RELOAD = "Have components read their configuration again; @@ for all."
_command("H", "halt", HALT)
_command("S", "start", "Start components that were halted; @@ for all.")
_command("C", "reload", RELOAD)
_adjustment("A", "set", "VALUE", "Set a component to a value.")
_adjustment("E", "step", "BY", "Change a component by a step.")


@control.command()
@click.argument("about", required=False, metavar="[CODIFIER]")
@click.option("--from", "only_from", metavar="CODE", help="Only messages from CODE.")
@click.option("--to", "only_to", metavar="CODE", help="Only messages to CODE.")
@click.option("--channel", type=click.Choice(["ctrl", "data"]), help="Only this channel.")
@click.option("--flag", "flags", metavar="FLAGS", help="Only these flags, such as PT.")
@click.option("--seconds", type=options.Number(0), help="Stop after this long.")
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


def _heard(bus: Bus, timeout_s: float) -> Iterator[Control | Reading]:
    """Yield the messages of the channels that a bus listens to, for a time."""
    filenos = [bus.control.receiver.fileno(), bus.data.receiver.fileno()]
    for fileno in readable([each for each in filenos if each >= 0], timeout_s):
        if fileno == bus.control.receiver.fileno():
            yield from (message for message, _ in bus.control.receiver.receive())
        else:
            yield from bus.data.receiver.receive()


def _is_answer(message: Control | Reading) -> bool:
    return isinstance(message, Control) and message.flag == "T"


def _is_alone(channel: Channel) -> bool:
    """Tell whether nobody else is on the bus."""
    channel.send_control("P")
    messages = _heard(channel.process.bus, _ANSWER_S)
    return all(source_of(message) == channel.codifier for message in messages)


def _nobody(config: Config) -> str:
    """Return what to tell someone who hears nothing from anyone on the bus."""
    group = config.multicast.control
    return (
        f"nobody answers on {group.address}:{group.port}, so nothing of this network seems to run;"
        " start it with ./scripts/run or jph up, or name another network with -u"
    )
