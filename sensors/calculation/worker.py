"""The process in which calculations run, apart from the node; started by `process`.

The node orders it by a message to `run` a file; until it is `done` it asks the node: `look` at
Codifiers, `entry` and `document` of the configuration, `data` and `control` to be sent; `log` gets
no answer. Of jph only what is made for workers is imported, so that it stays small and starts
quickly.
"""

import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace, TracebackType
from typing import Any, cast

from jinja2.exceptions import TemplateError

from jph.workers import confinement
from jph.workers.line import Ended, Line, Message, end, end_with_node, step_back, take_pipes
from sensors.calculation.evaluation import MOST_SOURCE, Evaluation, Printed, plain
from sensors.calculation.template import TemplateFile

_SPARE = 4 << 20  # bytes; freed to tell that the memory is full
_ZONES = "/usr/share/zoneinfo"


class Worker:
    """Runs files, one at a time.

    Args:
        line: the connection to the node.
        memory_mb: of this process where it is confined, which is its limit for good; else None, and
            each run has a limit of its own.
    """

    def __init__(self, line: Line, memory_mb: int | None) -> None:
        self._line = line
        self._memory_mb = memory_mb
        self._spare = bytearray()
        self._pid = os.getpid()
        self._sources: dict[str, tuple[object, TemplateFile]] = {}
        self._kept: dict[str, SimpleNamespace] = {}

    def serve(self) -> None:
        """Run the files that the node orders, until the node is gone."""
        self._line.send({"op": "ready"})
        while True:
            order = self._line.receive()
            began_s = time.perf_counter()
            evaluation = Evaluation(
                self._line, order, self._kept.setdefault(order["own"], SimpleNamespace())
            )
            failure = self._guarded(evaluation)
            duration_ms = (time.perf_counter() - began_s) * 1000
            self._line.send({"op": "done", "failure": failure, "duration": duration_ms})

    def _guarded(self, evaluation: Evaluation) -> Message | None:
        """Run a file within its limits; return its failure."""
        order = evaluation.order
        printed = Printed(evaluation)
        sys.stdout = sys.stderr = cast(Any, printed)
        try:
            self._limit_memory(order["memory_mb"] << 20)
            self._run(evaluation)
            return None
        except Ended:
            raise
        except BaseException as error:
            self._limit_memory(None)
            return _failure(error, evaluation, self._memory_mb or order["memory_mb"])
        finally:
            if os.getpid() != self._pid:
                os._exit(0)  # a child that the file forked: the node is its parent's to talk to
            self._limit_memory(None)
            printed.flush()
            evaluation.close()
            sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__

    def _run(self, evaluation: Evaluation) -> None:
        source = self._source(evaluation)
        if source.codifiers:
            evaluation.look(*source.codifiers)
        code, values = source.code(evaluation)
        exec(code, {**evaluation.names(), **values})

    def _source(self, evaluation: Evaluation) -> TemplateFile:
        path = evaluation.order["file"]
        known = self._sources.get(path)
        version: object
        if self._memory_mb is not None:
            version = content = evaluation.order["content"].encode("latin-1")
        else:
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                version = status.st_ino, status.st_mtime_ns, status.st_size
                content = b"" if known and known[0] == version else file.read(MOST_SOURCE + 1)
        if known and known[0] == version:
            return known[1]
        if len(content) > MOST_SOURCE:
            raise ValueError(f"is larger than {MOST_SOURCE} bytes")
        source = TemplateFile(_decoded(content), path, evaluation.order["fields"])
        self._sources[path] = version, source
        return source

    def _limit_memory(self, most: int | None) -> None:
        """Limit the address space to a number of bytes, or with None to what the system allows."""
        if self._memory_mb is not None:  # it cannot be raised again, so that some is kept back
            self._spare = bytearray(_SPARE if most else 0)
            return
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]  # only root may raise it
        if most is None or resource.RLIM_INFINITY != hard < most:
            most = hard
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _decoded(content: bytes) -> str:
    """Return the text of a file.

    Raises:
        SyntaxError: it is not UTF-8, or has a NUL character in it; has lineno.
    """
    try:
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        what, at = f"byte 0x{content[error.start]:02x} is not UTF-8", error.start
    else:
        if "\0" not in text:
            return text.replace("\r\n", "\n")
        what, at = "there is a NUL character", content.index(b"\0")
    raise SyntaxError(what, ("", content.count(b"\n", 0, at) + 1, None, None))


def _failure(error: BaseException, evaluation: Evaluation, memory_mb: int) -> Message | None:
    """Return the line, the reason, and the kind of an error: a missing input is no fault."""
    if isinstance(error, SystemExit) and not error.code:
        return None
    path = evaluation.order["file"]
    line = _line_of(error.__traceback__, path)
    if isinstance(error, TemplateError | SyntaxError) and line is None:
        line = getattr(error, "lineno", None)
    if isinstance(error, MemoryError):
        what = f"needs more than {memory_mb} MB"
        return {"kind": "memory", "line": line, "reason": what}
    if isinstance(error, OSError) and error.filename == path and line is None:
        return {"kind": "error", "line": None, "reason": error.strerror or str(error)}
    reason = error.msg if isinstance(error, SyntaxError) else str(error)
    if isinstance(error, TemplateError):
        reason = error.message or type(error).__name__
    if not isinstance(error, TemplateError) and not (line is None and reason):
        reason = f"{type(error).__name__}: {reason}".rstrip(": ")
    kind = "error"
    if evaluation.absent and isinstance(error, TypeError | AttributeError) and "NoneType" in reason:
        kind, reason = "absent", "; ".join(evaluation.absent.values())
    return {"kind": kind, "line": line, "reason": " ".join(reason.split())[:500]}


def _line_of(traceback: TracebackType | None, path: str) -> int | None:
    """Return the line of the file that raised an error, itself or in a function that it called."""
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == path:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _confine(memory_mb: int, between: Callable[[], None]) -> None:
    """Leave this process nothing but Python, its packages and the time zones."""
    packages = [path for path in sys.path if os.path.basename(path).endswith("-packages")]
    folders = {*confinement.folders_of_python(), *packages, _ZONES}
    confinement.limit(memory_mb << 20)
    confinement.confine(filter(os.path.isdir, folders), between)


def main() -> None:
    """Serve the node that started this process; an argument is its memory in MB, confined."""
    memory_mb = int(sys.argv[1]) if sys.argv[1:] else None
    reader, writer = take_pipes()
    step_back()
    if memory_mb is None:
        end_with_node(reader)
    else:
        os.environ.pop("PYTHONPATH")
        _confine(memory_mb, between=lambda: end_with_node(reader))
    with suppress(Ended, BrokenPipeError):
        Worker(Line(reader, writer, plain), memory_mb).serve()
    end()


if __name__ == "__main__":
    main()
