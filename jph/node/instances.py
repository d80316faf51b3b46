"""Other instances of a node's components: who is at work, who took over, and who comes back.

A newer instance of a component is believed by the rules of `claims`; the older one is closed then,
and waits (`standby`). It takes its place again when the newer one has been silent for three
keep-alives, in spite of a ping. When all components of a node have waited for that long and the
other instances are alive, the node is finished.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping

from jph.bus.wire import Address, Control
from jph.clock import time_now_ms
from jph.node.claims import MOST_AHEAD_MS
from jph.node.probe import WAIT_S, Answers, Asker, Probe
from jph.node.process import Process
from jph.node.runner import ComponentRunner
from jph.node.standby import Standby
from jph.node.timers import Timers

log = logging.getLogger(__name__)

_ASK_EVERY_S = 1.0  # an instance that may be newer than our own
_LOOK_EVERY_S = 1.0  # at the components on standby


class Instances:
    """What a node knows of other instances; used by its loop.

    Args:
        runners: the components at work here, by Codifier.
        set_aside: ends the work of a component that a newer instance took over.
        take_back: begins it again; None: it has ended for good.
        finish: called when other instances have taken over all components to stay.
    """

    def __init__(
        self,
        process: Process,
        timers: Timers,
        runners: Mapping[str, ComponentRunner],
        *,
        set_aside: Callable[[ComponentRunner], object],
        take_back: Callable[[ComponentRunner], object] | None,
        finish: Callable[[], object],
    ) -> None:
        self.asker = Asker(process)
        self.standby: dict[str, Standby] = {}  # by Codifier
        self._bus = process.bus
        self._timers = timers
        self._runners = runners
        self._set_aside = set_aside
        self._take_back = take_back
        self._finish = finish
        self._probes: list[Probe] = []
        self._looks = False  # at the standby, every second

    def is_own(self, address: Address) -> bool:
        """Tell whether a message is our own, which has come back to us."""
        return address in self._bus.own_addresses()

    def asked(self, message: Control, address: Address) -> bool:
        """Tell whether a P is a question of our own to others."""
        return self.is_own(address) and message.source == self.asker.codifier

    def ask(self, codifiers: Iterable[str], action: Callable[[Answers], object]) -> None:
        """Ask on the bus which components are at work; hand over what was answered in time."""
        probe = Probe(self.asker, codifiers)
        self._probes.append(probe)

        def end() -> None:
            self._probes.remove(probe)
            action(probe.answers)

        self._timers.after(WAIT_S, end)

    def hear(self, message: Control, address: Address) -> None:
        """Take a control message, perhaps a sign of life of another instance."""
        if message.flag not in "NIT" or self.is_own(address):
            return
        for probe in self._probes:
            probe.hear(message, address)
        waiting = self.standby.get(message.source)
        runner = waiting.runner if waiting else self._runners.get(message.source)
        if runner is None:
            return
        claims = message.flag != "T" and message.number > runner.channel.loaded_ms
        if claims and _is_ahead(runner, message, address):
            return
        now_s = time.monotonic()
        if waiting is None:
            self._hear_claim(runner, address, now_s, claims=claims)
        elif claims or message.flag == "T":
            waiting.hear(address, now_s)

    def stand_by(self, runner: ComponentRunner, address: Address, *, is_new: bool = False) -> None:
        """Have a component, which is closed or not built yet, wait for the end of another one."""
        self.standby[runner.channel.codifier] = Standby(
            runner, address, time.monotonic(), is_new=is_new
        )
        if not self._looks:
            self._looks = True
            self._timers.every(_LOOK_EVERY_S, self._look, wanted=self._is_wanted)

    def _hear_claim(
        self, runner: ComponentRunner, address: Address, now_s: float, *, claims: bool
    ) -> None:
        codifier, claimed = runner.channel.codifier, runner.claims
        was_open = claimed.are_open(now_s)
        if claimed.hear(address[0], now_s, claims=claims):
            claimed.clear()
            self._take_over(runner, address)
        elif claims and not was_open:

            def is_open() -> bool:
                still = self._runners.get(codifier) is runner
                return still and claimed.are_open(time.monotonic())

            self._timers.every(_ASK_EVERY_S, lambda: self.asker.ask(codifier), wanted=is_open)

    def _take_over(self, runner: ComponentRunner, address: Address) -> None:
        codifier = runner.channel.codifier
        then = "ends"
        if self._take_back is not None:
            then = "closes, and comes back if that one falls silent"
            self.stand_by(runner, address)
        log.error("%s was started again at %s:%d; this older instance %s", codifier, *address, then)
        self._set_aside(runner)

    def _is_wanted(self) -> bool:
        self._looks = bool(self.standby)
        return self._looks

    def _look(self) -> None:
        """Take back the components whose other instance fell silent; ask those that may have."""
        now_s = time.monotonic()
        for codifier, waiting in list(self.standby.items()):
            if waiting.is_silent(now_s) and self._take_back is not None:
                del self.standby[codifier]
                log.warning("%s at %s:%d fell silent; it begins here", codifier, *waiting.address)
                self._take_back(waiting.runner)
            elif waiting.asks(now_s):
                self.asker.ask(codifier)
        waits = self.standby.values()
        if waits and not self._runners and all(one.is_settled(now_s) for one in waits):
            self._finish()


def _is_ahead(runner: ComponentRunner, message: Control, address: Address) -> bool:
    """Tell whether the configuration time of another instance is in the future; log it then."""
    ahead_ms = message.number - time_now_ms()
    if ahead_ms <= MOST_AHEAD_MS:
        return False
    codifier = runner.channel.codifier
    runner.ahead.note(
        "a configuration time in the future",
        f"{codifier} is also sent from {address[0]}:{address[1]}, with a configuration time"
        f" {ahead_ms / 1000:.0f} s ahead of the clock here, which is not believed: end it there,"
        " or correct the clocks",
    )
    return True
