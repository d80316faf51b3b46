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
from jph.bus.receive_file import ReceiveFile, left_behind
from jph.bus.wire import BROADCAST, Address, Control, Reading
from jph.clock import time_now_ms
from jph.config.model import Component, Config
from jph.kept_files import LOOK_S
from jph.node.channel import Channel
from jph.node.loop import Loop
from jph.node.mailboxes import Pool
from jph.node.process import ComponentStatus, Process
from jph.node.runner import Callbacks, ComponentRunner

log = logging.getLogger(__name__)

_BATCHES = 8  # of the data channel at most, before the control channel is looked at again
_CLOSE_S = 4.0  # for all components to close, at stop
_RELIEVE_S = 0.01  # between looks at a pool that has too few threads
_APART_S = 0.001  # between the timers of two components, so that a thousand are not due at once

Build = Callable[[Channel], Callbacks]
TakeSocket = Callable[[socket.socket], object]


class Node:
    """The components that one process runs.

    Args:
        finished: is set when no component is left, because newer instances took over.
        plain: receive without recvmmsg.
    """

    def __init__(
        self,
        config: Config,
        home: Path,
        *,
        finished: threading.Event | None = None,
        plain: bool = False,
        guard: ClockGuard | None = None,
    ) -> None:
        self.runners: dict[str, ComponentRunner] = {}
        self.replaced: set[str] = set()  # Codifiers that newer instances elsewhere took over
        self.finished = finished or threading.Event()
        # Reads the configuration again for these components; None: for those that changed.
        self.on_reload: Callable[[Sequence[ComponentRunner] | None], object] | None = None
        self.loop = Loop("jph-node", self._turn)
        self._pool = Pool("jph-worker")
        self.housekeeping = self._pool.mailbox()
        self.bus = Bus(
            config.multicast, guard=guard or ClockGuard(home), wake=self.loop.wake, plain=plain
        )
        self.bus.on_joined = self._announce
        self.bus.on_clock_set = self._clock_set
        self.process = Process(config, home, self.bus, self._components)
        control = self.bus.control
        control.listen(lambda new: self.loop.move(control.receiver, new, self._receive_control))
        self._take_data: TakeSocket = lambda new: self.loop.move(
            self.bus.data.receiver, new, self._receive_data
        )
        self._receive_file: ReceiveFile | None = None
        self._started = 0  # components, to keep their timers apart
        self._listening = False

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

    def start(self, take_data: TakeSocket | None = None) -> None:
        """Announce the components on the bus, and begin to call them back.

        Args:
            take_data: takes each new socket of the data channel, if the loop is not to receive it.
        """
        if take_data is not None:
            self._take_data = take_data
        self.loop.watch(self.bus.links.fileno(), self.bus.link_changed)
        self._receive_in_file()
        self._listen()
        self.bus.open()
        for runner in self.runners.values():
            self.begin(runner)
        self.loop.timers.every(LOOK_S, lambda: self.housekeeping.post(self.process.kept_files.look))
        self.loop.start()

    def stop(self) -> None:
        """Close the components side by side and leave the bus, within 4 s."""
        until_s = time.monotonic() + _CLOSE_S
        while self.bus.is_releasing and time.monotonic() < until_s:
            time.sleep(_RELIEVE_S)
        self.loop.stop()
        self.loop.give_up(self.bus.data.receiver.fileno(), self._receive_data)
        for runner in self.runners.values():
            runner.mailbox.post(runner.close)
        while self._pool.crowded() and time.monotonic() < until_s:
            self._pool.relieve()
            time.sleep(_RELIEVE_S / 2)
        stuck = self._pool.close(max(0.1, until_s - time.monotonic()))
        if stuck:
            log.warning("%d callbacks did not end in time", len(stuck))
        self.process.close()
        self.bus.close()
        if self._receive_file is not None:
            self._receive_file.close()
        self.loop.close()

    def begin(self, runner: ComponentRunner) -> None:
        """Announce a component, and start its timers."""
        life = runner.begin()
        self._listen()
        if self.bus.control.joined:
            runner.announce()
        component = runner.channel.component
        self._started += 1

        def repeat(interval_s: float, action: Callable[[], object]) -> None:
            delay_s = self._started * _APART_S % interval_s
            self.loop.timers.every(
                interval_s, action, wanted=lambda: runner.life is life, delay_s=delay_s
            )

        repeat(component.keep_alive_interval_s, runner.sign)
        if component.sensor_interval_s and runner.callbacks.on_timer:
            runner.post_timer()
            repeat(component.sensor_interval_s, runner.post_timer)

    def remove(self, runner: ComponentRunner) -> None:
        """End a component; without any left the node is finished."""
        runner.life = None
        self.runners.pop(runner.channel.codifier, None)
        runner.mailbox.post(runner.close)
        if not self.runners:
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

    def _announce(self) -> None:
        for runner in list(self.runners.values()):
            runner.announce()

    def _clock_set(self, moved_ms: int) -> None:
        self.process.config = replace(self.config, loaded_ms=self.config.loaded_ms + moved_ms)
        for runner in self.runners.values():
            runner.channel.loaded_ms += moved_ms
            runner.sign()

    def _listen(self) -> None:
        """Receive the data channel, as soon as a component or the last states need it."""
        if self._listening:
            return
        runners = self.runners.values()
        if self.process.states is not None or any(r.callbacks.hears_data for r in runners):
            self._listening = True
            self.bus.data.listen(self._take_data)

    def _turn(self, now_s: float) -> float:
        """Do the work that is due between two waits; return when the next is due."""
        self.bus.look(now_s)
        if self._pool.crowded():
            self._pool.relieve()
            return now_s + _RELIEVE_S
        return self.bus.due_s

    # Receiving

    def _receive_in_file(self) -> None:
        """Receive in a file if a component keeps what it gets; hand over what a kill left there."""
        keepers = [r for r in self.runners.values() if r.callbacks.receive_in is not None]
        if not keepers:
            return
        first = keepers[0]
        folder, owner = first.callbacks.receive_in, first.channel.codifier
        assert folder is not None
        try:
            with left_behind(folder, owner) as readings:
                for runner in keepers if readings else ():
                    runner.post_batch(readings)
            self._receive_file = ReceiveFile(folder, owner)
        except OSError as error:
            log.warning("a killed process may lose the readings that it received last: %s", error)
            return
        self.bus.data.receiver.receive_in(self._receive_file)

    def _receive_data(self) -> None:
        for _ in range(_BATCHES):
            readings = self.bus.data.receiver.receive()
            if not readings:
                return
            self._hand_over(readings)

    def _hand_over(self, readings: list[Reading]) -> None:
        if self.process.states is not None:
            self.process.states.on_readings(readings, self.bus.data.receiver.sources)
        for runner in self.runners.values():
            if runner.callbacks.hears_data and runner.channel.is_active:
                runner.post_batch(readings)

    def _receive_control(self) -> None:
        receiver, states = self.bus.control.receiver, self.process.states
        for message, address in receiver.receive():
            if states is not None:
                states.on_control(message, time_now_ms(), receiver.sources)
            self._obey(message, address)
            for runner in self.runners.values():
                runner.post_control(message, address)

    def _obey(self, message: Control, address: Address) -> None:
        own = self.runners.get(message.source)
        if own and message.flag in "NI" and message.number > own.channel.loaded_ms:
            self._replaced(own, address)
        if message.destination == BROADCAST:
            targets = list(self.runners.values())
        else:
            target = self.runners.get(message.destination)
            targets = [target] if target else []
        for runner in targets:
            if message.flag == "P" and message.source != runner.channel.codifier:
                runner.channel.send_control("T", message.source, message.number)
            elif message.flag in "SH":
                runner.activate(message.flag == "S")
            elif message.flag in "AE" and runner.channel.component.control_enabled:
                runner.post_timer(message.flag, message.number)
        if message.flag == "C" and targets:
            self.reload(None if message.destination == BROADCAST else targets)

    def _replaced(self, runner: ComponentRunner, address: Address) -> None:
        codifier = runner.channel.codifier
        log.error("%s was started again at %s:%d; this older instance ends", codifier, *address)
        self.replaced.add(codifier)
        self.remove(runner)

    def _components(self) -> dict[str, ComponentStatus]:
        return {codifier: runner.status() for codifier, runner in list(self.runners.items())}
