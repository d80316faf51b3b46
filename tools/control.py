"""`jph control`: speak to components, and watch the bus.

A short command announces its Codifier (N), says what it has to say, and waits for the answers. The
watch only listens, so that any number of people can watch at once.
"""

import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from jph.bus import wire
from jph.bus.wire import BROADCAST, Control
from jph.config.model import Config
from jph.node.channel import Channel
from jph.node.process import Process
from tools import options
from tools.watch import Filter, opened_bus, watch_bus

_timeout = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.01, 60),
    default=1.0,
    show_default=True,
    help="Longest wait for answers, in seconds.",
)
_codifiers = click.argument("codifiers", nargs=-1, required=True, metavar="CODIFIER...")


@dataclass(slots=True)
class Speaker:
    """Who speaks: a Codifier of a network."""

    config: Config
    home: Path
    own: str | None

    def codifier(self) -> str:
        """Return the Codifier to speak as, or end with what to do."""
        if self.own:
            if self.own not in self.config.components:
                raise click.ClickException(f'no Codifier "{self.own}" in {self.config.source}')
            return self.own
        program = self.config.first("ControlProgram")
        if program is None:
            raise click.ClickException(
                "the configuration has no component of Type ControlProgram to speak as; "
                "add one, or name a Codifier with -c"
            )
        return program.codifier


class Conversation:
    """A Codifier on the control channel for as long as a command takes."""

    def __init__(self, speaker: Speaker) -> None:
        component = speaker.config.components[speaker.codifier()]
        self._bus = opened_bus(speaker.config, "control")
        process = Process(speaker.config, speaker.home, self._bus)
        self.channel = Channel(component, process)
        self.channel.send_control("N")

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bus.close()

    def answers(self, timeout_s: float) -> Iterator[tuple[Control, float]]:
        """Yield what is heard on the control channel, with the time (s, monotonic) it came."""
        until_s = time.monotonic() + timeout_s
        receiver = self._bus.control.receiver
        poll = select.poll()
        poll.register(receiver.fileno(), select.POLLIN)
        while (left_s := until_s - time.monotonic()) > 0:
            if poll.poll(left_s * 1000):
                now_s = time.monotonic()
                for message, _ in receiver.receive():
                    yield message, now_s


@click.group(invoke_without_command=True)
@options.source
@options.home
@click.option("-c", "--code", "own", metavar="CODE", help="Codifier to speak as.")
@click.option("-t", "--msg-to", "to", metavar="CODE", help="Send a message to CODE; needs -f.")
@click.option("-f", "--msg-flag", "flag", metavar="FLAG", help="Flag of the message; needs -t.")
@click.option("-x", "--exit", "leave", is_flag=True, help="Do not watch after the message.")
@click.option("-l", "--filter-all", "about", metavar="CODE", help="Watch only to or from CODE.")
@click.option("-o", "--filter-to", "only_to", metavar="CODE", help="Watch only what goes to CODE.")
@click.option("-r", "--filter-from", "only_from", metavar="CODE", help="Watch only from CODE.")
@click.option("-n", "--filter-chnl", "channel", metavar="CHNL", help="Watch only Data or Ctrl.")
@click.option("-F", "--force", is_flag=True, help="Start the own Codifier first (S).")
@click.pass_context
def control(
    ctx: click.Context,
    source: str,
    home: Path,
    own: str | None,
    to: str | None,
    flag: str | None,
    leave: bool,
    about: str | None,
    only_to: str | None,
    only_from: str | None,
    channel: str | None,
    force: bool,
) -> None:
    """Ping, halt, start, reload, set, step, and watch.

    Without a subcommand it takes the options of older versions: a message with -t and -f, then the
    watch, unless -x is given.
    """
    speaker = Speaker(options.load(source, home), home, own)
    ctx.obj = speaker
    if ctx.invoked_subcommand:
        return
    if (to is None) != (flag is None):
        raise click.UsageError("-t and -f belong together")
    if force:
        _tell(speaker, "S", speaker.codifier())
    if to is not None and flag is not None:
        _tell(speaker, flag[:1], to[:2])
    if not leave:
        chosen = Filter(about, only_from, only_to, _channel_name(channel))
        watch_bus(speaker.config, chosen, None)


@control.command()
@click.argument("codifiers", nargs=-1, metavar="[CODIFIER...]")
@_timeout
@click.pass_obj
def ping(speaker: Speaker, codifiers: tuple[str, ...], timeout_s: float) -> None:
    """Say who answers, and after how many milliseconds; everyone if no CODIFIER is given."""
    wanted = _known(speaker, codifiers) if codifiers else _running(speaker.config)
    with Conversation(speaker) as conversation:
        asked_s = time.monotonic()
        for codifier in codifiers or (BROADCAST,):
            conversation.channel.send_control("P", codifier)
        silent = dict.fromkeys(wanted)
        for message, now_s in conversation.answers(timeout_s):
            if message.flag != "T" or message.destination != conversation.channel.codifier:
                continue
            silent.pop(message.source, None)
            state = "" if message.is_active else "  halted"
            _line(speaker, message.source, f"{(now_s - asked_s) * 1000:8.2f} ms{state}")
            if not silent:
                break
    for codifier in silent:
        _line(speaker, codifier, "  no answer")
    if silent:
        click.echo(f"{len(silent)} of {len(wanted)} did not answer in {timeout_s:g} s", err=True)
        sys.exit(1)


