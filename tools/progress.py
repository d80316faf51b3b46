"""What commands that run for hours show meanwhile, and where they go on after an interruption."""

import json
import sys
import time
from pathlib import Path

import click

from jph.errors import StoreError
from jph.files import write_file

TERMINAL_S = 0.2  # between two lines of progress, which overwrite each other there
PIPE_S = 5.0


class Progress:
    """Rows done of all rows, on stderr: percent and rows per second."""

    def __init__(self, name: str, total: int) -> None:
        self._name = name
        self._total = total
        self._done = 0
        self._is_terminal = sys.stderr.isatty()
        self._start_s = self._shown_s = time.monotonic()

    def add(self, rows: int) -> None:
        """Count rows that are done, and show it from time to time."""
        self._done += rows
        wait_s = TERMINAL_S if self._is_terminal else PIPE_S
        if time.monotonic() - self._shown_s >= wait_s:
            self._show("\r" if self._is_terminal else "\n")

    def end(self) -> None:
        """Show the last state."""
        self._show("\n")

    def _show(self, end: str) -> None:
        self._shown_s = time.monotonic()
        # More may be there at the end than in the beginning.
        percent = min(100 * self._done // self._total, 100) if self._total else 100
        rate = self._done / max(self._shown_s - self._start_s, 1e-3)
        line = f"{self._name}: {percent:3} %, {self._done:,} of {self._total:,} rows, {rate:,.0f}/s"
        click.echo(f"{line:<70}{end}" if self._is_terminal else line + end, err=True, nl=False)


class Positions:
    """Up to where things are done, by name, in a file of the home that outlives a crash."""

    def __init__(self, home: Path) -> None:
        self._file = home / "history-progress.json"
        try:
            found = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):  # none, or a damaged one: from the beginning then
            found = {}
        self._positions = found if isinstance(found, dict) else {}

    def get(self, name: str) -> int | None:
        """Return the time up to which it is done, ms; None: nothing is."""
        position = self._positions.get(name)
        return position if isinstance(position, int) else None

    def set(self, name: str, position_ms: int | None) -> None:
        """Remember it, or forget it."""
        self._positions[name] = position_ms
        kept = {key: value for key, value in self._positions.items() if value is not None}
        try:
            write_file(self._file, json.dumps(kept, indent=1).encode())
        except OSError as error:
            raise StoreError(f"{self._file}: {error.strerror}") from error
