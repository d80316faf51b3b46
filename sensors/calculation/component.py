"""Values that a file of Python computes from the last values of other components."""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jph.bus import wire
from jph.bus.wire import Data, Value
from jph.clock import time_now_ms
from jph.config import document
from jph.errors import NoReading, SensorError
from jph.node.channel import Channel
from jph.settings import setting
from jph.state import FIELDS
from sensors.calculation.process import QUICK, SLOW, SLOW_S, Lost, WorkerProcess
from sensors.inputs import Inputs

if find_spec("jinja2") is None:  # only the worker imports it; here it would take 10 MB
    raise ModuleNotFoundError("No module named 'jinja2'", name="jinja2")

log = logging.getLogger(__name__)

MOST_QUICK_S = 10.0  # Timeout; with a longer one it counts as slow before it was

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A component of type Proxy that the file sends a value for."""

    codifier: str = setting(key="Codifier", doc="the proxy")


@dataclass
class Python:
    """Run a file, in a process of its own."""

    channel: Channel
    filename: str = setting("", doc="path of the file")
    proxy: tuple[Sent, ...] = setting((), doc="whose values it sends beside its own")
    timeout_s: float = setting(5.0, key="Timeout", gt=0, le=3600, doc="longest run, s")
    memory_mb: int = setting(256, key="MemoryMB", ge=64, doc="most memory for it, MB")
    max_age_s: float | None = setting(
        None, key="MaxAge", gt=0, doc="older inputs are None, s; absent: however old"
    )
    send_duration: bool = setting(False, doc="send how long it took, ms, if it sends no own value")
    _inputs: Inputs = field(init=False)
    _process: WorkerProcess = field(init=False)
    _command: tuple[str, float | None] = field(default=("", None), init=False)
    _strangers: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        """Begin to listen; the worker is started by the first reading."""
        self._inputs = Inputs(self.channel, self.max_age_s)
        self._process = QUICK if self.timeout_s <= MOST_QUICK_S else SLOW
        self._process.acquire()

    def command(self, flag: str, number: float) -> None:
        """Have the next run told that it is to be set (A) or stepped (E)."""
        self._command = flag, number

    def read(self) -> Mapping[str, Value]:
        """Run the file; return the values that it sent without a time of their own.

        Raises:
            NoReading: it stumbled over an input that has no value yet.
            SensorError: it failed; values that it sent before that are sent.
        """
        path = self._path()
        self._inputs.prepare()
        (flag, number), self._command = self._command, ("", None)
        order = {
            "op": "run",
            "own": self.channel.codifier,
            "file": path,
            "timeout": self.timeout_s,
            "memory_mb": self.memory_mb,
            "fields": FIELDS,
            "timestamp": time_now_ms(),
            "command": flag,
            "number": number,
        }
        run = _Run(self)
        try:
            done = self._run(order, run)
        except SensorError:
            run.send()
            raise
        failure = done.get("failure")
        if failure:
            run.send()
            line = f" line {failure['line']}" if failure["line"] else ""
            error = NoReading if failure["kind"] == "absent" else SensorError
            raise error(f"{path}{line}: {failure['reason']}")
        if self.send_duration:
            run.values.setdefault(self.channel.codifier, float(done["duration"]))
        return run.values

    def close(self) -> None:
        """Let go of the worker; the last calculation ends it."""
        self._process.release()

    def _run(self, order: Mapping[str, object], run: "_Run") -> Mapping[str, Any]:
        began_s = time.monotonic()
        try:
            done = self._process.run(order, run.answer, self.timeout_s)
        except Lost:
            self._move()
            raise
        is_slow = float(done["duration"]) > SLOW_S * 1000
        if is_slow or (done["failure"] or {}).get("kind") == "memory":
            self._move()
        log.debug("%s ran for %.3f s", self.channel.codifier, time.monotonic() - began_s)
        return done

    def _move(self) -> None:
        """Move to the worker for calculations that are slow or crash."""
        if self._process is QUICK:
            SLOW.acquire()
            QUICK.release()
            self._process = SLOW

    def _path(self) -> str:
        """Return where the file is.

        Raises:
            SensorError: it is nowhere.
        """
        if not self.filename:  # existing networks have such an entry, which is not active
            raise SensorError("Filename is not there; give the path of a file")
        source = self.channel.config.source
        beside = self.channel.home if document.is_url(source) else Path(source).parent
        name = os.path.expanduser(self.filename)
        places = list(dict.fromkeys(os.path.abspath(folder / name) for folder in (beside, Path())))
        for place in places:
            if os.path.exists(place):
                return place
        raise SensorError(f"there is no file {' or '.join(places)}")

    def may_send_for(self, codifier: str) -> bool:
        """Tell whether values of a Codifier are this component's to send."""
        component = self.channel.component
        return codifier == component.codifier or codifier in component.serves

    def look(self, codifier: str) -> dict[str, object]:
        """Return the answer to the file's question about a Codifier."""
        seen = self._inputs.look(codifier)
        absence = seen.absence()
        if codifier not in self.channel.config.components and seen.fields is None:
            absence += " and is not in the configuration"
            if codifier not in self._strangers:
                self._strangers.add(codifier)
                log.warning("%s: %s", self.channel.codifier, absence)
        if not absence and self.max_age_s is not None:
            absence = seen.staleness()
        return {
            "value": None if absence else seen.value,
            "raw": None if absence else seen.raw,
            "fields": seen.fields,
            "age": seen.age_s,
            "limit": seen.limit_s,
            "absence": absence,
        }


class _Run:
    """The node's side of one run: it answers questions and keeps the values that were sent."""

    def __init__(self, python: Python) -> None:
        self._python = python
        self._channel = python.channel
        self.values: dict[str, Value] = {}

    def answer(self, message: Mapping[str, Any]) -> object:
        """Do what one message asks for.

        Raises:
            ValueError, TypeError: it cannot be done; the file gets the reason.
        """
        config = self._channel.config
        match message["op"]:
            case "look":
                return {codifier: self._python.look(codifier) for codifier in message["codifiers"]}
            case "entry":
                entry = config.components.get(message["codifier"])
                return entry.entry if entry else None
            case "document":
                return config.document
            case "data":
                self._take(message["value"], message["timestamp"], message["codifier"])
            case "control":
                flag, to, number = message["flag"], message["to"], message["number"]
                self._channel.send_control(flag, to, number, message["timestamp"])
            case "log":
                level = _LEVELS.get(message["level"], logging.INFO)
                log.log(level, "%s: %s", self._channel.codifier, message["text"])
        return None

    def _take(self, value: Value, timestamp_ms: int | None, codifier: str) -> None:
        if not self._python.may_send_for(codifier):
            raise ValueError(f"{codifier} is neither this component nor one of its proxies")
        entry = self._channel.config.components.get(codifier)
        flag, chosen = wire.choose(value, entry.data_type if entry else "float")
        wire.encode_data(Data(0, timestamp_ms or 0, flag, codifier, chosen))  # can be sent
        if timestamp_ms is None:
            self.values[codifier] = value
        else:
            self._channel.send_data(value, timestamp_ms, codifier)

    def send(self) -> None:
        """Send the values that were there before the file failed."""
        for codifier, value in self.values.items():
            self._channel.send_data(value, codifier=codifier)
