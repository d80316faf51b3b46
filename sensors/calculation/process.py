"""The worker process of calculations as the node sees it: started, used, killed, started again.

All calculations of a process share one worker, which takes 21 MB. A calculation that is slow,
hangs, or crashes goes to a second worker, so that it delays and harms only others of its kind.
"""

import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from jph import child
from jph.errors import SensorError
from jph.workers.process import Flood, Process, StartError, line_in, program_of

MOST_BYTES = 1 << 20  # of all messages of one reading to the node
SLOW_S = 1.0  # a calculation that takes longer goes to the second worker
_GRACE_S = 3.0  # for the worker to end itself, and write its traceback
_STOP_S = 1.0
_PROGRAM = program_of("sensors.calculation.worker")

Answer = Callable[[Mapping[str, Any]], object]


class Lost(SensorError):
    """The worker ended, or had to be ended; the next reading starts another."""


class WorkerProcess:
    """A worker process, started when it is first needed. Runs one reading at a time."""

    def __init__(self) -> None:
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
            if self._process is not None and not self._process.is_running:
                self._end()  # it was killed since the last run
            process = self._process = self._process or _started()
            try:
                until_s = time.monotonic() + timeout_s + _GRACE_S
                done = _converse(process, order, answer, until_s)
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

    def _end(self, patience_s: float = 0.0) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end(patience_s)


def _started() -> Process:
    try:
        return Process([sys.executable, "-P", "-c", _PROGRAM], child.environment())
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
    trace = process.traced()
    where = f"{path}{line_in(trace, path)}"
    if isinstance(error, TimeoutError) or "Timeout (" in trace:
        return f"{where}: not done within {timeout_s:g} s"
    if isinstance(error, Flood):
        return f"{where}: sends more than {MOST_BYTES} bytes in one reading"
    return f"{where}: {ended or f'the process for calculations broke off: {error!r}'}"


# The workers of this process: for quick calculations, and for slow or crashing ones.
QUICK, SLOW = WorkerProcess(), WorkerProcess()
