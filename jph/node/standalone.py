"""The library for a component of one's own: one Codifier that has the process to itself.

    channel = jph("static/config.json", "A1")
    channel.run(dataCallback, timeCallback, ctrlCallback)

Its callbacks run in the thread that calls `run`, which also receives the data channel; the node's
loop answers pings and gives signs of life beside it.
"""

import logging
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path

from jph.bus.wire import Address, Control, Reading
from jph.config import loading
from jph.config.model import Component, Config
from jph.errors import ConfigError
from jph.node.channel import Channel
from jph.node.logs import set_up_logging
from jph.node.loop import receive_rest
from jph.node.mailboxes import Mailbox, Waker
from jph.node.node import Node
from jph.node.process import STATE
from jph.node.reload import Reloader
from jph.node.runner import Callbacks, ComponentRunner
from jph.paths import state_dir

log = logging.getLogger(__name__)

DataCallback = Callable[..., object]
TimeCallback = Callable[[int, str, float], STATE | int | None]
BatchCallback = Callable[[list[Reading]], object]


def jph(configURL: str | None = None, Codifier: str | None = None) -> "StandaloneChannel":
    """Return the channel for all communication of one component.

    Args:
        configURL: file or http(s) URL of the configuration; by default JPH_CONFIG.
        Codifier: which component of it this is; by default JPH_SENSOR.

    Raises:
        ConfigError: no or a wrong configuration, or it has no such Codifier.
    """
    source = configURL or os.environ.get("JPH_CONFIG")
    codifier = Codifier or os.environ.get("JPH_SENSOR")
    if not source:
        raise ConfigError("no configuration: give a path or URL, or set JPH_CONFIG")
    if not codifier:
        raise ConfigError("no Codifier: give one, or set JPH_SENSOR", source)
    home = default_home()

    def load() -> Config:
        return loading.load(
            source, home, runs=lambda entry: entry.get("Codifier") == codifier, wait=True
        )

    config = load()
    component = config.components.get(codifier)
    if component is None:
        raise ConfigError(f'no Codifier "{codifier}" in Sensors', source)
    set_up_logging(config, codifier)
    node = Node(config, home, stands_by=False)
    Reloader(node, load)
    node.bus.open()
    return StandaloneChannel(component, node)


def default_home() -> Path:
    """Return JPH_HOME, or the user's folder for the state of programs."""
    if "JPH_HOME" in os.environ:
        return Path(os.environ["JPH_HOME"])
    return state_dir()


class StandaloneChannel(Channel):
    """A channel that also runs."""

    def __init__(self, component: Component, node: Node) -> None:
        super().__init__(component, node.process)
        self._node = node
        self._data = node.bus.data.receiver
        self._stopping = False
        self._waker: Waker | None = None

    def run(
        self,
        dataCallback: DataCallback | None = None,
        timeCallback: TimeCallback | None = None,
        ctrlCallback: DataCallback | None = None,
        *,
        on_batch: BatchCallback | None = None,
    ) -> None:
        """Manage the network state and call back, in this thread, until `stop`.

        It also returns when a newer instance of the same Codifier took over.

        Args:
            dataCallback: for each reading: (channel, flag, source, to, timestamp, sequence, length,
                address, value, isActive) with channel "Data=".
            timeCallback: every SensorInterval, and at once when A or E arrives: (timestamp,
                command, number), command being "" or the flag; returns a STATE.
            ctrlCallback: for each control message, like dataCallback with channel "Ctrl=".
            on_batch: instead of dataCallback: a list of `jph.bus.wire.Reading`, many at a time.
        """
        callbacks = Callbacks(
            on_timer=timeCallback,
            on_data=dataCallback,
            on_batch=on_batch,
            on_control=_with_ten_arguments(ctrlCallback) if ctrlCallback else None,
        )
        self._waker = waker = Waker()
        self._poll = select.poll()
        self._poll.register(waker.fileno(), select.POLLIN)
        mailbox = Mailbox(lambda _: waker.wake())
        runner = self._node.adopt(ComponentRunner(self, callbacks, mailbox, lambda _: callbacks))
        try:
            self._node.start(lambda new: mailbox.post(lambda: self._use_data(new, runner)))
            self._loop(runner, mailbox, waker)
        finally:
            self.close()
            waker.close()

    def close(self) -> None:
        """Leave the bus; `run` does that by itself when it ends."""
        self._node.stop()

    def stop(self) -> None:
        """End `run`, or have it end at once; a callback or another thread may call this."""
        self._stopping = True
        if self._waker is not None:
            self._waker.wake()

    def _loop(self, runner: ComponentRunner, mailbox: Mailbox, waker: Waker) -> None:
        receive, deliver, poll = self._data.receive, runner.deliver, self._poll.poll
        wakes = waker.fileno()
        while not self._stopping and not self._node.finished.is_set():
            for fileno, _ in poll():
                if fileno == wakes:
                    waker.drain()
                    mailbox.work()
                elif readings := receive():
                    deliver(readings)

    def _receive(self, runner: ComponentRunner) -> None:
        if readings := self._data.receive():
            runner.deliver(readings)

    def _use_data(self, receiver: socket.socket, runner: ComponentRunner) -> None:
        data = self._data
        if data.fileno() >= 0:
            self._poll.unregister(data.fileno())
            receive_rest(data.fileno(), lambda: self._receive(runner))
        data.use(receiver)
        self._poll.register(receiver.fileno(), select.POLLIN)


def _with_ten_arguments(callback: DataCallback) -> Callable[[Control, Address], object]:
    def on_control(message: Control, address: Address) -> object:
        return callback(
            "Ctrl=",
            message.flag,
            message.source,
            message.destination,
            message.timestamp_ms,
            message.sequence,
            9,  # bytes of every control payload
            address,
            message.number,
            message.is_active,
        )

    return on_control
