"""The names that the file of a calculation may use: last values, the configuration, the bus.

They are used in the worker, and each use asks the node.
"""

import json
import math
import os
import random
import struct
import sys
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

from jph.workers.line import Line, Message

MOST_SOURCE = 1 << 20  # bytes of a file
MOST_LOGGED = 4000  # characters of one reading


class Evaluation:
    """One run of a file.

    Args:
        line: the connection to the node.
        order: the message that asked for the run.
        kept: the `self` of the file, which lasts from one reading to the next.
    """

    def __init__(self, line: Line, order: Message, kept: SimpleNamespace) -> None:
        self.order = order
        self.own: str = order["own"]
        self.absent: dict[str, str] = {}  # why Codifiers that the file used have no value
        self._line = line
        self._kept = kept
        self._seen: dict[str, Message] = {}
        self._logged = 0
        self._open = True

    def close(self) -> None:
        """Refuse further questions of the file's threads, after the answer to the present one."""
        with self._line.lock:
            self._open = False

    def ask(self, **message: object) -> Any:
        with self._line.lock:
            if not self._open:
                raise RuntimeError("this reading is over")
            return self._line.ask(**message)

    # Other components

    def look(self, *codifiers: str) -> Message:
        """Return the last state of the last of these Codifiers, and remember those of all."""
        asked = [codifier for codifier in codifiers if codifier not in self._seen]
        if asked:
            self._seen |= self.ask(op="look", codifiers=asked)
        seen: Message = self._seen[codifiers[-1]]
        return seen

    def value(self, codifier: str, default: object = None) -> object:
        seen = self.look(_codifier(codifier, "value"))
        if seen["value"] is not None:
            return seen["value"]
        if default is None:
            self.absent[codifier] = seen["absence"]
        return default

    def field(self, codifier: str, name: str) -> object:
        if name == "Value":
            return self.value(codifier)
        seen = self.look(codifier)
        found = (seen["fields"] or {}).get(name)
        if found is None and seen["absence"]:
            self.absent[codifier] = seen["absence"]
        return found

    def entry(self, codifier: str) -> dict[str, object]:
        found = self.ask(op="entry", codifier=codifier)
        if found is None:
            raise ValueError(f"{codifier} is not in the configuration")
        return cast(dict[str, object], found)

    def age(self, codifier: str) -> float:
        """Return the age of a value in seconds, infinity without one."""
        return float(self.look(_codifier(codifier, "age"))["age"])

    def known(self, codifier: str) -> bool:
        return self.age(codifier) < math.inf

    def stale(self, codifier: str, than_s: float | None = None) -> bool:
        """Tell whether there is no value, or an old one."""
        age_s = self.age(codifier)
        limit_s = float(self.look(codifier)["limit"]) if than_s is None else than_s
        return age_s > limit_s or age_s == math.inf

    def whole(self, codifier: str) -> Any:
        """Return a value with all its keys, where it is a JSON object; None without a value."""
        seen = self.look(_codifier(codifier, "object"))
        if seen["raw"] is None:
            self.absent[codifier] = seen["absence"]
        return seen["raw"]

    # Sending

    def send_data(
        self, value: object, timestamp_ms: float | None = None, codifier: str | None = None
    ) -> None:
        if value is None:
            raise TypeError("there is no value to send: 'NoneType'")
        sent = value if isinstance(value, bool | int | float | str | dict) else plain(value)
        time_ms = None if timestamp_ms is None else int(timestamp_ms)  # of time.time() * 1000, too
        self.ask(op="data", value=sent, timestamp=time_ms, codifier=codifier or self.own)

    def sendData(
        self,
        data: object,
        timestamp: float | None = None,
        Codifier: str | None = None,
        isJson: bool = False,
    ) -> None:
        if isJson and isinstance(data, str):
            data = json.loads(data)
        if isJson and data is not None and not isinstance(data, dict):
            data = {"value": data}
        self.send_data(data, timestamp, Codifier)

    def send_control(
        self,
        flag: str,
        to: str = "@@",
        number: float | None = None,
        timestamp_ms: float | None = None,
    ) -> None:
        number = None if number is None else float(number)
        time_ms = None if timestamp_ms is None else int(timestamp_ms)
        self.ask(op="control", flag=flag, to=to, number=number, timestamp=time_ms)

    def sendCtrl(
        self,
        flag: str,
        timestamp: float | None = None,
        to: str = "@@",
        timeComponent: float | None = None,
    ) -> None:
        self.send_control(flag, to, timeComponent, timestamp)

    def log(self, level: str, message: object, *arguments: object) -> None:
        text = str(message) % arguments if arguments else str(message)
        if not self._line.is_ours():
            return
        with self._line.lock:
            room = MOST_LOGGED - self._logged
            self._logged += len(text) + 1  # lines without a character count, too
            if self._open and room > 0:
                self._line.send({"op": "log", "level": level, "text": text[:room]})

    # The names in the file

    def names(self) -> dict[str, object]:
        def logs(level: str) -> object:
            return lambda message, *arguments, **_: self.log(level, message, *arguments)

        levels = ("debug", "info", "warning", "error", "critical")
        logger = SimpleNamespace(**{level: logs(level) for level in levels})
        logger.warn, logger.exception = logger.warning, logger.error
        entry = self.entry
        channel = SimpleNamespace(
            codifier=self.own,
            logger=logger,
            send_data=self.send_data,
            sendData=self.sendData,
            send_control=self.send_control,
            sendCtrl=self.sendCtrl,
            getConfig=lambda: self.ask(op="document"),
            getAllSensors=lambda: self.ask(op="document")["Sensors"],
            getSensor=lambda Codifier: self.ask(op="entry", codifier=Codifier),
            getMySensor=lambda: entry(self.own),
            getMySensorElement=lambda name: (entry(self.own).get("Sensor") or {}).get(name),  # type: ignore[attr-defined]
        )
        states = SimpleNamespace(GOOD=1, WITHERRORS=2, FAILED=3, NOREADING=4)
        return {
            **{name: thing for name, thing in vars(math).items() if not name.startswith("_")},
            **{module.__name__: module for module in (json, math, os, random, struct, sys, time)},
            "__name__": "__calculation__",
            "__builtins__": __builtins__,
            "pow": pow,
            "min": _least,
            "channel": channel,
            "jph": SimpleNamespace(timeNow=_time_now_ms, STATE=states),
            "logger": logger,
            "self": self._kept,
            "Codifier": self.own,
            "Timestamp": self.order["timestamp"],
            "command": self.order["command"],
            "number": self.order["number"],
            "timeNow": _time_now_ms,
            "sendData": self.sendData,
            "sendCtrl": self.sendCtrl,
            "value": self.value,
            "age": self.age,
            "known": self.known,
            "stale": self.stale,
        }


