"""A number from a file, or from the output of a command.

For everything that Linux tells in a file: a temperature below /sys, a figure below /proc; and for
programs that print a number. A command is a list of arguments and never passes a shell. What
counts as a number, see `jph.numerals`.
"""

import os
import re
import select
import signal
import stat
import subprocess
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import isclose, isfinite
from typing import Any

from jph import numerals
from jph.errors import SensorError
from jph.settings import setting
from sensors.file_pattern import find_file
from sensors.one_wire import refuse_wrong_crc

MOST_BYTES = 1 << 20  # of a file or of a command's output; the rest is ignored
# The next word behind Match, where it says that there is no value: a number behind it is another
# one, as in "temp3: FAULT (crit = +100.0°C)". Behind a label, such as "error: 5", is the value.
_NO_VALUE = re.compile(
    r"""
    [ \t:="']* ( (?: na | none | null | nil | unknown | unavailable | unreachable | invalid | fault
                   | error | err ) (?![\w:=])
                | [-\u2013\u2014][-.?\u2013\u2014]+ (?!\S) )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_BLANKS = re.compile(r"[ \t:=]*")


@dataclass
class Pipe:
    """Read one number from a file or a command."""

    codifier: str
    pipe: str | tuple[str, ...] = setting(
        doc="path of a file, or a command as an argument list", title="File or command"
    )
    scale: float = setting(1.0, doc="value = number * Scale + Offset")
    offset: float = setting(0.0, doc="value = number * Scale + Offset")
    timeout_s: float = setting(
        5.0, key="Timeout", gt=0, doc="longest run of a command, or wait for a FIFO, s"
    )
    match: str = setting(
        "", doc="literal text; the number is looked for behind it", title="Text before the number"
    )
    number: int | None = setting(
        None, ge=0, doc="which number of a list, 0 for the first", title="Which number"
    )
    next_word: bool = setting(False, doc="the number must be the next word, on the same line")
    require: str = setting("", doc="literal text without which nothing is read")
    refuse: float | tuple[float, ...] = setting((), doc="values that are none, as of a start")
    rate: bool = setting(
        False,
        doc="growth per second of a counter, instead of the number",
        title="Growth per second",
    )
    beside: Mapping[str, str] = setting({}, doc="what files beside a pattern's path say, by name")
    good_status: tuple[int, ...] = setting((0,), doc="exit statuses with which a command may end")
    locale: str = setting("C.UTF-8", doc="LC_ALL of a command; empty: that of JPH")
    _before: tuple[float, float] | None = field(default=None, init=False)  # when (s), the number

    def __post_init__(self) -> None:
        _check(self.pipe, self.number, self.beside, next_word=self.next_word)

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], codifiers: Collection[str]) -> None:
        """Refuse settings that contradict each other; see `jph.config.checks`."""
        beside = given.get("beside", {})
        next_word = given.get("next_word", False)
        _check(given["pipe"], given.get("number"), beside, next_word=next_word)

    def read(self) -> Mapping[str, float]:
        """Return the value; no value at the first reading of a rate."""
        text = self._output() if isinstance(self.pipe, tuple) else self._content()
        try:
            number = self._find(text)
            value = self._value(number)
        except ValueError as error:
            raise SensorError(f"{self._source()}: {error}") from error
        return {} if value is None else {self.codifier: value}

    def _value(self, number: float) -> float | None:
        """Return the value that a number stands for; ValueError if it is none."""
        if self.rate:
            growth = self._growth(number)
            if growth is None:
                return None
            number = growth
        value = number * self.scale + self.offset
        refused = self.refuse if isinstance(self.refuse, tuple) else (self.refuse,)
        if any(isclose(value, each, rel_tol=1e-9, abs_tol=1e-9) for each in refused):
            raise ValueError(f"{value:g} is refused, as the configuration says")
        if not isfinite(value):
            raise ValueError("its number is too large")
        if (self.scale, self.offset) == (1.0, 0.0) and number != value:
            return number  # a whole number beyond 2**53, which a float would round
        return float(value)

    def _content(self) -> str:
        path = str(self.pipe)
        try:
            path = find_file(path, self.beside)
            with open(path, "rb", opener=_open_now) as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    output = file.read(MOST_BYTES)
                else:
                    output = _receive(file.fileno(), path, self.timeout_s)
            return _text(output, path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SensorError(f"{path}: {reason}") from error

    def _output(self) -> str:
        name = self.pipe[0]
        try:
            with subprocess.Popen(
                self.pipe,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env=self._environment(),
            ) as process:
                return _read_all(process, name, self.timeout_s, self.good_status)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SensorError(f"{name}: {reason}") from error

    def _environment(self) -> Mapping[str, str] | None:
        """Return the environment of a command: in this locale, numbers have a decimal point."""
        if not self.locale:
            return None
        return {**os.environ, "LC_ALL": self.locale, "LANGUAGE": ""}

    def _find(self, text: str) -> float:
        """Return the number; ValueError if there is none."""
        if self.require not in text:
            raise ValueError(f'"{self.require}" is not in it')
        refuse_wrong_crc(text)
        start = self._behind_match(text)
        if self.next_word:
            number = numerals.next_one(text, _end_of_blanks(text, start))
        else:
            missing = _NO_VALUE.match(text, start) if self.match else None
            if missing is not None and self.number is None:
                raise ValueError(f"{missing[1]!r} is no number")
            number = numerals.find(text, start, self.number)
        if number is None:
            raise ValueError(f"no number {self.number or 0} in {text[start : start + 60]!r}")
        return number

    def _behind_match(self, text: str) -> int:
        """Return where Match ends; a whole word goes before a part of one."""
        if not self.match:
            return 0
        left = r"(?<!\w)" if self.match[0].isalnum() else ""
        right = r"(?!\w)" if self.match[-1].isalnum() else ""
        found = re.search(left + re.escape(self.match) + right, text)
        start = found.start() if found else text.find(self.match)
        if start < 0:
            raise ValueError(f'"{self.match}" is not in it')
        return start + len(self.match)

    def _growth(self, number: float) -> float | None:
        """Return the growth per second since the last reading; None without one, or if it fell."""
        now_s = time.monotonic()
        before, self._before = self._before, (now_s, number)
        if before is None or number < before[1] or now_s <= before[0]:
            return None
        return (number - before[1]) / (now_s - before[0])

    def _source(self) -> str:
        return self.pipe if isinstance(self.pipe, str) else self.pipe[0]


def _read_all(
    process: "subprocess.Popen[bytes]", name: str, timeout_s: float, good: Collection[int]
) -> str:
    """Return the output of a command; end it, and all it started, when it is slow or endless."""
    assert process.stdout is not None
    until_s = time.monotonic() + timeout_s
    try:
        output = _receive(process.stdout.fileno(), name, timeout_s)
        if len(output) < MOST_BYTES:
            process.wait(max(0.0, until_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise SensorError(f"{name}: no answer within {timeout_s:g} s") from None
    finally:
        # Not if it was waited for, since its number may be another's then. Until that, whether it
        # has ended or not, the number is that of its group.
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is not None and process.returncode not in good:
        raise SensorError(f"{name}: ended with status {process.returncode}")
    return _text(output, name)


def _check(
    pipe: str | tuple[str, ...], number: int | None, beside: Mapping[str, str], *, next_word: bool
) -> None:
    """Refuse an empty Pipe, and settings that contradict each other."""
    if not pipe:
        raise ValueError("Pipe: is empty; give a path or a command")
    if beside and not isinstance(pipe, str):
        raise ValueError("Beside: is for a path, not for a command")
    if next_word and number is not None:
        raise ValueError("Number: cannot be with NextWord, which means the first one")


def _open_now(path: str, flags: int) -> int:
    """Open without waiting for the writer of a FIFO, or for the other end of a line."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _receive(descriptor: int, name: str, timeout_s: float) -> bytes:
    """Read until the end, or `MOST_BYTES` and a little more; SensorError if it is slow."""
    until_s = time.monotonic() + timeout_s
    output = bytearray()
    while len(output) < MOST_BYTES:
        wait_s = until_s - time.monotonic()
        if wait_s <= 0 or not select.select([descriptor], [], [], wait_s)[0]:
            raise SensorError(f"{name}: no answer within {timeout_s:g} s")
        part = os.read(descriptor, 65536)
        if not part:
            break
        output += part
    return bytes(output)


def _text(output: bytes, name: str) -> str:
    """Return the text, in UTF-8, or else in Latin-1, where every byte is a character."""
    # The digits of UTF-16 would each be a number of their own.
    if b"\0" in output.rstrip(b"\0"):
        raise SensorError(f"{name}: is binary, or UTF-16; it must be text in UTF-8")
    try:
        return output.decode()
    except UnicodeDecodeError:
        return output.decode("latin-1")


def _end_of_blanks(text: str, start: int) -> int:
    found = _BLANKS.match(text, start)
    return found.end() if found else start
