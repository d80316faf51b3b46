"""A number from a file, or from the output of a command.

For everything that Linux tells in a file: a temperature below /sys, a figure below /proc; and for
programs that print a number. A command is a list of arguments and never passes a shell.
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
from math import isfinite
from typing import Any

from jph.errors import SensorError
from jph.settings import setting

MOST_BYTES = 1 << 20  # of a file or of a command's output; the rest is ignored
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


@dataclass
class Pipe:
    """Read one number from a file or a command."""

    codifier: str
    pipe: str | tuple[str, ...] = setting(doc="path of a file, or a command as an argument list")
    scale: float = setting(1.0, doc="value = number * Scale + Offset")
    offset: float = setting(0.0, doc="value = number * Scale + Offset")
    timeout_s: float = setting(
        5.0, key="Timeout", gt=0, doc="longest run of a command, or wait for a FIFO, s"
    )
    match: str = setting("", doc="literal text; the number is looked for behind it")
    number: int = setting(0, ge=0, doc="which number of the text, 0 for the first")
    rate: bool = setting(False, doc="growth per second of a counter, instead of the number")
    _before: tuple[float, float] | None = field(default=None, init=False)  # when (s), the number

    def __post_init__(self) -> None:
        _refuse_empty(self.pipe)

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], codifiers: Collection[str]) -> None:
        """Refuse settings that contradict each other; see `jph.config.checks`."""
        _refuse_empty(given["pipe"])

    def read(self) -> Mapping[str, float]:
        """Return the value; no value at the first reading of a rate."""
        text = self._output() if isinstance(self.pipe, tuple) else self._content()
        number = self._find(text)
        if self.rate:
            growth = self._growth(number)
            if growth is None:
                return {}
            number = growth
        value = number * self.scale + self.offset
        if not isfinite(value):
            raise SensorError(f"{self._source()}: its number is too large")
        return {self.codifier: value}

    def _content(self) -> str:
        try:
            with open(str(self.pipe), "rb", opener=_open_now) as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    output = file.read(MOST_BYTES)
                else:
                    output = _receive(file.fileno(), str(self.pipe), self.timeout_s)
            return _text(output, str(self.pipe))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SensorError(f"{self.pipe}: {reason}") from error

    def _output(self) -> str:
        name = self.pipe[0]
        try:
            with subprocess.Popen(
                self.pipe,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            ) as process:
                return _read_all(process, name, self.timeout_s)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SensorError(f"{name}: {reason}") from error

    def _find(self, text: str) -> float:
        start = 0
        if self.match:
            start = text.find(self.match)
            if start < 0:
                raise SensorError(f'{self._source()}: "{self.match}" is not in it')
            start += len(self.match)
        for at, found in enumerate(_NUMBER.finditer(text, start)):
            if at == self.number:
                return float(found.group())
        raise SensorError(f"{self._source()}: no number {self.number} in {text[:60]!r}")

    def _growth(self, number: float) -> float | None:
        """Return the growth per second since the last reading; None without one, or if it fell."""
        now_s = time.monotonic()
        before, self._before = self._before, (now_s, number)
        if before is None or number < before[1] or now_s <= before[0]:
            return None
        return (number - before[1]) / (now_s - before[0])

    def _source(self) -> str:
        return self.pipe if isinstance(self.pipe, str) else self.pipe[0]


def _read_all(process: "subprocess.Popen[bytes]", name: str, timeout_s: float) -> str:
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
    if process.returncode:
        raise SensorError(f"{name}: ended with status {process.returncode}")
    return _text(output, name)


def _refuse_empty(pipe: str | tuple[str, ...]) -> None:
    if not pipe:
        raise ValueError("Pipe: is empty; give a path or a command")


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
    """Return the text in UTF-8; single characters of another encoding are let pass."""
    # The digits of UTF-16 would each be a number of their own.
    if b"\0" in output.rstrip(b"\0"):
        raise SensorError(f"{name}: is binary, or UTF-16; it must be text in UTF-8")
    return output.decode(errors="replace")
