"""What each process of a home tells the pages about itself: a file in memory, where there is any.

The bus has no room for it. The file is in a tmpfs, so that no SD card wears out by it, is locked
while its process lives, and is removed at the end; that of a killed process is removed by whoever
looks next. Without a tmpfs there is none.
"""

import json
import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from jph import owned
from jph.clock import time_now_ms
from jph.node.process import Process
from jph.node.written import Written

EVERY_S = 60.0  # between two notes of what it writes; what else changed is noted at once
_OWNER, _SUFFIX = "process", ".status"
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Waiting:
    """A component on standby.

    Args:
        address: of the other instance.
        since_ms: when that was found at work, ms since 1970.
    """

    codifier: str
    address: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """What a process tells about itself.

    Args:
        codifiers: of its components at work.
        began_ms: when it started, ms since 1970.
        written_per_day: bytes to its disks; None: not known, or not yet.
        watched_s: for how long it counts them.
    """

    pid: int
    codifiers: list[str]
    began_ms: int
    written_per_day: float | None
    watched_s: float
    standby: list[Waiting] = field(default_factory=list)


def waiting(process: Process) -> list[Waiting]:
    """Return the components of a process that are on standby."""
    now_s, now_ms = time.monotonic(), time_now_ms()
    return [
        Waiting(codifier, address[0], (now_ms - round((now_s - since_s) * 1000)) // 1000 * 1000)
        for codifier, (address, since_s) in process.standby().items()
    ]


class ProcessFile:
    """The file of this process; used by one thread at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._began_ms = time_now_ms()
        self._written = Written()
        self._file: owned.OwnedFile | None = None
        self._told: tuple[object, ...] = ()
        self._told_s = 0.0

    def look(self, now: Callable[[], float] = time.monotonic) -> None:
        """Tell what changed, and now and then what is written."""
        codifiers = sorted(self._process.components())
        told = codifiers, sorted(self._process.standby())
        is_there = self._file is not None and self._file.is_there
        if is_there and told == self._told and now() < self._told_s + EVERY_S:
            return
        report = ProcessReport(
            pid=os.getpid(),
            codifiers=codifiers,
            began_ms=self._began_ms,
            written_per_day=self._written.per_day(),
            watched_s=self._written.watched_s,
            standby=waiting(self._process),
        )
        with suppress(OSError):  # the page does not show this process then
            self._write(json.dumps(asdict(report)).encode() + b"\n")
            self._told, self._told_s = told, now()

    def close(self) -> None:
        """Remove the file."""
        if self._file is not None:
            self._file.remove()
            self._file = None

    def _write(self, content: bytes) -> None:
        if self._file is not None and not self._file.is_there:
            self._file.close()
            self._file = None
        if self._file is None:
            if (folder := owned.memory_folder(self._process.home)) is None:
                return
            self._file = owned.create(folder, _OWNER, _SUFFIX)
        os.pwrite(self._file.fileno, content, 0)  # who reads takes the first line
        os.ftruncate(self._file.fileno, len(content))


def processes(home: Path) -> Collection[ProcessReport] | None:
    """Return what the processes of a home tell; None where there is no place for it."""
    try:
        folder = owned.memory_folder(home)
        if folder is None:
            return None
        for file in owned.left_behind(folder, _OWNER, _SUFFIX):
            file.remove()
        paths = sorted(folder.glob(f"{_OWNER}-*{_SUFFIX}"))
    except OSError:
        return None
    return [report for path in paths if (report := _read(path)) is not None]


def _read(path: Path) -> ProcessReport | None:
    try:
        with path.open("rb") as file:
            content = json.loads(file.readline(_MOST_BYTES))
        standby = [Waiting(**it) for it in content.pop("standby")]
        return ProcessReport(**content, standby=standby)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # it is just being written, has ended, or is of another version
