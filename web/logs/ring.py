"""The last log records of this process, for where nothing else keeps them."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Container

from jph.node.logs import AT_WORK
from web.logs.line import MOST, Line, Page, Wanted, leading_codifier, tidy

KEPT = 2_000


class Ring(logging.Handler):
    """Keeps the last records; a handler of the root logger and of those that do not reach it.

    Args:
        codifiers: returns the components of the present configuration.
    """

    name = "process"
    title = "this process"

    def __init__(self, codifiers: Callable[[], Container[str]]) -> None:
        super().__init__()
        self._codifiers = codifiers
        self._kept: deque[tuple[int, Line]] = deque(maxlen=KEPT)
        self._number = 0
        self._guard = threading.Lock()

    def install(self) -> None:
        """Hear all loggers from now on."""
        for logger in _ends():
            logger.addHandler(self)

    def remove(self) -> None:
        """Hear no logger any more."""
        for logger in _ends():
            logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        try:
            text = record.getMessage()
            if record.exc_info:
                text += "\n" + logging.Formatter().formatException(record.exc_info)
        except Exception:  # wrong arguments, which the other handlers report
            text = str(record.msg)
        codifier = str(getattr(record, "codifier", "")) or AT_WORK.get()
        codifier = codifier or leading_codifier(text, self._codifiers())
        line = Line(round(record.created * 1000), record.levelno, record.name, codifier, tidy(text))
        with self._guard:
            self._number += 1
            self._kept.append((self._number, line))

    def older(self, before: str | None, wanted: Wanted) -> Page:
        with self._guard:
            kept, last = list(self._kept), self._number
        end = last + 1 if before is None else int(before)
        found: list[tuple[int, Line]] = []
        for number, line in reversed(kept):
            if number < end and wanted.takes(line):
                found.append((number, line))
                if len(found) == MOST:
                    break
        found.reverse()
        is_more = len(found) == MOST and bool(kept) and found[0][0] > kept[0][0]
        return Page([line for _, line in found], str(found[0][0]) if is_more else None, str(last))

    def newer(self, after: str, wanted: Wanted) -> Page:
        begin = int(after)
        with self._guard:
            kept, last = list(self._kept), self._number
        lines = [line for number, line in kept if number > begin and wanted.takes(line)]
        return Page(lines[-MOST:], None, str(last))


def _ends() -> list[logging.Logger]:
    """Return the loggers at which records end: the root, and those that do not propagate."""
    named = [
        it for it in logging.root.manager.loggerDict.values() if isinstance(it, logging.Logger)
    ]
    return [logging.root, *(it for it in named if not it.propagate)]
