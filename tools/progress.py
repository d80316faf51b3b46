"""The progress of commands that run for hours: shown, and kept in a file to continue from."""

import json
import sys
import time
from pathlib import Path

import click

from jph.errors import StoreError
from jph.files import write_file

TERMINAL_S = 0.2  # between two lines of progress; on a terminal they overwrite each other
PIPE_S = 5.0


class Progress:
    """Print on stderr how many of all rows are done, in percent, and the rows per second.

    Args:
        unit: what is counted, if not rows.
    """

    def __init__(self, name: str, total: int, unit: str = "rows") -> None:
        self._name = name
        self._total = total
        self._unit = unit
        self._done = 0
        self._is_terminal = sys.stderr.isatty()
        self._start_s = self._shown_s = time.monotonic()

    def add(self, rows: int) -> None:
        """Count rows that are done, and show the progress from time to time."""
        self._done += rows
        wait_s = TERMINAL_S if self._is_terminal else PIPE_S
        if time.monotonic() - self._shown_s >= wait_s:
            self._show("\r" if self._is_terminal else "\n")

    def end(self) -> None:
        """Show the final numbers."""
        self._show("\n")

    def _show(self, end: str) -> None:
        self._shown_s = time.monotonic()
        # Rows may have been added since they were counted.
        percent = min(100 * self._done // self._total, 100) if self._total else 100
        rate = self._done / max(self._shown_s - self._start_s, 1e-3)
        counts = f"{self._done:,} of {self._total:,} {self._unit}"
        line = f"{self._name}: {percent:3} %, {counts}, {rate:,.0f}/s"
        click.echo(f"{line:<70}{end}" if self._is_terminal else line + end, err=True, nl=False)


class Position:
    """The time up to which a command is done, in a file of the home directory."""

    def __init__(self, home: Path, name: str) -> None:
        self._file = home / "history-progress.json"
        self._name = name
        try:
            found = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):  # no file, or a damaged one: start at the first row
            found = {}
        self._positions = found if isinstance(found, dict) else {}

    def get(self) -> int | None:
        """Return the time, ms; None if the command has not begun, or has ended."""
        position = self._positions.get(self._name)
        return position if isinstance(position, int) else None

    def set(self, position_ms: int | None) -> None:
        """Write the time to the file; None removes it."""
        self._positions[self._name] = position_ms
        kept = {name: time_ms for name, time_ms in self._positions.items() if time_ms is not None}
        try:
            write_file(self._file, json.dumps(kept, indent=1).encode())
        except OSError as error:
            raise StoreError(f"{self._file}: {error.strerror}") from error
