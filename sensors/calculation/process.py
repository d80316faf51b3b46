"""The worker process of calculations as the node sees it: started, used, killed, started again.

All calculations of a process share one worker, which takes 21 MB. A calculation that is slow,
hangs, or crashes goes to a second worker, so that it delays and harms only others of its kind.
Confined ones have two workers of their own.
"""

import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from jph import child
from jph.errors import SensorError
from jph.workers import confinement
from jph.workers.process import Flood, Process, StartError, line_in, program_of

MOST_BYTES = 1 << 20  # of all messages of one reading to the node
SLOW_S = 1.0  # a calculation that takes longer goes to the second worker
_STOP_S = 1.0
_KEPT = {"PYTHONPATH", "TZ"}  # of the environment, for a confined worker
_PROGRAM = program_of("sensors.calculation.worker")

Answer = Callable[[Mapping[str, Any]], object]


class Lost(SensorError):
    """The worker ended, or had to be ended; the next reading starts another."""


class WorkerProcess:
    """A worker process, started when it is first needed. Runs one reading at a time.

    Args:
        is_confined: it has no files, network, processes or threads; orders have the content.
    """

    def __init__(self, is_confined: bool = False) -> None:
        self.is_confined = is_confined
        self._memory_mb = 0  # of the process, if it is confined
        self._lock = threading.Lock()  # held while it runs something
        self._counting = threading.Lock()
        self._users = 0
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the worker, None while there is none."""
        return self._process.pid if self._process else None

    def acquire(self) -> None:
        """Count one more user of the worker."""
        with self._counting:
            self._users += 1

    def release(self) -> None:
        """Count one user less; the last one ends the worker."""
        with self._counting:
            self._users -= 1
            if not self._users:
                with self._lock:
                    self._end(_STOP_S)

    def run(self, order: Mapping[str, Any], answer: Answer, timeout_s: float) -> Mapping[str, Any]:
        """Have a file run, and return the worker's last message: failure, and duration in ms.

        Args:
            order: for the worker, with the path of the file.
            answer: answers a message of the worker; ValueError and TypeError refuse it.
            timeout_s: longest run.

        Raises:
            Lost: it hung or crashed; the message names the file and, if possible, the line.
        """
        with self._lock:
            process = self._process = self._ready(order)
            try:
                done = _converse(process, order, answer, time.monotonic() + timeout_s)
                if (done["failure"] or {}).get("kind") == "memory":
                    self._end()  # the `self` of the file may hold the memory
                return done
            except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError) as error:
                why = _why_lost(process, error, str(order["file"]), timeout_s)
                self._end()
                raise Lost(why) from None
            except BaseException:
                self._end()
                raise

    def _ready(self, order: Mapping[str, Any]) -> Process:
        """Return the process that may run a file, a new one if need be."""
        memory_mb: int = order["memory_mb"]
        if self._process is not None and (
            not self._process.is_running  # it was killed since the last run
            or (self.is_confined and self._memory_mb < memory_mb)
        ):
            self._end()
        if self._process is not None:
            return self._process
        self._memory_mb = memory_mb
        return _started(memory_mb if self.is_confined else None)

    def _end(self, patience_s: float = 0.0) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end(patience_s)


def _started(confined_mb: int | None) -> Process:
    """Start a worker, confined if a limit of its memory is given."""
    environment = child.environment()
    command = [sys.executable, "-P", "-c", _PROGRAM]
    if confined_mb is not None:
        if why := confinement.why_not():
            raise SensorError(f'{why}: give "Sandbox": "limits-only" if you trust the file')
        environment = {key: environment[key] for key in _KEPT & environment.keys()}
        command.append(str(confined_mb))
    try:
        return Process(command, environment)
    except StartError as error:
        raise SensorError(f"the process for calculations does not start: {error}") from None


def _converse(
    process: Process, order: Mapping[str, Any], answer: Answer, until_s: float
) -> Mapping[str, Any]:
    room = [MOST_BYTES]
    process.send(order, until_s)
    while True:
        message: dict[str, Any] = process.receive(until_s, room)
        if message["op"] == "done":
            return message
        try:
            reply = {"answer": answer(message)}
        except (ValueError, TypeError) as error:
            reply = {"refused": str(error)}
        if message["op"] != "log":
            process.send(reply, until_s)


def _why_lost(process: Process, error: Exception, path: str, timeout_s: float) -> str:
    ended = process.ended() if isinstance(error, EOFError) else process.ended(0)
    if isinstance(error, TimeoutError):
        return f"{path}{process.line_now(path)}: not done within {timeout_s:g} s"
    where = f"{path}{line_in(process.traced(), path)}"
    if isinstance(error, Flood):
        return f"{where}: sends more than {MOST_BYTES} bytes in one reading"
    return f"{where}: {ended or f'the process for calculations broke off: {error!r}'}"


# The workers of this process: for quick calculations, and for slow or crashing ones.
QUICK, SLOW = WorkerProcess(), WorkerProcess()
CONFINED_QUICK, CONFINED_SLOW = WorkerProcess(is_confined=True), WorkerProcess(is_confined=True)