@control.command()
@_codifiers
@_timeout
@click.pass_obj
def halt(speaker: Speaker, codifiers: tuple[str, ...], timeout_s: float) -> None:
    """Halt the readings and callbacks of components; @@ for all."""
    _command(
        speaker, "H", codifiers, timeout_s, lambda m: "still active" if m.is_active else "halted"
    )


@control.command()
@_codifiers
@_timeout
@click.pass_obj
def start(speaker: Speaker, codifiers: tuple[str, ...], timeout_s: float) -> None:
    """Start components that were halted; @@ for all."""
    _command(
        speaker, "S", codifiers, timeout_s, lambda m: "active" if m.is_active else "still halted"
    )


@control.command()
@_codifiers
@_timeout
@click.pass_obj
def reload(speaker: Speaker, codifiers: tuple[str, ...], timeout_s: float) -> None:
    """Have components read their configuration again; @@ for all."""
    targets = _targets(speaker, codifiers)
    with Conversation(speaker) as conversation:
        for codifier in codifiers:
            conversation.channel.send_control("C", codifier)
        for message, _ in conversation.answers(timeout_s + 1):  # a server may have to be asked
            if message.flag == "N" and message.source in targets:
                _line(speaker, message.source, "reloaded")
                targets.remove(message.source)
                if not targets:
                    return
    _unanswered(speaker, targets)


@control.command("set")
@click.argument("codifier")
@click.argument("value", type=float)
@_timeout
@click.pass_obj
def set_(speaker: Speaker, codifier: str, value: float, timeout_s: float) -> None:
    """Set a component to a value."""
    _adjust(speaker, codifier, "A", value, timeout_s)


@control.command(context_settings={"ignore_unknown_options": True})  # -0.5 is no option
@click.argument("codifier")
@click.argument("by", type=float)
@_timeout
@click.pass_obj
def step(speaker: Speaker, codifier: str, by: float, timeout_s: float) -> None:
    """Change a component by a step."""
    _adjust(speaker, codifier, "E", by, timeout_s)


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
    """Show what passes on both channels, until Ctrl-C; only about CODIFIER if it is given."""
    chosen = Filter(about, only_from, only_to, channel and channel.capitalize(), flags)
    watch_bus(speaker.config, chosen, seconds)


def _channel_name(text: str | None) -> str | None:
    """Return Data or Ctrl for any text that begins like it."""
    if text is None:
        return None
    for name in ("Data", "Ctrl"):
        if text[:1].upper() == name[0]:
            return name
    raise click.UsageError(f"-n takes Data or Ctrl, not {text!r}")


def _tell(speaker: Speaker, flag: str, to: str, number: float | None = None) -> None:
    if flag not in wire.CONTROL_FLAGS:
        flags = " ".join(wire.CONTROL_FLAGS)
        raise click.ClickException(f"no control flag {flag!r}; there are {flags}")
    if to != BROADCAST:
        _known(speaker, [to])
    with Conversation(speaker) as conversation:
        conversation.channel.send_control(flag, to, number)


def _command(
    speaker: Speaker,
    flag: str,
    codifiers: tuple[str, ...],
    timeout_s: float,
    outcome: Callable[[Control], str],
) -> None:
    """Send a flag, then ask how they are; a ping behind the command is answered after it."""
    targets = _targets(speaker, codifiers)
    with Conversation(speaker) as conversation:
        for codifier in codifiers:
            conversation.channel.send_control(flag, codifier)
            conversation.channel.send_control("P", codifier)
        for message, _ in conversation.answers(timeout_s):
            if message.flag == "T" and message.source in targets:
                _line(speaker, message.source, outcome(message))
                targets.remove(message.source)
                if not targets:
                    return
    _unanswered(speaker, targets)


def _adjust(speaker: Speaker, codifier: str, flag: str, number: float, timeout_s: float) -> None:
    component = speaker.config.components[_known(speaker, [codifier])[0]]
    if not component.control_enabled:
        raise click.ClickException(
            f'{codifier} takes no values: its configuration has no "Control": "enabled"'
        )
    with Conversation(speaker) as conversation:
        conversation.channel.send_control(flag, codifier, number)
        conversation.channel.send_control("P", codifier)
        for message, _ in conversation.answers(timeout_s):
            if message.flag == "T" and message.source == codifier:
                _line(speaker, codifier, "told" if message.is_active else "told, but it is halted")
                return
    _unanswered(speaker, [codifier])


def _targets(speaker: Speaker, codifiers: tuple[str, ...]) -> list[str]:
    if BROADCAST in codifiers:
        return _running(speaker.config)
    return _known(speaker, codifiers)


def _known(speaker: Speaker, codifiers: Iterable[str]) -> list[str]:
    for codifier in codifiers:
        if codifier not in speaker.config.components:
            raise click.ClickException(f'no Codifier "{codifier}" in {speaker.config.source}')
    return list(codifiers)


def _running(config: Config) -> list[str]:
    """Return the Codifiers that should answer: those that this or another machine runs."""
    return [
        component.codifier
        for component in config.components.values()
        if component.type not in ("Proxy", "ControlProgram")
    ]


def _unanswered(speaker: Speaker, codifiers: Iterable[str]) -> None:
    for codifier in codifiers:
        _line(speaker, codifier, "no answer")
    sys.exit(1)


def _line(speaker: Speaker, codifier: str, text: str) -> None:
    component = speaker.config.components.get(codifier)
    click.echo(f"{codifier}  {component.name if component else '(unknown)':24.24}  {text}")
