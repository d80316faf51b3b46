"""A child process that answers messages, as the node sees it: started, used, killed."""

import json
import os
import re
import select
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from jph.errors import JphError

START_S = 60.0  # a Pi Zero takes some seconds
_STOP_S = 1.0
_TRACE_S = 1.0  # to tell what it runs, before it is killed
_LENGTH = struct.Struct("<I")


class StartError(JphError):
    """The child does not start."""


class Flood(ValueError):
    """The child sends without end."""


class Process:
    """A child with pipes; used by one thread at a time, but for `kill`.

    Args:
        command: program and arguments; it serves a `jph.workers.line.Line`.
        environment: all that the child gets of it.
        folder: its working directory, None for the node's own.

    Raises:
        StartError: it does not start, or its first message is not `ready`.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: str | None = None
    ) -> None:
        self._ending = threading.Lock()
        self._trace = os.memfd_create("jph-trace")  # what it writes when it hangs or crashes
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._trace,
                bufsize=0,
                cwd=folder,
                env={
                    **environment,
                    "MALLOC_ARENA_MAX": "1",  # each further one reserves 64 MB of address space
                },
                start_new_session=True,
            )
        except OSError as error:
            os.close(self._trace)
            raise StartError(str(error)) from None
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        try:
            first = self.receive(time.monotonic() + START_S)
            if not isinstance(first, dict) or first.get("op") != "ready":
                raise ValueError("its first message is not the one of a worker")
        except (OSError, EOFError, ValueError) as error:
            last = self.traced().strip().rpartition("\n")[2]
            self.end()
            raise StartError(last or str(error) or "it ended at once") from None

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None and _end_of(self._process.pid) is None

    def send(self, message: Mapping[str, Any], until_s: float) -> None:
        """Send it a message.

        Args:
            until_s: the deadline, of `time.monotonic`.

        Raises:
            TimeoutError, OSError: it does not read, or is gone.
        """
        content = json.dumps(message).encode()
        data = memoryview(_LENGTH.pack(len(content)) + content)
        while data:
            _wait(self._to, select.POLLOUT, until_s)
            with suppress(BlockingIOError):
                data = data[os.write(self._to, data) :]

    def receive(self, until_s: float, room: list[int] | None = None) -> Any:
        """Return its next message; see `receive_bytes`."""
        return json.loads(self.receive_bytes(until_s, room))

    def receive_bytes(self, until_s: float, room: list[int] | None = None) -> bytes:
        """Return its next message as it came.

        Args:
            until_s: the deadline, of `time.monotonic`.
            room: how many bytes it may send; what comes is taken off.

        Raises:
            TimeoutError: none came.
            EOFError: it ended.
            Flood: it sends more than it may.
            ValueError: it sends what is no message.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, until_s))
        room = room if room is not None else [1 << 20]
        room[0] -= length
        if room[0] < 0:
            raise Flood("sends too many bytes")
        return self._read(length, until_s)

    def _read(self, length: int, until_s: float) -> bytes:
        data = bytearray()
        while len(data) < length:
            _wait(self._from, select.POLLIN, until_s)
            part = os.read(self._from, length - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def traced(self) -> str:
        """Return the end of what it wrote when it crashed or hung."""
        if self._trace < 0:
            return ""
        size = os.fstat(self._trace).st_size
        return os.pread(self._trace, 8192, max(0, size - 8192)).decode(errors="replace")

    def line_now(self, path: str) -> str:
        """Return ` line n` of a file that it runs now, an empty text if it does not tell soon.

        It has `faulthandler` write its traceback when SIGUSR1 arrives.
        """
        with self._ending, suppress(ProcessLookupError):
            if self._process.returncode is None:  # else its number may be another's
                os.kill(self._process.pid, signal.SIGUSR1)
        until_s = time.monotonic() + _TRACE_S
        while not (line := line_in(self.traced(), path)) and time.monotonic() < until_s:
            time.sleep(0.01)
        return line

    def ended(self, patience_s: float = _STOP_S) -> str:
        """Wait a moment for its end, and tell how it ended; an empty text if it runs."""
        end = self._wait_for_end(patience_s)
        if end is None:
            return ""
        if end.si_code == os.CLD_EXITED:
            return f"ended its process with status {end.si_status}"
        return f"ended its process by {signal.Signals(end.si_status).name}"

    def kill(self) -> None:
        """Have it end now, and all that it started; for any thread."""
        with self._ending, suppress(ProcessLookupError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self, patience_s: float = 0.0) -> None:
        """End it and every process that it started, after some patience; it is not used again."""
        process = self._process
        if self._trace < 0:
            return
        os.close(self._trace)
        self._trace = -1
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        self._wait_for_end(patience_s)
        self.kill()
        with self._ending:
            process.wait()
        process.stdout.close()

    def _wait_for_end(self, patience_s: float) -> "os.waitid_result | None":
        until_s = time.monotonic() + patience_s
        while (end := _end_of(self._process.pid)) is None and time.monotonic() < until_s:
            time.sleep(0.01)
        return end


def program_of(module: str) -> str:
    """Return a program that calls `main` of a module, and imports nothing else of jph before.

    A child that needs two modules of `jph` would else load all that `import jph` brings.
    """
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return (
        "import sys, types; "
        "package = sys.modules['jph'] = types.ModuleType('jph'); "
        f"package.__path__ = [{folder!r}]; "
        f"from {module} import main; "
        "del sys.modules['jph'], package; "
        "main()"
    )


def line_in(trace: str, path: str) -> str:
    """Return ` line n` if a traceback tells which line of a file ran, else an empty text."""
    name = path.encode("ascii", "backslashreplace").decode()
    found = re.search(rf'File "{re.escape(name)}", line (\d+)', trace)
    return f" line {found[1]}" if found else ""


def _end_of(pid: int) -> "os.waitid_result | None":
    """Return how a child ended, None while it runs.

    It is not reaped by that: so long its process group cannot be another's.
    """
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)


def _wait(fileno: int, events: int, until_s: float) -> None:
    poll = select.poll()
    poll.register(fileno, events)
    if not poll.poll(max(0.0, until_s - time.monotonic()) * 1000):
        raise TimeoutError
