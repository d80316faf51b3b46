"""Values that a Python file computes from the last values of other components."""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from jph.bus import wire
from jph.bus.wire import Data, Value
from jph.clock import time_now_ms
from jph.config import document
from jph.config.data_type import typed
from jph.errors import NoReading, SensorError
from jph.node.channel import Channel
from jph.settings import setting
from jph.state import FIELDS
from sensors.calculation.evaluation import MOST_SOURCE
from sensors.calculation.process import (
    CONFINED_QUICK,
    CONFINED_SLOW,
    QUICK,
    SLOW,
    SLOW_S,
    Lost,
    WorkerProcess,
)
from sensors.inputs import Inputs

if find_spec("jinja2") is None:  # only the worker imports it; here it would take 10 MB
    raise ModuleNotFoundError("No module named 'jinja2'", name="jinja2")

log = logging.getLogger(__name__)

MOST_QUICK_S = 10.0  # a calculation with a longer Timeout counts as slow from the beginning


@dataclass(frozen=True, slots=True)
class Sent:
    """A component of type Proxy for which the file sends values."""

    codifier: str = setting(key="Codifier", doc="the proxy")


@dataclass
class Python:
    """Run a file, in a process of its own."""

    channel: Channel
    filename: str = setting("", doc="path of the file", title="File")
    proxy: tuple[Sent, ...] = setting((), doc="for which it sends values, too")
    timeout_s: float = setting(5.0, key="Timeout", gt=0, le=3600, doc="longest run, s")
    memory_mb: int = setting(256, key="MemoryMB", ge=64, doc="most memory, with Python's own, MB")
    max_age_s: float | None = setting(
        None, key="MaxAge", gt=0, doc="older inputs are None, s; absent: however old"
    )
    sandbox: Literal["confine", "limits-only"] = setting(
        "limits-only", doc="confine: the file has no network, files, processes or threads"
    )
    send_duration: bool = setting(False, doc="send how long it took, ms, if it sends no own value")
    _inputs: Inputs = field(init=False)
    _process: WorkerProcess = field(init=False)
    _slow: WorkerProcess = field(init=False)
    _command: tuple[str, float | None] = field(default=("", None), init=False)
    _values: dict[str, Value] = field(default_factory=dict, init=False)  # of the present run
    _strangers: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        """Begin to listen; the first reading starts the worker."""
        self._inputs = Inputs(self.channel, self.max_age_s)
        is_confined = self.sandbox == "confine"
        quick, self._slow = (CONFINED_QUICK, CONFINED_SLOW) if is_confined else (QUICK, SLOW)
        self._process = quick if self.timeout_s <= MOST_QUICK_S else self._slow
        self._process.acquire()

    def command(self, flag: str, number: float) -> None:
        """Keep a value to set (A) or a step (E) for the next run."""
        self._command = flag, number

    def read(self) -> Mapping[str, Value]:
        """Run the file; return the values that it sent without a time of their own.

        Raises:
            NoReading: it failed because an input has no value yet.
            SensorError: it failed; the values that it sent before that are sent.
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
        if self._process.is_confined:
            order["content"] = _content(path)
        self._values = {}
        try:
            done = self._run(order)
            if failure := done["failure"]:
                line = f" line {failure['line']}" if failure["line"] else ""
                error = NoReading if failure["kind"] == "absent" else SensorError
                raise error(f"{path}{line}: {failure['reason']}")
        except SensorError:
            for codifier, value in self._values.items():
                self.channel.send_data(value, codifier=codifier)
            raise
        if self.send_duration:
            self._values.setdefault(self.channel.codifier, float(done["duration"]))
        return self._values

    def close(self) -> None:
        """Give up the worker; the last calculation ends it."""
        self._process.release()

    def _run(self, order: Mapping[str, object]) -> Mapping[str, Any]:
        began_s = time.monotonic()
        try:
            done = self._process.run(order, self._answer, self.timeout_s)
        except Lost:
            self._move()
            raise
        is_slow = float(done["duration"]) > SLOW_S * 1000
        if is_slow or (done["failure"] or {}).get("kind") == "memory":
            self._move()
        log.debug("%s ran for %.3f s", self.channel.codifier, time.monotonic() - began_s)
        return done

    def _move(self) -> None:
        """Go to the worker for calculations that are slow or crash."""
        if self._process is not self._slow:
            self._slow.acquire()
            self._process.release()
            self._process = self._slow

    def _path(self) -> str:
        """Return the path of the file; SensorError if it is nowhere."""
        if not self.filename:  # existing networks have such an entry, which is not active
            raise SensorError("Filename is not set; give the path of a file")
        source = self.channel.config.source
        beside = self.channel.home if document.is_url(source) else Path(source).parent
        name = os.path.expanduser(self.filename)
        places = list(dict.fromkeys(os.path.abspath(folder / name) for folder in (beside, Path())))
        for place in places:
            if os.path.exists(place):
                return place
        raise SensorError(f"there is no file {' or '.join(places)}")

    def _answer(self, message: Mapping[str, Any]) -> object:
        """Answer one message of the worker.

        Raises:
            ValueError, TypeError: the request is refused; the file gets the reason.
        """
        config = self.channel.config
        match message["op"]:
            case "look":
                return {codifier: self._look(codifier) for codifier in message["codifiers"]}
            case "entry":
                entry = config.components.get(message["codifier"])
                return entry.entry if entry else None
            case "document":
                return config.document
            case "data":
                self._send(message["value"], message["timestamp"], message["codifier"])
            case "control":
                flag, to, number = message["flag"], message["to"], message["number"]
                self.channel.send_control(flag, to, number, message["timestamp"])
            case "log":
                levels = logging.getLevelNamesMapping()
                level = levels.get(str(message["level"]).upper(), logging.INFO)
                log.log(level, "%s: %s", self.channel.codifier, message["text"])
        return None

    def _send(self, value: Value, timestamp_ms: int | None, codifier: str) -> None:
        """Send a value that has a time now, and keep another one for the end of the run."""
        component = self.channel.component
        if codifier != component.codifier and codifier not in component.serves:
            raise ValueError(f"{codifier} is neither this component nor one of its proxies")
        entry = self.channel.config.components.get(codifier)
        data_type = entry.data_type if entry else "float"
        flag, chosen = wire.choose(value, data_type)
        wire.encode_data(Data(0, timestamp_ms or 0, flag, codifier, chosen))  # raises if it cannot
        if timestamp_ms is None:
            self._values[codifier] = value
        else:
            self.channel.send_data(typed(value, data_type), timestamp_ms, codifier)

    def _look(self, codifier: str) -> dict[str, object]:
        """Return the last state of a Codifier as the file gets it."""
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


def _content(path: str) -> str:
    """Return the bytes of a file as characters, for a worker that may read no file.

    Raises:
        SensorError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read(MOST_SOURCE + 1).decode("latin-1")
    except OSError as error:
        raise SensorError(f"{path}: {error.strerror or error}") from None
