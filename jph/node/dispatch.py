"""What arrives on the bus, and who of a process gets it; the loop of its node calls this.

Readings go to the last states, and to each component that hears data. Control messages are obeyed
here (a ping is answered, a component halted, a reload begun) and shown to all components.
"""

import logging
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from jph.bus.receive_file import ReceiveFile, left_behind
from jph.bus.wire import BROADCAST, Address, Control, Reading
from jph.clock import time_now_ms
from jph.node.instances import Instances
from jph.node.loop import Loop
from jph.node.process import Process
from jph.node.runner import ComponentRunner
from jph.node.throttle import Throttle

log = logging.getLogger(__name__)

_BATCHES = 8  # of the data channel at most, before the control channel is looked at again

TakeSocket = Callable[[socket.socket], object]
Reload = Callable[[Sequence[ComponentRunner] | None], object]


class Dispatcher:
    """Receives both channels for the components of a process.

    Args:
        runners: the components, by Codifier.
        reload: reads the configuration again for these components; None: for those that changed.
    """

    def __init__(
        self,
        process: Process,
        loop: Loop,
        runners: Mapping[str, ComponentRunner],
        instances: Instances,
        reload: Reload,
    ) -> None:
        self._process = process
        self._loop = loop
        self._runners = runners
        self._instances = instances
        self._reload = reload
        self._control, self._data = process.bus.control, process.bus.data
        self._throttle = Throttle()
        self._file: ReceiveFile | None = None
        self._take_data: TakeSocket = self._take_new
        self._kept: socket.socket | None = None
        self._keep: TakeSocket = lambda new: None
        self._listens = False  # to the data channel
        self._control.listen(
            lambda new: loop.move(self._control.receiver, new, self._receive_control)
        )

    def go_on_with(self, kept: socket.socket | None, keep: TakeSocket) -> None:
        """Begin with the data socket of a process before this one, and have each new one kept."""
        self._kept, self._keep = kept, keep

    def start(self, take_data: TakeSocket | None = None) -> None:
        """Begin; `take_data` takes each socket of the data channel if the loop is not to."""
        if take_data is not None:
            self._take_data = take_data
        self._receive_in_file()
        self.listen()
        if self._kept is not None:
            self._receive_kept(self._kept)

    def listen(self) -> None:
        """Receive the data channel, as soon as a component or the last states need it."""
        if self._listens:
            return
        runners = self._runners.values()
        if self._process.states is not None or any(r.callbacks.hears_data for r in runners):
            self._listens = True
            self._data.listen(self._take_data)

    def look(self, now_s: float) -> float:
        """Take the control messages that waited for their time; return when that is again."""
        self._take(self._throttle.due(now_s))
        return self._throttle.due_s

    def stop(self) -> None:
        """Receive no more readings; what came is handed over."""
        self._loop.give_up(self._data.receiver.fileno(), self._receive_data)

    def close(self) -> None:
        """Forget what was received last: the components have it."""
        if self._file is not None:
            self._file.close()

    # The data channel

    def _take_new(self, new: socket.socket) -> None:
        self._loop.move(self._data.receiver, new, self._receive_data)
        self._keep(new)

    def _receive_kept(self, kept: socket.socket) -> None:
        """Receive from the kept socket until a new one takes its place, which empties it."""
        group = self._process.config.multicast.data
        if self._listens and kept.getsockname() == (group.address, group.port):
            self._loop.move(self._data.receiver, kept, self._receive_data)
        else:
            kept.close()

    def _receive_in_file(self) -> None:
        """Receive in a file if a component keeps what it gets; hand over what a kill left there."""
        keepers = [r for r in self._runners.values() if r.callbacks.receive_in is not None]
        if not keepers:
            return
        first = keepers[0]
        folder, owner = first.callbacks.receive_in, first.channel.codifier
        assert folder is not None
        try:
            with left_behind(folder, owner) as readings:
                for runner in keepers if readings else ():
                    runner.post_batch(readings)
            self._file = ReceiveFile(folder, owner)
        except OSError as error:
            log.warning("a killed process may lose the readings that it received last: %s", error)
            return
        self._data.receiver.receive_in(self._file)

    def _receive_data(self) -> None:
        for _ in range(_BATCHES):
            readings = self._data.receiver.receive()
            if not readings:
                return
            self._hand_over(readings)

    def _hand_over(self, readings: list[Reading]) -> None:
        if self._process.states is not None:
            self._process.states.on_readings(readings, self._data.receiver.sources)
        for runner in self._runners.values():
            if runner.callbacks.hears_data and runner.channel.is_active:
                runner.post_batch(readings)

    # The control channel

    def _receive_control(self) -> None:
        now_s, passes = time.monotonic(), self._throttle.passes
        self._take(
            (message, address)
            for message, address in self._control.receiver.receive()
            if passes(message, address, now_s)
        )

    def _take(self, messages: Iterable[tuple[Control, Address]]) -> None:
        """Take control messages that have just come, or were kept until now."""
        states, sources = self._process.states, self._control.receiver.sources
        named: dict[str, ComponentRunner] = {}  # to be reloaded; so many C are one reload
        for message, address in messages:
            if states is not None:
                states.on_control(message, time_now_ms(), sources)
            self._instances.hear(message, address)
            targets = self._targets(message)
            if message.flag in "AE" and not targets:
                self._set_proxy(message)
            elif message.flag != "C":
                self._obey(message, address, targets)
            elif message.destination != BROADCAST:
                named |= {runner.channel.codifier: runner for runner in targets}
            elif targets or self._instances.standby:
                self._reload(None)
            for runner in self._runners.values():
                runner.post_control(message, address)
        if named:
            self._reload(list(named.values()))

    def _targets(self, message: Control) -> list[ComponentRunner]:
        if message.destination == BROADCAST:
            return list(self._runners.values())
        target = self._runners.get(message.destination)
        return [target] if target else []

    def _set_proxy(self, message: Control) -> None:
        """Hand a value or a step for a proxy to the component that serves it."""
        proxy = self._process.config.components.get(message.destination)
        server = self._runners.get(proxy.server) if proxy and proxy.server else None
        if proxy is not None and server is not None and proxy.control_enabled:
            server.post_command(proxy.codifier, message.flag, message.number)

    def _obey(self, message: Control, address: Address, targets: Sequence[ComponentRunner]) -> None:
        flag = message.flag
        for runner in targets:
            if flag == "P" and runner.announced and message.source != runner.channel.codifier:
                if not self._instances.asked(message, address):
                    runner.channel.send_control("T", message.source, message.number)
            elif flag in "SH":
                runner.activate(flag == "S")
            elif flag in "AE" and runner.channel.component.control_enabled:
                runner.post_timer(flag, message.number)
