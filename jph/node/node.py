"""Many components in one process: one bus, one loop, and callbacks beside it.

The loop receives, answers pings, obeys commands, gives the components' signs of life, keeps their
timers, and looks after the bus. Code of components runs in worker threads, never in the loop.
(A component that has the process to itself, see `jph.node.standalone`, receives the data channel in
its own thread: handing a message over to another adds half of its latency again.)
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from jph.bus.bus import Bus
from jph.bus.clock_guard import ClockGuard
from jph.config.model import Component, Config
from jph.kept_files import LOOK_S
from jph.node.channel import Channel
from jph.node.dispatch import Dispatcher, TakeSocket
from jph.node.instances import Instances
from jph.node.loop import Loop
from jph.node.mailboxes import Pool
from jph.node.probe import Answers
from jph.node.process import ComponentStatus, Process, StandbyStatus
from jph.node.process_file import ProcessFile
from jph.node.runner import Callbacks, ComponentRunner
from jph.node.starter import Starter

log = logging.getLogger(__name__)

_CLOSE_S = 4.0  # for all components to close, at stop
_RELIEVE_S = 0.01  # between looks at a pool that has too few threads

Build = Callable[[Channel], Callbacks]


class Node:
    """The components that one process runs.

    Args:
        finished: is set when no component is left to run here.
        plain: receive without recvmmsg.
        stands_by: a component that a newer instance takes over comes back when that falls silent;
            otherwise it ends.
        asks_first: it takes over from nobody who is at work: it asks on the bus before it announces
            its first components, and those that a reload adds.
        was_asked: the bus was asked for its first components.
    """

    def __init__(
        self,
        config: Config,
        home: Path,
        *,
        finished: threading.Event | None = None,
        plain: bool = False,
        guard: ClockGuard | None = None,
        stands_by: bool = True,
        asks_first: bool = False,
        was_asked: bool = False,
    ) -> None:
        self.runners: dict[str, ComponentRunner] = {}
        self.taken_over: Answers = {}  # why it is finished, if others have taken over
        self.finished = finished or threading.Event()
        # Reads the configuration again for these components; None: for those that changed.
        self.on_reload: Callable[[Sequence[ComponentRunner] | None], object] | None = None
        self.loop = Loop("jph-node", self._turn)
        self._pool = Pool("jph-worker")
        self.housekeeping = self._pool.mailbox()
        self.bus = Bus(
            config.multicast, guard=guard or ClockGuard(home), wake=self.loop.wake, plain=plain
        )
        self.bus.on_clock_set = self._clock_set
        self.process = Process(
            config, home, self.bus, self._components, self.reload, self._on_standby
        )
        self._process_file = ProcessFile(self.process)
        self.instances = Instances(
            self.process,
            self.loop.timers,
            self.runners,
            set_aside=self._set_aside if stands_by else self.remove,
            take_back=self._take_back if stands_by else None,
            finish=self._finish_taken_over,
        )
        self._dispatcher = Dispatcher(
            self.process, self.loop, self.runners, self.instances, self.reload
        )
        self.starter = Starter(
            self.process,
            self.loop,
            self.runners,
            self.instances,
            self._dispatcher,
            finish=self.finished.set,
            asks_first=asks_first,
            was_asked=was_asked,
        )

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.process.config

    # Life

    def add(self, component: Component, build: Build) -> ComponentRunner:
        """Build a component, before `start`; nothing of it is on the bus yet.

        Raises:
            ConfigError, ChannelError: what `build` raises.
        """
        channel = Channel(component, self.process)
        return self.adopt(ComponentRunner(channel, build(channel), self._pool.mailbox(), build))

    def add_later(self, component: Component, build: Build) -> ComponentRunner:
        """Take a component while the loop runs; `ComponentRunner.rebuild` makes its callbacks."""
        channel = Channel(component, self.process)
        return self.adopt(ComponentRunner(channel, Callbacks(), self._pool.mailbox(), build))

    def adopt(self, runner: ComponentRunner) -> ComponentRunner:
        """Take a component whose mailbox is worked on elsewhere."""
        self.runners[runner.channel.codifier] = runner
        return runner

    def go_on_with(self, kept: socket.socket | None, keep: TakeSocket) -> None:
        """Receive what came while no process ran, before `start`.

        Args:
            kept: the socket of the data channel that a process before this one had.
            keep: takes each new one, to keep it for the next process.
        """
        self._dispatcher.go_on_with(kept, keep)

    def start(self, take_data: TakeSocket | None = None) -> None:
        """Announce the components on the bus, and begin to call them back.

        Args:
            take_data: takes each new socket of the data channel, if the loop is not to receive it.
        """
        self.loop.watch(self.bus.links.fileno(), self.bus.link_changed)
        self._dispatcher.start(take_data)
        self.bus.open()
        for runner in self.runners.values():
            self.starter.begin(runner)
        self.loop.timers.every(LOOK_S, lambda: self.housekeeping.post(self._keep_house))
        self.loop.start()

    def stop(self) -> None:
        """Close the components side by side and leave the bus, within 4 s."""
        until_s = time.monotonic() + _CLOSE_S
        while self.bus.is_releasing and time.monotonic() < until_s:
            time.sleep(_RELIEVE_S)
        self.loop.stop()
        self._dispatcher.stop()
        for runner in self.runners.values():
            runner.mailbox.post(runner.close)
        while self._pool.crowded() and time.monotonic() < until_s:
            self._pool.relieve()
            time.sleep(_RELIEVE_S / 2)
        stuck = self._pool.close(max(0.1, until_s - time.monotonic()))
        if stuck:
            log.warning("%d callbacks did not end in time", len(stuck))
        self._process_file.close()
        self.process.close()
        self.bus.close()
        self._dispatcher.close()
        self.loop.close()

    def _keep_house(self) -> None:
        self.process.kept_files.look()
        self._process_file.look()

    def remove(self, runner: ComponentRunner) -> None:
        """End a component; without any left the node is finished."""
        self._set_aside(runner)
        self.finish_if_empty()

    def finish_if_empty(self) -> None:
        """Finish the node if it has no component, not even on standby."""
        if not self.runners and not self.instances.standby:
            self.finished.set()

    def reload(self, runners: Sequence[ComponentRunner] | None = None) -> None:
        """Read the configuration again; any thread and any signal handler may call this."""
        if self.on_reload is None:
            log.warning("this process cannot reload its configuration: start it again instead")
        else:
            self.on_reload(runners)

    def move(self, config: Config) -> None:
        """Take a new configuration, and join the groups that it names."""
        self.process.config = config
        self.bus.move(config.multicast)

    def _clock_set(self, moved_ms: int) -> None:
        self.process.config = replace(self.config, loaded_ms=self.config.loaded_ms + moved_ms)
        for runner in self.runners.values():
            runner.channel.loaded_ms += moved_ms
            runner.sign()
        for waiting in self.instances.standby.values():
            waiting.runner.channel.loaded_ms += moved_ms

    def _turn(self, now_s: float) -> float:
        """Do the work that is due between two waits; return when the next is due."""
        self.bus.look(now_s)
        due_s = self._dispatcher.look(now_s)
        if self._pool.crowded():
            self._pool.relieve()
            return now_s + _RELIEVE_S
        return min(self.bus.due_s, due_s)

    # Other instances of its components

    def _set_aside(self, runner: ComponentRunner) -> None:
        """End the work of a component, and free what it holds."""
        runner.life, runner.announced = None, False
        self.runners.pop(runner.channel.codifier, None)
        runner.mailbox.post(runner.retire)

    def _take_back(self, runner: ComponentRunner) -> None:
        self.adopt(runner)
        self.starter.rebuild(runner, self.config.components[runner.channel.codifier])

    def _finish_taken_over(self) -> None:
        waits = self.instances.standby.items()
        self.taken_over = {codifier: waiting.address for codifier, waiting in waits}
        self.finished.set()

    def _on_standby(self) -> dict[str, StandbyStatus]:
        waits = list(self.instances.standby.items())
        return {code: StandbyStatus(one.address, one.since_s) for code, one in waits}

    def _components(self) -> dict[str, ComponentStatus]:
        return {codifier: runner.status() for codifier, runner in list(self.runners.items())}
