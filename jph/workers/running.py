"""The process in which functions of other people run; started by `functions`.

It has nothing of jph but this, no environment, and, unless only limits were asked for, nothing of
the machine but Python's own library. A function is a source that defines `run`; it is executed
once, and keeps its globals between calls.
"""

import json
import os
import sys
import traceback
from contextlib import suppress
from types import CodeType
from typing import BinaryIO

from jph.workers import confinement
from jph.workers.line import Ended, Line, Message, end, end_with_node, step_back, take_pipes

MOST_RESULT = 64 << 10  # bytes of JSON
_MOST_TEXT = 500


class Functions:
    """Calls functions.

    Args:
        memory: an open `/proc/self/statm`.
        kept: how much of the memory the calls of one function may keep, bytes.
    """

    def __init__(self, memory: BinaryIO, kept: int) -> None:
        self._memory = memory.fileno()
        self._most_kept = kept
        self._kept: dict[str, int] = {}
        self._sources: dict[str, str] = {}
        self._spaces: dict[str, dict[str, object]] = {}

    def call(self, order: Message) -> bytes:
        """Call a function with each of the arguments, and return the answer to the node."""
        self._sources |= order["sources"]
        before = self._pages()
        results, is_short = [], False
        for arguments in order["arguments"]:
            try:
                space = self._space(order["digest"], order["depends"])
                results.append(_encoded(space["run"](*arguments)))  # type: ignore[operator]
            except MemoryError:
                is_short = True
                break
            except BaseException as error:
                results.append(json.dumps({"error": _text(error, self._names())}))
        kept = self._kept.get(order["digest"], 0) + max(0, self._pages() - before)
        self._kept[order["digest"]] = kept
        is_short = is_short or kept * _PAGE > self._most_kept
        return f'{{"short": {json.dumps(is_short)}, "results": [{", ".join(results)}]}}'.encode()

    def _space(self, digest: str, depends: list[list[str]]) -> dict[str, object]:
        """Return the globals of a function, with the functions that it calls by their aliases."""
        key = json.dumps([digest, depends])
        if key not in self._spaces:
            space: dict[str, object] = {"__name__": "function"}
            for alias, other in depends:
                names: dict[str, object] = {"__name__": alias}
                exec(self._compiled(other), names)
                space[alias] = names[alias] if alias in names else names["run"]
            exec(self._compiled(digest), space)
            if not callable(space.get("run")):
                raise NameError("it defines no function `run`")
            self._spaces[key] = space
        return self._spaces[key]

    def _compiled(self, digest: str) -> CodeType:
        return compile(self._sources[digest], file_name(digest), "exec")

    def _names(self) -> set[str]:
        return {file_name(digest) for digest in self._sources}

    def _pages(self) -> int:
        return int(os.pread(self._memory, 64, 0).split()[0])


_PAGE = os.sysconf("SC_PAGE_SIZE")


def file_name(digest: str) -> str:
    """Return the name under which tracebacks show a function."""
    return f"<function {digest[:12]}>"


def _encoded(result: object) -> str:
    text = json.dumps(result, allow_nan=False)
    if len(text) > MOST_RESULT:
        raise ValueError(f"its result takes {len(text)} bytes, {MOST_RESULT} are allowed")
    return f'{{"value": {text}}}'


def _text(error: BaseException, names: set[str]) -> str:
    """Return what went wrong, and in which line of the source."""
    lines = [it.lineno for it in traceback.extract_tb(error.__traceback__) if it.filename in names]
    if isinstance(error, SyntaxError):
        lines, what = [error.lineno], error.msg
    else:
        what = f"{type(error).__name__}: {error}".rstrip(": ")
    where = f"line {lines[-1]}: " if lines and lines[-1] else ""
    return " ".join(f"{where}{what}".split())[:_MOST_TEXT]


def main() -> None:
    """Serve the node that started this process."""
    options = json.loads(sys.argv[1])
    reader, writer = take_pipes()
    step_back()
    memory = open("/proc/self/statm", "rb", buffering=0)  # noqa: SIM115 - open as long as this runs
    folders = confinement.folders_of_python()
    confinement.limit(confinement.memory_now() + (options["memory_mb"] << 20))
    if options["confined"]:
        confinement.confine(folders, between=lambda: end_with_node(reader))
    else:
        end_with_node(reader)
        confinement.refuse_processes()
    line = Line(reader, writer)
    functions = Functions(memory, (options["memory_mb"] << 20) // 2)
    line.send({"op": "ready"})
    with suppress(Ended, BrokenPipeError):
        while True:
            line.send_bytes(functions.call(line.receive()))
    end()
