"""The process in which calculations run, apart from the node; started by `process`.

The node orders it by a message to `run` a file; until it is `done` it asks the node: `look` at
Codifiers, `entry` and `document` of the configuration, `data` and `control` to be sent; `log` gets
no answer. Of jph only what is made for workers is imported, so that it stays small and starts
quickly.
"""

import faulthandler
import os
import resource
import sys
import time
from contextlib import suppress
from types import SimpleNamespace, TracebackType
from typing import Any, BinaryIO, cast

from jinja2.exceptions import TemplateError

from jph.workers.line import Ended, Line, Message, end, end_with_node, step_back, take_pipes
from sensors.calculation.evaluation import Evaluation, Printed, plain
from sensors.calculation.template import TemplateFile

MOST_SOURCE = 1 << 20  # bytes of a file


class Worker:
    """Runs files, one at a time.

    Args:
        line: the connection to the node.
        trace: the file that gets the traceback when the process hangs or crashes.
    """

    def __init__(self, line: Line, trace: BinaryIO) -> None:
        self._line = line
        self._trace = trace
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
        faulthandler.dump_traceback_later(order["timeout"], exit=True, file=self._trace)
        _limit_memory(order["memory_mb"] << 20)
        printed = Printed(evaluation)
        sys.stdout = sys.stderr = cast(Any, printed)
        try:
            self._run(evaluation)
            return None
        except Ended:
            raise
        except BaseException as error:
            _limit_memory(None)
            return _failure(error, evaluation)
        finally:
            if os.getpid() != self._pid:
                os._exit(0)  # a child that the file forked: the node is its parent's to talk to
            _limit_memory(None)
            faulthandler.cancel_dump_traceback_later()
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
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            version = status.st_ino, status.st_mtime_ns, status.st_size
            known = self._sources.get(path)
            if known is not None and known[0] == version:
                return known[1]
            content = file.read(MOST_SOURCE + 1)
        if len(content) > MOST_SOURCE:
            raise ValueError(f"is larger than {MOST_SOURCE} bytes")
        source = TemplateFile(_decoded(content), path, evaluation.order["fields"])
        self._sources[path] = version, source
        return source


def _limit_memory(most: int | None) -> None:
    """Limit the address space to a number of bytes, or with None to what the system allows."""
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


def _failure(error: BaseException, evaluation: Evaluation) -> Message | None:
    """Return the line, the reason, and the kind of an error: a missing input is no fault."""
    if isinstance(error, SystemExit) and not error.code:
        return None
    path = evaluation.order["file"]
    line = _line_of(error.__traceback__, path)
    if isinstance(error, TemplateError | SyntaxError) and line is None:
        line = getattr(error, "lineno", None)
    if isinstance(error, MemoryError):
        what = f"needs more than {evaluation.order['memory_mb']} MB"
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


def main() -> None:
    """Serve the node that started this process."""
    reader, writer, trace = take_pipes()
    step_back()
    end_with_node(reader)
    with suppress(Ended, BrokenPipeError):
        Worker(Line(reader, writer, plain), trace).serve()
    end()


if __name__ == "__main__":
    main()
