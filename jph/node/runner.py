"""A component at work in a node: its callbacks, called one at a time, and their outcome."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jph.bus.wire import Address, Control, Reading, memory_of
from jph.clock import time_now_ms
from jph.config.model import Component, Config
from jph.config.report import Report
from jph.errors import NoReading, SensorError
from jph.faults import Fault
from jph.node.channel import Channel
from jph.node.claims import Claims
from jph.node.logs import AT_WORK
from jph.node.mailboxes import Mailbox
from jph.node.polling import SensorPoller
from jph.node.process import STATE, ComponentStatus

log = logging.getLogger(__name__)

# What waits for a component that is behind; it loses what comes then, and that is counted.
MOST_BYTES = 16 << 20  # of readings
MOST_JOBS = 10_000  # control messages and commands, which are all of one size
_LOG_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Callbacks:
    """The callbacks of a component; None for those that it does not have.

    Args:
        on_arrival: takes readings in the node's loop, before it receives others, and so must not
            wait for anything; returns False while it takes none, and they go to on_batch later.
        on_command: takes the Codifier of a proxy that it serves, A or E, and the number; raises
            SensorError if it refuses the number.
        receive_in: private folder in a tmpfs, if the component keeps what it gets in on_arrival:
            the node then loses nothing either that it received and did not hand over yet.
        live_settings: keys that may change without building it again, since it has on_config.
    """

    on_timer: Callable[[int, str, float], STATE | int | None] | None = None
    on_arrival: Callable[[list[Reading]], bool] | None = None
    on_batch: Callable[[list[Reading]], object] | None = None
    on_data: Callable[..., object] | None = None
    on_control: Callable[[Control, Address], object] | None = None
    on_command: Callable[[str, str, float], object] | None = None
    on_config: Callable[[Config], object] | None = None
    close: Callable[[], object] | None = None
    greeting: Callable[[], str] | None = None  # the text for the person who started the process
    receive_in: Path | None = None
    ignores_halt: bool = False
    live_settings: frozenset[str] = frozenset()

    @property
    def hears_data(self) -> bool:
        """Whether it listens to the data channel."""
        return any((self.on_arrival, self.on_batch, self.on_data))


_NAMES = (
    *("on_timer", "on_arrival", "on_batch", "on_data", "on_control", "on_command", "on_config"),
    *("close", "greeting", "receive_in"),
)


def callbacks_of(component: object, channel: Channel) -> Callbacks:
    """Return the callbacks of a component object; a reader gets a timer that sends its values."""
    found: dict[str, Any] = {name: getattr(component, name, None) for name in _NAMES}
    found["ignores_halt"] = getattr(component, "ignores_halt", False)
    found["live_settings"] = frozenset(getattr(component, "live_settings", ()))
    if hasattr(component, "read"):
        found["on_timer"] = SensorPoller(component, channel)
    return Callbacks(**found)


class ComponentRunner:
    """One component of a node.

    The node's loop calls `post_*`, which never block; the jobs run on the mailbox's thread.
    """

    def __init__(
        self,
        channel: Channel,
        callbacks: Callbacks,
        mailbox: Mailbox,
        build: Callable[[Channel], Callbacks],
    ) -> None:
        self.channel = channel
        self._log = logging.getLogger(channel.component.type_name)
        self.callbacks = callbacks
        self.mailbox = mailbox
        mailbox.context.run(AT_WORK.set, channel.codifier)
        self.life: object | None = None  # a timer ends when this is no longer its own
        self.announced = False  # N was sent in this life
        self.is_built = True  # False: its present entry could not be built
        self.awaited: Component | None = None  # its entry, while it waits to be built again
        self.claims = Claims()
        self.ahead = Fault(log)  # another instance has a configuration time in the future
        self._build = build
        self.state: STATE | None = None
        self.error: str | None = None
        self.overruns = 0
        self.last_good_ms: int | None = None
        self._failures = 0  # in a row
        self._limit = 1  # of them, from which on it is failing
        self._lock = threading.Lock()
        self._inbox: list[Reading] = []
        self._inbox_bytes = 0
        self._drain_posted = False
        self._timer_posted = False
        self._faults: dict[str, Fault] = {}

    # Called by the loop

    def begin(self) -> object:
        """Begin a new life; return its mark."""
        self.life = object()
        self.announced = False
        return self.life

    def announce(self) -> None:
        """Tell the bus that the component is here: by N the first time, then by I."""
        if self.life is not None:
            self.channel.send_control("I" if self.announced else "N")
            self.announced = True

    def sign(self) -> None:
        """Give a sign of life, once the bus knows the component."""
        if self.announced:
            self.channel.send_control("I")

    def activate(self, active: bool) -> None:
        """Start or halt the component, and tell the bus if that changed anything."""
        if self.channel.is_active == active or (self.callbacks.ignores_halt and not active):
            return
        self.channel.is_active = active
        log.info("%s is %s", self.channel.codifier, "started" if active else "halted")
        self.sign()
        if active and self.channel.component.sensor_interval_s:
            self.post_timer()

    def post_timer(self, command: str = "", number: float = 0.0) -> None:
        """Have the timer callback run; skip a regular tick while one still waits or runs."""
        if self.callbacks.on_timer is None or not self.channel.is_active:
            return
        if not command:
            if self._timer_posted:
                return
            self._timer_posted = True
        elif self.mailbox.waiting >= MOST_JOBS:
            self._overrun(1)
            return
        self.mailbox.post(lambda: self._timer(command, number))

    def post_command(self, codifier: str, flag: str, number: float) -> None:
        """Hand over a value (A) or a step (E) for a proxy that the component serves."""
        if not self.channel.is_active:
            return
        if self.mailbox.waiting >= MOST_JOBS:
            self._overrun(1)
            return

        def hand_over() -> None:
            callbacks = self.callbacks  # of what was built meanwhile
            if not self.channel.is_active:
                return
            if callbacks.on_command is not None:
                self._call("command", self._obey, callbacks.on_command, codifier, flag, number)
            elif callbacks.on_control is None and self.is_built:
                kind, own = self.channel.component.type, self.channel.codifier
                said = "%s: %s %g: a %s takes no values for its proxies, and %s is one"
                self._log.warning(said, codifier, flag, number, kind, own)

        self.mailbox.post(hand_over)

    def _obey(
        self,
        on_command: Callable[[str, str, float], object],
        codifier: str,
        flag: str,
        number: float,
    ) -> None:
        try:
            on_command(codifier, flag, number)
        except SensorError as error:  # it refuses the value, and is well
            self._log.warning("%s: %s %g: %s", codifier, flag, number, error)

    def post_batch(self, readings: list[Reading]) -> None:
        """Hand readings over; drop and count them if the component is too far behind."""
        on_arrival = self.callbacks.on_arrival
        if on_arrival is not None and self._arrive(on_arrival, readings):
            return
        with self._lock:
            size = memory_of(readings)
            if self._inbox and self._inbox_bytes + size > MOST_BYTES:
                self._overrun(len(readings))
                return
            self._inbox += readings
            self._inbox_bytes += size
            if self._drain_posted:
                return
            self._drain_posted = True
        self.mailbox.post(self._drain)

    def _overrun(self, count: int) -> None:
        if not self.overruns:
            log.warning("%s is too slow and loses messages", self.channel.codifier)
        self.overruns += count

    def _arrive(self, on_arrival: Callable[[list[Reading]], bool], readings: list[Reading]) -> bool:
        """Hand readings over in the loop; return whether the component took them."""
        try:
            took = on_arrival(readings)
        except Exception as error:
            self._failed("data", error)
            return True
        if self._faults:
            self._worked("data")
        return took

    def post_control(self, message: Control, address: Address) -> None:
        """Hand a control message over."""
        if self.callbacks.on_control is None:
            return
        if self.mailbox.waiting >= MOST_JOBS:
            self._overrun(1)
            return

        def hand_over() -> None:
            on_control = self.callbacks.on_control
            if on_control is not None and self.channel.is_active:
                self._call("control", on_control, message, address)

        self.mailbox.post(hand_over)

    def post_config(self, config: Config) -> None:
        """Tell the component of a new configuration."""
        on_config = self.callbacks.on_config
        if on_config is not None:
            self.mailbox.post(lambda: self._call("config", on_config, config))

    def goes_on(self, component: Component) -> bool:
        """Tell whether it takes a new entry of the configuration without being built again."""
        before = self.channel.component
        return (
            self.callbacks.on_config is not None
            and component.type == before.type
            and self._fixed(component) == self._fixed(before)
        )

    def carries_on(self, component: Component) -> bool:
        """Tell whether nobody on the bus has to notice its new entry."""
        before = self.channel.component
        return (
            self.awaited is None
            and self.goes_on(component)
            and _besides_settings(component) == _besides_settings(before)
        )

    def _fixed(self, component: Component) -> dict[str, object]:
        live = self.callbacks.live_settings
        return {key: value for key, value in component.settings.items() if key not in live}

    # Run by the mailbox

    def rebuild(self, component: Component) -> None:
        """Take a new entry of the configuration: a new component object, new sequences.

        Readings that come meanwhile wait for it. A component that cannot be built goes on with its
        old entry; if that fails too, it stays on the bus without callbacks.

        Raises:
            ConfigError, ChannelError: it cannot be built.
        """
        if self.goes_on(component):  # `post_config` has told it
            self.channel.restart(component)
            return
        before = self.channel.component
        self.close()
        self.is_built = False
        try:
            self._build_as(component)
            self.is_built = True
        except Exception as error:
            try:
                if before is component:  # a new one has no past
                    raise
                self._build_as(before)
            except Exception:
                self.callbacks = Callbacks(ignores_halt=self.callbacks.ignores_halt)
            self._limit = 1
            self._note(STATE.FAILED, str(error))
            raise

    def _build_as(self, component: Component) -> None:
        self.channel.restart(component)
        self.callbacks = self._build(self.channel)

    def _timer(self, command: str, number: float) -> None:
        try:
            self._run_timer(command, number)
        finally:
            if not command:
                self._timer_posted = False

    def _run_timer(self, command: str, number: float) -> None:
        on_timer = self.callbacks.on_timer
        if on_timer is None or not self.channel.is_active:
            return
        timestamp_ms = time_now_ms()
        try:
            state = STATE(on_timer(timestamp_ms, command, number) or STATE.GOOD)
        except SensorError as error:  # logged where it was raised
            state = STATE.NOREADING if isinstance(error, NoReading) else STATE.FAILED
            self._note(state, str(error))
            return
        except Exception as error:
            self._failed("timer", error)
            return
        self._worked("timer")
        if state in (STATE.GOOD, STATE.NOREADING):
            self._note(state, None)
        else:
            said = getattr(on_timer, "reason", "") or self.error
            does = "works with errors" if state == STATE.WITHERRORS else "has failed"
            self._note(state, said or f"it {does}; its log may tell why")
        if state == STATE.GOOD:
            self.last_good_ms = timestamp_ms

    def _drain(self) -> None:
        with self._lock:
            readings, self._inbox = self._inbox, []
            self._inbox_bytes = 0
            self._drain_posted = False
        self.deliver(readings)

    def deliver(self, readings: list[Reading]) -> None:
        """Call back with readings, in the thread of the caller."""
        if not self.channel.is_active:
            return
        callbacks = self.callbacks
        if callbacks.on_batch is not None:
            self._call("data", callbacks.on_batch, readings)
        elif callbacks.on_data is not None:
            is_good = self._deliver_each(callbacks.on_data, readings)
            if is_good and self._faults:  # looked at here, since this is the hot path
                self._worked("data")

    def _deliver_each(self, on_data: Callable[..., object], readings: list[Reading]) -> bool:
        """Call back once for each reading; False if one of them raised."""
        good = True
        rest = iter(readings)
        while True:
            try:
                for source, timestamp_ms, sequence, value, flag, length, address in rest:
                    # The last argument is None: only the control channel tells activity.
                    on_data(
                        "Data=",
                        flag,
                        source,
                        "@@",
                        timestamp_ms,
                        sequence,
                        length,
                        address,
                        value,
                        None,
                    )
                return good
            except Exception as error:  # go on behind the reading that raised
                self._failed("data", error)
                good = False

    def close(self) -> None:
        """Close the component, and log its exception if it raises one."""
        if self.callbacks.close is not None:
            try:
                self.callbacks.close()
            except Exception:
                log.exception("%s could not be closed", self.channel.codifier)

    def retire(self) -> None:
        """Close the component, so that it can be built again later."""
        self.close()
        self.callbacks = Callbacks()

    def status(self) -> ComponentStatus:
        """Return the outcome of the callbacks so far."""
        return ComponentStatus(
            state=self.state,
            error=self.error,
            is_failing=bool(self._failures) and self._failures >= self._limit,
            is_active=self.channel.is_active,
            overruns=self.overruns,
            last_good_ms=self.last_good_ms,
        )

    # Faults are logged when they begin, once a minute while they last, and when they end

    def _call(self, kind: str, callback: Callable[..., object], *arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception as error:
            self._failed(kind, error)
        else:
            self._worked(kind)

    def _failed(self, kind: str, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        self._note(STATE.FAILED, text)
        if kind not in self._faults:
            self._faults[kind] = Fault(self._log, logging.ERROR, every_s=_LOG_EVERY_S)
        said = f"{self.channel.codifier}: its {kind} callback raised"
        self._faults[kind].note(text, said, error=error)

    def _note(self, state: STATE, error: str | None) -> None:
        """Take the outcome of a callback."""
        self.state, self.error = state, error
        if state in (STATE.FAILED, STATE.WITHERRORS):
            self._failures += 1
        elif state == STATE.GOOD:
            report = self.channel.component.report or Report()
            self._failures, self._limit = 0, report.failures

    def _worked(self, kind: str) -> None:
        fault = self._faults.pop(kind, None) if self._faults else None
        if fault is None:
            return
        fault.end(f"{self.channel.codifier}: its {kind} callback works again")
        if self.state == STATE.FAILED and not self._faults:
            self._note(STATE.GOOD, None)


def _besides_settings(component: Component) -> dict[str, object]:
    return {key: value for key, value in component.entry.items() if key != "Sensor"}
