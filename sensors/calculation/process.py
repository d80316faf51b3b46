"""The worker process of calculations as the node sees it: started, used, killed, started again.

All calculations of a process share one worker, which takes 21 MB. A calculation that is slow,
hangs, or crashes goes to a second worker, so that it delays and harms only others of its kind.
"""

import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from jph import child
from jph.errors import SensorError

MOST_BYTES = 1 << 20  # of all messages of one reading to the node
SLOW_S = 1.0  # a calculation that takes longer goes to the second worker
_START_S = 60.0  # a Pi Zero takes some seconds
_GRACE_S = 3.0  # for the worker to end itself, and write its traceback
_STOP_S = 1.0
_LENGTH = struct.Struct("<I")
_PROGRAM = "from sensors.calculation.worker import main; main()"

Answer = Callable[[Mapping[str, Any]], object]


class Lost(SensorError):
    """The worker ended, or had to be ended; the next reading starts another."""


class _Flood(ValueError):
    """The worker sends without end."""


class WorkerProcess:
    """A worker process, started when it is first needed. Runs one reading at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held while it runs something
        self._counting = threading.Lock()
        self._users = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._trace = -1  # descriptor of the file that gets its traceback

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
            if self._process is not None and self._process.poll() is not None:
                self._end()  # it was killed since the last run
            if self._process is None:
                self._start()
            try:
                done = self._converse(order, answer, time.monotonic() + timeout_s + _GRACE_S)
                if (done["failure"] or {}).get("kind") == "memory":
                    self._end()  # the `self` of the file may hold the memory
                return done
            except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError) as error:
                raise Lost(self._why_lost(error, str(order["file"]), timeout_s)) from None
            except BaseException:
                self._end()
                raise

    def _start(self) -> None:
        try:
            self._trace = os.memfd_create("jph-trace")
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._trace,
                bufsize=0,
                env={
                    **child.environment(),
                    "MALLOC_ARENA_MAX": "1",  # each further one reserves 64 MB of the address space
                },
                start_new_session=True,
            )
            if self._receive(time.monotonic() + _START_S, [MOST_BYTES]) != {"op": "ready"}:
                raise ValueError("its first message is not the one of a worker")
        except (OSError, EOFError, ValueError) as error:
            last = self._traced().strip().rpartition("\n")[2]
            self._end()
            raise SensorError(
                f"the process for calculations does not start: {last or error}"
            ) from None

    def _converse(
        self, order: Mapping[str, Any], answer: Answer, until_s: float
    ) -> Mapping[str, Any]:
        room = [MOST_BYTES]
        self._send(order, until_s)
        while True:
            message: dict[str, Any] = self._receive(until_s, room)
            if message["op"] == "done":
                return message
            try:
                reply = {"answer": answer(message)}
            except (ValueError, TypeError) as error:
                reply = {"refused": str(error)}
            if message["op"] != "log":
                self._send(reply, until_s)

    def _send(self, message: Mapping[str, Any], until_s: float) -> None:
        content = json.dumps(message).encode()
        data = memoryview(_LENGTH.pack(len(content)) + content)
        fileno = self._fileno("stdin")
        os.set_blocking(fileno, False)
        while data:
            _wait(fileno, select.POLLOUT, until_s)
            with suppress(BlockingIOError):
                data = data[os.write(fileno, data) :]

    def _receive(self, until_s: float, room: list[int]) -> Any:
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, until_s))
        room[0] -= length
        if room[0] < 0:
            raise _Flood(f"sends more than {MOST_BYTES} bytes in one reading")
        return json.loads(self._read(length, until_s))

    def _read(self, length: int, until_s: float) -> bytes:
        fileno = self._fileno("stdout")
        data = bytearray()
        while len(data) < length:
            _wait(fileno, select.POLLIN, until_s)
            part = os.read(fileno, length - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def _fileno(self, name: str) -> int:
        pipe = getattr(self._process, name)
        return int(pipe.fileno())

    def _why_lost(self, error: Exception, path: str, timeout_s: float) -> str:
        """End the worker, and return why it was lost."""
        process = self._process
        assert process is not None
        if isinstance(error, EOFError):
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_S)
        status = process.poll()
        trace = self._traced()
        self._end()
        where = f"{path}{_line_in(trace, path)}"
        if isinstance(error, TimeoutError) or "Timeout (" in trace:
            return f"{where}: not done within {timeout_s:g} s"
        if isinstance(error, _Flood):
            return f"{where}: {error}"
        if status is None:
            return f"{where}: the process for calculations broke off: {error!r}"
        if status < 0:
            with suppress(ValueError):
                return f"{where}: ended its process by {signal.Signals(-status).name}"
        return f"{where}: ended its process with status {status}"

    def _traced(self) -> str:
        if self._trace < 0:
            return ""
        size = os.fstat(self._trace).st_size
        return os.pread(self._trace, 8192, max(0, size - 8192)).decode(errors="replace")

    def _end(self, patience_s: float = 0.0) -> None:
        """End the worker and every process that it started."""
        process, self._process = self._process, None
        if self._trace >= 0:
            os.close(self._trace)
            self._trace = -1
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


# The workers of this process: for quick calculations, and for slow or crashing ones.
QUICK, SLOW = WorkerProcess(), WorkerProcess()


def _wait(fileno: int, events: int, until_s: float) -> None:
    poll = select.poll()
    poll.register(fileno, events)
    if not poll.poll(max(0.0, until_s - time.monotonic()) * 1000):
        raise TimeoutError


def _line_in(trace: str, path: str) -> str:
    """Return ` line n` if a traceback tells which line of a file ran, else an empty text."""
    name = path.encode("ascii", "backslashreplace").decode()
    found = re.search(rf'File "{re.escape(name)}", line (\d+)', trace)
    return f" line {found[1]}" if found else ""