# The filters that ask about a Codifier.
QUESTIONS: Mapping[str, Callable[..., object]] = {
    "age": Evaluation.age,
    "known": Evaluation.known,
    "stale": Evaluation.stale,
    "object": Evaluation.whole,
    "config": Evaluation.entry,
}


class Printed:
    """Logs the lines that a file prints."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self._text = ""

    def write(self, text: str) -> int:
        *lines, self._text = (self._text + text).split("\n")
        self._text = self._text[-MOST_LOGGED:]
        for line in lines:
            self._evaluation.log("info", line)
        return len(text)

    def flush(self) -> None:
        if self._text:
            self._evaluation.log("info", self._text)
        self._text = ""


def _least(*given: Any, **options: Any) -> Any:
    """Return the least, or None if one is None: this is how files check for missing inputs."""
    items = list(given[0]) if len(given) == 1 else given
    return None if any(item is None for item in items) else min(items, **options)


def _codifier(given: object, name: str) -> str:
    if isinstance(given, str) and len(given) == 2:
        return given
    raise TypeError(f'{name}() needs a Codifier, as {name}("A4"), not {given!r:.40}')


def plain(value: object) -> object:
    """Return a number of another package as one that JSON has."""
    for name, kind in (("__index__", int), ("__float__", float)):
        if hasattr(type(value), name):
            return cast(Callable[[object], object], kind)(value)
    raise TypeError(f"no message carries a {type(value).__name__}")


def _time_now_ms() -> int:
    return time.time_ns() // 1_000_000
