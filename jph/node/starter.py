"""How components begin: built, announced, and with their timers; but not beside another instance.

Before a process builds its components, it asks the bus which of them are at work elsewhere
(`StartProbe`). Without a network, that is done here when there is one at last; and for components
that a reload adds, then.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, MutableMapping, Sequence

from jph.bus.wire import Address
from jph.config.model import Component
from jph.errors import JphError
from jph.node.dispatch import Dispatcher
from jph.node.instances import Instances
from jph.node.loop import Loop
from jph.node.probe import Answers
from jph.node.process import Process
from jph.node.runner import ComponentRunner

log = logging.getLogger(__name__)

_APART_S = 0.001  # between the timers of two components, so that a thousand are not due at once
_ENDED_S = 4.0  # for ending components to free a port or a pin that a new one needs


class Starter:
    """Begins the components of a node; used by its loop.

    Args:
        runners: the components, by Codifier.
        finish: called when others were at work when the network came.
        asks_first: take over from nobody who is at work.
        was_asked: the bus was asked for the first components.
    """

    def __init__(
        self,
        process: Process,
        loop: Loop,
        runners: MutableMapping[str, ComponentRunner],
        instances: Instances,
        dispatcher: Dispatcher,
        *,
        finish: Callable[[], object],
        asks_first: bool,
        was_asked: bool,
    ) -> None:
        self.refused: Answers = {}  # who was at work when the network came
        self._process = process
        self._loop = loop
        self._runners = runners
        self._instances = instances
        self._dispatcher = dispatcher
        self._finish = finish
        self._asks_first = asks_first
        self._holds_back = asks_first and not was_asked  # all components
        self._started = 0  # components, to keep their timers apart
        process.bus.on_joined = self._joined

    def begin(self, runner: ComponentRunner) -> None:
        """Announce a component, and start its timers."""
        life = runner.begin()
        self._dispatcher.listen()
        if self._process.bus.control.joined and not self._holds_back:
            runner.announce()
        component = runner.channel.component
        self._started += 1

        def repeat(interval_s: float, action: Callable[[], object]) -> None:
            delay_s = self._started * _APART_S % interval_s
            self._loop.timers.every(
                interval_s, action, wanted=lambda: runner.life is life, delay_s=delay_s
            )

        repeat(component.keep_alive_interval_s, runner.sign)
        if component.sensor_interval_s and runner.callbacks.on_timer:
            runner.post_timer()
            repeat(component.sensor_interval_s, runner.post_timer)

    def begin_new(
        self, runners: Sequence[ComponentRunner], ends: Iterable[threading.Event]
    ) -> None:
        """Build and begin components that a reload added, but none that is at work elsewhere."""

        def begin(answers: Answers) -> None:
            for runner in runners:
                component = runner.channel.component
                if self._runners.get(component.codifier) is not runner or runner.announced:
                    continue  # a later configuration has ended or begun it
                if component.codifier in answers:
                    self._hold_back(runner, answers[component.codifier])
                else:
                    self.rebuild(runner, component, ends)

        if self._asks_first and runners:
            self._instances.ask([runner.channel.codifier for runner in runners], begin)
        else:
            begin({})

    def rebuild(
        self, runner: ComponentRunner, component: Component, ends: Iterable[threading.Event] = ()
    ) -> None:
        """Have a component built on its own thread after others have ended, and begin it."""
        codifier = component.codifier
        runner.awaited = component

        def belongs_here() -> bool:
            return self._runners.get(codifier) is runner

        def begin() -> None:
            if belongs_here():
                self.begin(runner)

        def rebuild() -> None:
            try:
                build()
            finally:
                if runner.awaited is component:
                    runner.awaited = None

        def build() -> None:
            until_s = time.monotonic() + _ENDED_S
            for ended in ends:
                ended.wait(max(0.0, until_s - time.monotonic()))
            if not belongs_here():  # a later configuration ended it, or a newer instance
                return
            runner.life = None  # its timers end; until now its signs of life went on
            try:
                runner.rebuild(component)
            except JphError as error:
                log.error("%s cannot start: %s", codifier, error)
            except Exception:
                log.exception("%s cannot start", codifier)
            self._loop.soon(begin)

        runner.mailbox.post(rebuild)

    def _hold_back(self, runner: ComponentRunner, address: Address) -> None:
        codifier = runner.channel.codifier
        log.warning("%s is at work at %s:%d; it begins here when it ends there", codifier, *address)
        del self._runners[codifier]
        self._instances.stand_by(runner, address, is_new=True)

    def _joined(self) -> None:
        if self._holds_back:
            self._instances.ask(self._runners, self._begin_late)
        else:
            self._announce()

    def _begin_late(self, answers: Answers) -> None:
        if answers:
            self.refused = answers
            self._finish()
        else:
            self._holds_back = False
            self._announce()

    def _announce(self) -> None:
        for runner in list(self._runners.values()):
            runner.announce()
