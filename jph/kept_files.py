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
from jph.files import Identity, device_of, identity_of

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
        self._identity: Identity = None  # once it was there
        self._lock = threading.Lock()
        self._kept: dict[Path, _Kept] = {}
        self._followers: dict[int, Callable[[], object]] = {}

    def keep(self, path: Path, make: Callable[[], object]) -> None:
        """Have a file made anew by this function if it is deleted after it was there."""
        self._home_is_there()
        with self._lock:
            self._kept[path] = _Kept(make, was_there=path.exists())

    def forget(self, path: Path) -> None:
        """Keep a file no longer."""
        with self._lock:
            self._kept.pop(path, None)

    def follow(self, owner: object, action: Callable[[], object]) -> None:
        """Call this whenever the home directory was made anew."""
        with self._lock:
            self._followers[id(owner)] = action

    def unfollow(self, owner: object) -> None:
        """Call it no longer."""
        with self._lock:
            self._followers.pop(id(owner), None)

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
            if self._identity is None:
                self._identity = identity_of(self._home) if self._home.is_dir() else None
            if self._identity is None or device_of(self._home) != self._identity[0]:
                return False  # its mount is missing: whoever writes there says so
            is_missing = not self._home.is_dir()
            self._home.mkdir(parents=True, exist_ok=True)
            identity = identity_of(self._home)
            if identity is None:
                return False
            if identity != self._identity or is_missing:
                self._identity = identity
                log.error("%s, the home directory, was deleted: a new one begins", self._home)
                self._follow()
        except OSError:
            return False
        return True

    def _follow(self) -> None:
        with self._lock:
            followers = list(self._followers.values())
        for action in followers:
            try:
                action()
            except OSError as error:
                log.error("%s: %s", self._home, error)
