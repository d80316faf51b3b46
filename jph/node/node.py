"""Many components in one process: one pair of sockets, one loop, and callbacks beside it.

The loop receives, answers pings, obeys commands, keeps the components' signs of life and timers,
and joins again when the network changed. It runs no component's code: that waits in mailboxes for
worker threads. (A component that has the process to itself, see `jph.node.standalone`, receives the
data channel in its own thread: handing a message over to another adds half of its latency again.)
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from jph.bus.clock_guard import NOTE_EVERY_S, ClockGuard
from jph.bus.joined_group import JoinedGroup
from jph.bus.receiver import ControlReceiver, DataReceiver
from jph.bus.sequence import SequenceTracker
from jph.bus.sockets import LinkWatch
from jph.bus.wire import BROADCAST, Address, Control, Reading
from jph.clock import time_now_ms
from jph.config import Component, Config
from jph.node.channel import Channel
from jph.node.loop import Loop
from jph.node.mailboxes import Pool
from jph.node.reload import Choose, Reloading
from jph.node.runner import Callbacks, ComponentRunner
from jph.state import LastStates

log = logging.getLogger(__name__)

_BATCHES = 8  # of the data channel at most, before the control channel is looked at again
_CLOSE_S = 4.0  # for all components to close, at stop
_RELIEVE_S = 0.01  # between looks at a pool that has too few threads
_RELEASE = 200  # readings that waited for the clock, at once: 150 kB of a receiver's buffer
_RELEASE_EVERY_S = 0.02
_APART_S = 0.001  # between the timers of two components, so that a thousand are not due at once

Build = Callable[[Channel], Callbacks]


class Node:
    """The components that one process runs.

    Args:
        config: of the whole network.
        home: folder for all that is written.
        reload: reads the configuration anew; raises ConfigError. None: C is ignored.
        choose: says which components of a new configuration belong here; None: those that do now.
        finished: is set when no component is left, because newer instances took over.
        plain: receive without recvmmsg.
        guard: watches the clock.
    """

    def __init__(
        self,
        config: Config,
        home: Path,
        reload: Callable[[], Config] | None = None,
        *,
        choose: Choose | None = None,
        finished: threading.Event | None = None,
        plain: bool = False,
        guard: ClockGuard | None = None,
    ) -> None:
        self.config = config
        self.home = home
        self.runners: dict[str, ComponentRunner] = {}
        self.replaced: set[str] = set()  # Codifiers that newer instances elsewhere took over
        self.finished = finished or threading.Event()
        self.data = DataReceiver(plain=plain)
        self._reloading = Reloading(self, reload, choose) if reload else None
        self.on_reload: Callable[[bool], object] = lambda begins: None  # and with False: it ended
        self._states: LastStates | None = None
        self._guard = guard or ClockGuard(home)
        self._control = ControlReceiver()
        self._loop = Loop("jph-node", self._turn)
        self._pool = Pool("jph-worker")
        self.housekeeping = self._pool.mailbox()
        self._started = 0  # components, to keep their timers apart
        self._use: Callable[[socket.socket], object] = self._use_data
        self._listening = False
        self._doubts = False  # that the clock is right
        self._holds = False  # readings, because of that, and until those that waited are sent
        self._started_s = time.monotonic()
        self._links = LinkWatch()
        self._loop.watch(self._links.fileno(), self._link_changed)
        wake = self._loop.wake
        self._control_group = JoinedGroup("control", config.control, self._use_control, wake)
        self._data_group = JoinedGroup("data", config.data, None, wake)
        self.control_sender = self._control_group.sender
        self.data_sender = self._data_group.sender

    @property
    def control_sources(self) -> Mapping[str, SequenceTracker]:
        """What was heard of each Codifier on the control channel."""
        return self._control.sources

    @property
    def data_sources(self) -> Mapping[str, SequenceTracker]:
        """What was heard of each Codifier on the data channel."""
        return self.data.sources

    def last_states(self) -> LastStates:
        """Return what the bus said last of every Codifier; kept from the first call on."""
        if self._states is None:
            self._states = LastStates()
        return self._states

    # Life

    def add(self, component: Component, build: Build) -> ComponentRunner:
        """Build a component, before `start`; nothing of it is on the bus yet.

        Args:
            component: its entry in the configuration.
            build: makes its callbacks; called again when it is reloaded.

        Raises:
            ConfigError, ChannelError: what `build` raises.
        """
        channel = Channel(component, self)
        return self.adopt(ComponentRunner(channel, build(channel), self._pool.mailbox(), build))

    def add_later(self, component: Component, build: Build) -> ComponentRunner:
        """Take a component while the loop runs; `ComponentRunner.rebuild` makes its callbacks."""
        channel = Channel(component, self)
        return self.adopt(ComponentRunner(channel, Callbacks(), self._pool.mailbox(), build))

    def adopt(self, runner: ComponentRunner) -> ComponentRunner:
        """Take a runner whose mailbox is worked on elsewhere."""
        self.runners[runner.channel.codifier] = runner
        return runner

    def open(self) -> None:
        """Join, so that components can send; `start` does it too."""
        if not self._holds and self._guard.hold(self.data_sender):
            self._holds = self._doubts = True
            self._loop.timers.every(1.0, self._look_at_clock, wanted=lambda: self._doubts)
        self._look(time.monotonic())

    def start(self, use_data: Callable[[socket.socket], object] | None = None) -> None:
        """Tell the bus that the components are here, and begin to call them back.

        Args:
            use_data: takes the data channel's socket, and each that takes its place, where the
                loop is not to receive it.
        """
        self._use = use_data or self._use_data
        self._listen()
        self.open()
        for runner in self.runners.values():
            self.begin(runner)
        self._note_clock()
        self._loop.timers.every(NOTE_EVERY_S, self._note_clock)
        self._loop.start()

    def stop(self) -> None:
        """Close the components side by side and leave the bus, within 4 s."""
        until_s = time.monotonic() + _CLOSE_S
        while self._holds and not self._doubts and time.monotonic() < until_s:
            time.sleep(_RELEASE_EVERY_S)
        self._loop.stop()
        self._loop.give_up(self.data.fileno(), self._receive_data)  # what came before counts
        for runner in self.runners.values():
            runner.mailbox.post(runner.close)
        while self._pool.crowded() and time.monotonic() < until_s:
            self._pool.relieve()
            time.sleep(0.005)
        stuck = self._pool.close(max(0.1, until_s - time.monotonic()))
        if stuck:
            log.warning("%d callbacks did not end in time", len(stuck))
        self._note_clock()
        self._control_group.close()
        self._data_group.close()
        self._control.close()
        self.data.close()
        self._links.close()
        self._loop.close()

    def begin(self, runner: ComponentRunner) -> None:
        """Say that a component is here, and start its timers."""
        life = runner.begin()
        self._listen()
        if self._control_group.joined:
            self._announce(runner)
        component = runner.channel.component
        self._started += 1

        def repeat(interval_s: float, action: Callable[[], object]) -> None:
            delay_s = self._started * _APART_S % interval_s
            self._loop.timers.every(
                interval_s, action, wanted=lambda: runner.life is life, delay_s=delay_s
            )

        repeat(component.keep_alive_interval_s, lambda: self.alive(runner))
        if component.sensor_interval_s and runner.callbacks.on_timer:
            runner.post_timer()
            repeat(component.sensor_interval_s, runner.post_timer)

    def _announce(self, runner: ComponentRunner) -> None:
        runner.channel.send_control("I" if runner.announced else "N")
        runner.announced = True

    def alive(self, runner: ComponentRunner) -> None:
        """Give a sign of life."""
        runner.channel.send_control("I")

    def _listen(self) -> None:
        """Receive the data channel, as soon as anybody wants it."""
        if self._listening:
            return
        if self._states is not None or any(m.callbacks.hears_data for m in self.runners.values()):
            self._listening = True
            self._data_group.listen(self._use)

    def soon(self, task: Callable[[], None]) -> None:
        """Have the loop do something; any thread may call this."""
        self._loop.soon(task)

    def every(self, interval_s: float, action: Callable[[], object]) -> None:
        """Have the loop do something again and again; any thread may call this."""
        self.soon(lambda: self._loop.timers.every(interval_s, action))

    def _turn(self, now_s: float) -> float:
        """Do what a turn of the loop asks for; return when the next one is wanted."""
        self._look(now_s)
        if self._pool.crowded():
            self._pool.relieve()
            return now_s + _RELIEVE_S
        return min(self._control_group.due_s, self._data_group.due_s)

    # The network

    def _look(self, now_s: float) -> None:
        """Join what is not joined and due."""
        if self._data_group.due_s <= now_s:
            self._data_group.look()
        if self._control_group.due_s <= now_s and self._control_group.look():
            for runner in list(self.runners.values()):
                if runner.life is not None:
                    self._announce(runner)

    def _link_changed(self) -> None:
        self._links.drain()
        self._control_group.link_changed()
        self._data_group.link_changed()

    def _use_control(self, receiver: socket.socket) -> None:
        self._loop.give_up(self._control.fileno(), self._receive_control)
        self._control.use(receiver)
        self._loop.watch(receiver.fileno(), self._receive_control)

    def _use_data(self, receiver: socket.socket) -> None:
        self._loop.give_up(self.data.fileno(), self._receive_data)
        self.data.use(receiver)
        self._loop.watch(receiver.fileno(), self._receive_data)

    def _look_at_clock(self) -> None:
        moved_ms = self._guard.ends(self.data_sender)
        if moved_ms is None:
            return
        self._doubts = False
        self._loop.timers.every(_RELEASE_EVERY_S, self._release, wanted=lambda: self._holds)
        self.config = replace(self.config, loaded_ms=self.config.loaded_ms + moved_ms)
        for runner in self.runners.values():
            runner.channel.loaded_ms += moved_ms
            self.alive(runner)

    def _release(self) -> None:
        self._holds = not self.data_sender.release(_RELEASE)

    def _note_clock(self) -> None:
        if not self._holds:
            self._guard.note()

    # Receiving

    def _receive_data(self) -> None:
        for _ in range(_BATCHES):
            readings = self.data.receive()
            if not readings:
                return
            self._hand_over(readings)

    def _hand_over(self, readings: list[Reading]) -> None:
        if self._states is not None:
            self._states.on_readings(readings, self.data_sources)
        for runner in self.runners.values():
            if runner.callbacks.hears_data and runner.channel.is_active:
                runner.post_batch(readings)

    def _receive_control(self) -> None:
        for message, address in self._control.receive():
            if self._states is not None:
                self._states.on_control(message, time_now_ms(), self.control_sources)
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
                self._activate(runner, message.flag == "S")
            elif message.flag in "AE" and runner.channel.component.control_enabled:
                runner.post_timer(message.flag, message.number)
        if message.flag == "C" and targets:
            self.reload(None if message.destination == BROADCAST else targets)

    def _activate(self, runner: ComponentRunner, active: bool) -> None:
        if runner.channel.is_active == active or (runner.callbacks.ignores_halt and not active):
            return
        runner.channel.is_active = active
        log.info("%s is %s", runner.channel.codifier, "started" if active else "halted")
        runner.channel.send_control("I")
        if active and runner.channel.component.sensor_interval_s:
            runner.post_timer()

    def _replaced(self, runner: ComponentRunner, address: Address) -> None:
        log.error(
            "%s was started anew at %s:%d; this older one ends", runner.channel.codifier, *address
        )
        self.replaced.add(runner.channel.codifier)
        self.remove(runner)

    def remove(self, runner: ComponentRunner) -> None:
        """End a component; without any left the node is finished."""
        runner.life = None
        self.runners.pop(runner.channel.codifier, None)
        runner.mailbox.post(runner.close)
        if not self.runners:
            self.finished.set()

    def reload(self, runners: list[ComponentRunner] | None = None) -> None:
        """Read the configuration anew; any thread and any signal handler may call this.

        Args:
            runners: what is to start anew; None: what has changed.
        """
        if self._reloading is None:
            log.info("asked to reload, but this process cannot")
        else:
            self._reloading.ask(runners)

    def move(self, config: Config) -> None:
        """Take a new configuration, and go where it says that the channels are."""
        self.config = config
        self._control_group.move(config.control)
        self._data_group.move(config.data)

    def status(self) -> dict[str, object]:
        """Return what a status page shows of this process, fit for JSON."""
        channels = {"control": self._control_group, "data": self._data_group}
        receivers: dict[str, ControlReceiver | DataReceiver]
        receivers = {"control": self._control, "data": self.data}
        return {
            "interface": self.config.control.interface or "default",
            "joined": {name: group.joined for name, group in channels.items()},
            "joins": {name: group.joins for name, group in channels.items()},
            "receive_buffer_bytes": {name: m.granted_bytes for name, m in channels.items()},
            "unsent": {name: group.sender.unsent for name, group in channels.items()},
            "received": {name: receiver.received for name, receiver in receivers.items()},
            "refused": {name: r.refusals.count for name, r in receivers.items()},
            "kernel_drops": {name: r.kernel_drops for name, r in receivers.items()},
            "holds": self._holds,
            "overruns": sum(runner.overruns for runner in self.runners.values()),
            "uptime_s": time.monotonic() - self._started_s,
            "components": {code: runner.status() for code, runner in self.runners.items()},
        }
