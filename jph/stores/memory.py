"""Last states in the memory of this process, where `LastStates` has them: the default.

A file in the home directory keeps a copy for the next start. It is written seldom, since SD cards
wear out: a minute after the start, then every ten, and at the stop. Who is killed loses no more
than what changed since, and that only until the components are heard again.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from jph.errors import ConfigError
from jph.files import rewrite_file
from jph.state import FIELDS, Fields, LastStates
from jph.stores import StateStore

log = logging.getLogger(__name__)

FIRST_S = 60.0  # from the start to the first copy
EVERY_S = 600.0  # between copies
LOOK_S = 5.0  # between two looks whether the copy is there
MOST_BYTES = 2_000_000  # 4,000 Codifiers; those that were not heard for longest give way


class MemoryState:
    """The last states themselves, and their copy on disk.

    Args:
        file: where the copy is.
    """

    def __init__(self, file: Path, states: LastStates) -> None:
        self._file = file
        self._states = states
        self._due_s = time.monotonic() + FIRST_S
        self._look_s = time.monotonic() + LOOK_S
        self._version = 0  # of the states in the copy
        self._on_fault: Callable[[str | None], object] = lambda fault: None

    def wake(self) -> None:
        """Write the copy if that is due, or if somebody deleted it."""
        now_s = time.monotonic()
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            if self._version and not self._file.exists():
                log.warning("%s was deleted: it is written again", self._file)
                self._version = 0
                self._due_s = now_s
        if now_s >= self._due_s:
            self._write()

    def recall(self) -> dict[str, Fields]:
        """Return the states of the copy; without a copy, nothing."""
        try:
            content = json.loads(self._file.read_bytes())
            return {code: _known(fields) for code, fields in content["states"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning(
                "%s has no last states of before, and is written anew: %r", self._file, error
            )
            return {}

    def watch(self, on_fault: Callable[[str | None], object]) -> None:
        """Call this with the reason when the copy cannot be written, with None when it was."""
        self._on_fault = on_fault

    def close(self) -> None:
        """Write the copy."""
        self._write()

    def _write(self) -> None:
        self._due_s = time.monotonic() + EVERY_S
        version, heard = self._states.changed_since(0)  # the last ones that changed come first
        if version == self._version:
            return
        before = self.recall()
        kept: list[str] = []
        room = MOST_BYTES
        for codifier in dict.fromkeys([*heard, *before]):
            fields = before.get(codifier, {}) | _known(heard.get(codifier, {}))
            entry = f"{json.dumps(codifier)}:{json.dumps(fields, separators=(',', ':'))}"
            room -= len(entry)
            if room < 0:
                break
            kept.append(entry)
        text = '{"states":{' + ",\n".join(kept) + "}}\n"
        try:
            rewrite_file(self._file, text.encode())
        except OSError as error:
            self._on_fault(f"{self._file}: {error.strerror or error}")
        else:
            self._version = version
            self._on_fault(None)


def open_memory(url: str, home: Path, password_file: Path | None, states: LastStates) -> StateStore:
    """Return the store; its name is part of that of its file."""
    name = url.partition(":")[2]
    if not all(letter.isalnum() or letter in "_-" for letter in name):
        raise ConfigError("a memory store is named memory: or memory:name, in letters and digits")
    return MemoryState(home / (f"states-{name}.json" if name else "states.json"), states)


def _known(fields: Mapping[str, object]) -> Fields:
    """Return the fields that have a value, and that this version knows."""
    return {name: fields[name] for name in FIELDS if fields.get(name) is not None}
