"""The journal of systemd, read by journalctl.

Its entries are found by their cursors. One call reads a bounded number of entries, and the filter
is applied here.
"""

import json
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from web.logs.formats import STDERR, Format
from web.logs.line import MOST, Line, LogError, Page, Wanted, leading_codifier, tidy

MOST_ENTRIES = 5_000  # of one answer
LONGEST_ENTRY = 100_000  # bytes of JSON
LONGEST_CURSOR = 400
TIMEOUT_S = 10.0
UNITS = ("--unit=jph*",)
# Priorities of syslog as levels of logging; 5 is a notice.
LEVELS = {
    **dict.fromkeys(("0", "1", "2"), logging.CRITICAL),
    "3": logging.ERROR,
    "4": logging.WARNING,
    **dict.fromkeys(("5", "6"), logging.INFO),
    "7": logging.DEBUG,
}


class Journal:
    """The entries of our units in the journal of this machine.

    Args:
        codifiers: the components, whose Codifiers messages may begin with.
        match: which entries are ours, as options of journalctl.
    """

    name = "journal"
    title = "the journal"

    def __init__(self, codifiers: Container[str], match: Sequence[str] = UNITS) -> None:
        self._codifiers = codifiers
        self._match = match
        self._format = Format(STDERR)

    def is_readable(self) -> bool:
        """Tell whether there are entries of ours that this process may read."""
        if shutil.which("journalctl") is None:
            return False
        try:
            with self._entries("--reverse") as entries:
                return next(entries, None) is not None
        except LogError:
            return False

    def older(self, before: str | None, wanted: Wanted) -> Page:
        start = () if before is None else (f"--cursor={_cursor(before)}",)
        lines: list[Line] = []
        first = last = ""
        count = 0
        with self._entries("--reverse", *start) as entries:
            for entry in islice(entries, MOST_ENTRIES):
                cursor = str(entry.get("__CURSOR", ""))
                if cursor == before:
                    continue
                count += 1
                first, last = cursor, last or cursor
                line = self._line(entry)
                if wanted.takes(line):
                    lines.append(line)
                if len(lines) == MOST:
                    break
        is_more = len(lines) == MOST or count >= MOST_ENTRIES - 1
        return Page(lines[::-1], first if is_more else None, last or before or "")

    def newer(self, after: str, wanted: Wanted) -> Page:
        lines: list[Line] = []
        last = after
        start = (f"--after-cursor={_cursor(after)}",) if after else ()
        with self._entries(*start) as entries:
            for entry in islice(entries, MOST_ENTRIES):
                last = str(entry.get("__CURSOR", last))
                line = self._line(entry)
                if wanted.takes(line):
                    lines.append(line)
        return Page(lines[-MOST:], None, last)

    @contextmanager
    def _entries(self, *options: str) -> Iterator[Iterator[dict[str, object]]]:
        """Give the entries, as they come; journalctl ends with the block.

        Raises:
            LogError: journalctl cannot be run, or fails.
        """
        fields = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER"
        command = [
            "journalctl",
            "--output=json",
            f"--output-fields={fields}",
            "--quiet",
            "--no-pager",
        ]
        environment = {**os.environ, "SYSTEMD_LESS": "", "LC_ALL": "C.UTF-8"}
        try:
            process = subprocess.Popen(
                [*command, *self._match, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
            )
        except OSError as error:
            raise LogError(f"journalctl cannot be run: {error.strerror}") from error
        assert process.stdout is not None
        assert process.stderr is not None
        read = process.stdout.readline
        ended: list[bool] = []
        limit = threading.Timer(TIMEOUT_S, process.kill)
        limit.start()

        def lines() -> Iterator[bytes]:
            yield from iter(lambda: read(LONGEST_ENTRY), b"")
            ended.append(True)

        with process:
            try:
                yield _parsed(lines())
            finally:
                limit.cancel()
                if not ended:
                    process.kill()
            words = process.stderr.read(300).decode("utf-8", "replace").strip()
            if process.wait() and ended:
                raise LogError(f"journalctl: {words or process.returncode}")

    def _line(self, entry: dict[str, object]) -> Line:
        message = entry.get("MESSAGE")
        if isinstance(message, list):  # bytes that are no UTF-8
            message = bytes(it for it in message if isinstance(it, int)).decode("utf-8", "replace")
        text = str(message or "")
        stamp = entry.get("__REALTIME_TIMESTAMP")
        time_ms = int(stamp) // 1000 if isinstance(stamp, str) and stamp.isdigit() else None
        found = self._format.line(text, self._codifiers)
        if found.level:
            return found._replace(time_ms=time_ms)
        codifier = leading_codifier(text, self._codifiers)
        level = LEVELS.get(str(entry.get("PRIORITY")), 0)
        logger = str(entry.get("SYSLOG_IDENTIFIER") or "")
        return Line(time_ms, level, logger, codifier, tidy(text))


def _parsed(lines: Iterator[bytes]) -> Iterator[dict[str, object]]:
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:  # a part of one that is too long
            continue
        if isinstance(entry, dict):
            yield entry


def _cursor(text: str) -> str:
    """Return a cursor that is safe as an option's value.

    Raises:
        ValueError: it is none.
    """
    if not text or len(text) > LONGEST_CURSOR or not set(text) <= ALLOWED:
        raise ValueError("there is no such place in the log")
    return text


ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=;-")
