"""The files of the home directory that a running process needs, made anew if somebody deletes them.

A file system that is not mounted any more is no deletion: nothing is made below its mount.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from jph.errors import StoreError
from jph.faults import Fault
from jph.files import device_of

log = logging.getLogger(__name__)

LOOK_S = 5.0


@dataclass(slots=True)
class _Kept:
    make: Callable[[], object]
    fault: Fault = field(default_factory=lambda: Fault(log, logging.ERROR))
    was_there: bool = False


class KeptFiles:
    """Files that are looked at from time to time; any thread may call.

    Args:
        home: the home directory, which is kept, too.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._device: int | None = None  # of the home, once it was there
        self._lock = threading.Lock()
        self._kept: dict[Path, _Kept] = {}

    def keep(self, path: Path, make: Callable[[], object]) -> None:
        """Have a file made anew by this function if it is deleted after it was there."""
        self._home_is_there()
        with self._lock:
            self._kept[path] = _Kept(make, was_there=path.exists())

    def forget(self, path: Path) -> None:
        """Keep a file no longer."""
        with self._lock:
            self._kept.pop(path, None)

    def look(self) -> None:
        """Make what is missing; the log tells once."""
        with self._lock:
            kept = list(self._kept.items())
        if not self._home_is_there():
            return
        for path, one in kept:
            if path.exists():
                one.was_there = True
                one.fault.end(f"{path} is there again")
            elif one.was_there:
                try:
                    one.make()
                except (OSError, StoreError) as error:
                    one.fault.note(f"{path} is gone and cannot be made anew: {error}")

    def _home_is_there(self) -> bool:
        try:
            if self._home.is_dir() and self._device is None:
                self._device = device_of(self._home)
            if self._device is None or device_of(self._home) != self._device:
                return False  # its mount is missing: whoever writes there says so
            if not self._home.is_dir():
                self._home.mkdir(parents=True)
                log.error("%s, the home directory, was deleted: a new one is begun", self._home)
        except OSError:
            return False
        return True
