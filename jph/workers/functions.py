"""Functions of other people, called in a process of their own, confined and limited."""

import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jph.errors import JphError
from jph.workers.process import Flood, Process, line_in, program_of
from jph.workers.running import MOST_RESULT, file_name

MEMORY_MB = 64  # beyond what the process has at its start

Sandbox = Literal["confine", "limits-only"]


@dataclass(frozen=True, slots=True)
class Function:
    """A source that defines `run`, and the ones that it calls: (alias, digest, source)."""

    digest: str
    source: str
    depends: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that raised an exception; only this value is lost."""

    text: str


class Lost(JphError):
    """The process ended, or had to be ended; the next call starts another.

    Args:
        kind: what the function did.
        text: what it did, with the line where it is known.
    """

    def __init__(self, kind: Literal["time", "memory", "crash", "flood"], text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Worker:
    """One process for functions; `close` and `pid` are for any thread, the rest for one at a time.

    Args:
        sandbox: `limits-only` where the kernel cannot confine, and the owner accepts that.
        memory_mb: what all functions in it may use together; each may keep half of it.
    """

    def __init__(self, sandbox: Sandbox = "confine", memory_mb: int = MEMORY_MB) -> None:
        options = {"confined": sandbox == "confine", "memory_mb": memory_mb}
        program = program_of("jph.workers.running")
        isolated = ["-I", "-S", "-X", "utf8", "-c", program, json.dumps(options)]
        self._command = [sys.executable, *isolated]
        self._memory_mb = memory_mb
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._sent: set[str] = set()
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """Process id, None while there is none."""
        process = self._process
        return process.pid if process else None

    def start(self) -> None:
        """Start the process if there is none.

        Raises:
            StartError: it does not start.
        """
        if self._process is not None and not self._process.is_running:
            self.end()
        if self._process is None:
            process = Process(self._command, {}, folder="/")
            with self._lock:
                self._process = process
                if self._is_closed:
                    process.kill()

    def call_many(
        self, function: Function, arguments: Sequence[Sequence[object]], timeout_s: float = 1.0
    ) -> list[object]:
        """Call a function with each of the arguments, in order.

        Returns:
            For each the result, as JSON has it, or a Failure.

        Raises:
            StartError: there is no process; none of the calls was made.
            Lost: some of the calls may have been made.
        """
        self.start()
        process = self._process
        assert process is not None
        sources = {digest: source for _, digest, source in function.depends}
        sources[function.digest] = function.source
        order = {
            "digest": function.digest,
            "depends": [[alias, digest] for alias, digest, _ in function.depends],
            "sources": {key: it for key, it in sources.items() if key not in self._sent},
            "arguments": arguments,
        }
        try:
            until_s = time.monotonic() + timeout_s
            process.send(order, until_s)
            room = [len(arguments) * (MOST_RESULT + 64) + 4096]
            content = process.receive_bytes(until_s, room)
            answer = json.loads(content, parse_constant=_refuse)
            if answer["short"]:
                raise MemoryError
            results = [
                it["value"] if "value" in it else Failure(str(it["error"]))
                for it in answer["results"]
            ]
            if len(results) != len(arguments):
                raise ValueError("it answers another question")
            self._sent |= sources.keys()
            return results
        except Exception as error:  # the function may have the process answer anything
            lost = self._lost(process, error, function, timeout_s)
            self.end()
            raise lost from None
        except BaseException:
            self.end()
            raise

    def close(self) -> None:
        """End the process, also while another thread is in `call_many`."""
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                self._process.kill()

    def end(self) -> None:
        """End the process and free what it took; the next call would start another."""
        with self._lock:
            process, self._process = self._process, None
        self._sent = set()
        if process is not None:
            process.end()

    def _lost(
        self, process: Process, error: Exception, function: Function, timeout_s: float
    ) -> Lost:
        if isinstance(error, TimeoutError):
            where = process.line_now(file_name(function.digest))
            return Lost("time", f"it was not done within {timeout_s:g} s{where and ', in' + where}")
        if isinstance(error, MemoryError):
            return Lost("memory", f"it needs more than {self._memory_mb} MB, or keeps half of that")
        if isinstance(error, Flood):
            return Lost("flood", "its results are too large")
        ended = process.ended() if isinstance(error, (EOFError, OSError)) else ""
        where = line_in(process.traced(), file_name(function.digest))
        how = ended or "broke the connection to its process"
        return Lost("crash", f"it {how}{where and ', in' + where}")


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")
