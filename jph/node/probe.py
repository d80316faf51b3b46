"""Asking the bus who is there: before components start, and while another instance may be at work.

Every living component answers a ping (P) at once, halted ones and those of older nodes too. A
program asks under the Codifier of the ControlProgram, which no component has.
"""

import select
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from jph.bus import sockets
from jph.bus.bus import Bus
from jph.bus.receiver import ControlReceiver
from jph.bus.wire import Address, Control
from jph.config.model import Component, Config
from jph.node.channel import Channel
from jph.node.loop import receive_rest
from jph.node.process import Process

Answers = Mapping[str, Address]  # Codifier -> where it is at work

WAIT_S = 0.3  # for answers; a WLAN delays multicast by a tenth of a second each way


class Asker:
    """Sends pings in the name of no component."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._channel: Channel | None = None

    @property
    def codifier(self) -> str:
        """The Codifier that it asks under."""
        return program_of(self._process.config).codifier

    def ask(self, codifier: str) -> None:
        """Ping a component."""
        speaker = program_of(self._process.config)
        if self._channel is None or self._channel.codifier != speaker.codifier:
            self._channel = Channel(speaker, self._process)
            # The number 0 is no later configuration time: it ends nobody's older control program.
            self._channel.send_control("N", number=0.0)
        self._channel.send_control("P", codifier)


def program_of(config: Config) -> Component:
    """Return whom programs speak as: the ControlProgram, or else a Codifier of no component."""
    free = (f"?{chr(letter)}" for letter in range(0x21, 0x7F))
    return config.first("ControlProgram") or Component(
        codifier=next(code for code in free if code not in config.components),
        type="ControlProgram",
    )


class Probe:
    """Asks which of some Codifiers are at work on the bus.

    Args:
        asker: it pings each of them once.

    Attributes:
        answers: by Codifier, where it is at work.
        ours: addresses of components that were begun meanwhile, which are no answers.
    """

    def __init__(self, asker: Asker, codifiers: Iterable[str]) -> None:
        self.answers: dict[str, Address] = {}
        self.ours: Collection[Address] = ()
        self._codifiers = frozenset(codifiers)
        for codifier in sorted(self._codifiers):
            asker.ask(codifier)
        self.until_s = time.monotonic() + WAIT_S

    def hear(self, message: Control, address: Address) -> None:
        """Take a message of the control channel that is not our own.

        N is no answer: a control program may send it in the name of a component.
        """
        if message.flag in "TI" and message.source in self._codifiers and address not in self.ours:
            self.answers.setdefault(message.source, address)

    def wait(self, receiver: ControlReceiver) -> Answers:
        """Return the answers, once all have answered or the time for answers is over."""
        poll = select.poll()
        poll.register(receiver.fileno(), select.POLLIN)
        while len(self.answers) < len(self._codifiers):
            left_s = self.until_s - time.monotonic()
            if left_s <= 0:
                return self.take(receiver)
            if poll.poll(left_s * 1000):
                self._receive(receiver)
        return self.answers

    def take(self, receiver: ControlReceiver) -> Answers:
        """Return the answers that have come."""
        receive_rest(receiver.fileno(), lambda: self._receive(receiver))
        return self.answers

    def _receive(self, receiver: ControlReceiver) -> None:
        for message, address in receiver.receive():
            self.hear(message, address)


class StartProbe:
    """A probe with sockets of its own, for a process whose components are not built yet.

    The answers wait in its socket while the process does other work.
    """

    def __init__(self) -> None:
        self.host = ""  # the address of this machine that it asks from
        self._asked: tuple[Bus, Probe] | None = None

    def ask(self, config: Config, home: Path, codifiers: Iterable[str]) -> None:
        """Ask which components are at work, if there is a network."""
        self.close()
        bus, group = Bus(config.multicast), config.multicast.control
        try:
            bus.control.receiver.use(sockets.open_receiver(group))
            bus.control.sender.open(group)
        except OSError:  # the node will say so
            bus.close()
            return
        self.host = bus.control.sender.addresses[0][0]
        self._asked = bus, Probe(Asker(Process(config, home, bus)), codifiers)

    def answers(self, *, wait: bool = True, ours: Collection[Address] = ()) -> Answers | None:
        """Return the answers; None: there was no network to ask.

        Args:
            wait: for all of them; otherwise those that have come.
            ours: addresses of components that this process has begun meanwhile.
        """
        if self._asked is None:
            return None
        bus, probe = self._asked
        probe.ours = ours
        return probe.wait(bus.control.receiver) if wait else probe.take(bus.control.receiver)

    def close(self) -> None:
        """Close its sockets."""
        if self._asked is not None:
            self._asked[0].close()
            self._asked = None
