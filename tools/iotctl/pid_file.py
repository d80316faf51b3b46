"""The file by which a server of iotctl is found: its process id, locked while it runs."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Write the id of this process into a file and lock it; False if another process has it."""
    with open(path, "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        try:
            yield True
        finally:
            file.truncate(0)  # the file stays, since somebody may be about to lock it


def holder(path: Path) -> int | None:
    """Return the id of the process that holds a file, None if there is none."""
    try:
        with open(path, "rb") as file:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None  # a process that was killed let it go
            return int(file.read(20) or 0) or None
    except FileNotFoundError:
        return None


def end_holder(path: Path, patience_s: float) -> int | None:
    """Have the process that holds a file end, and return its id, None if there was none.

    Raises:
        TimeoutError: it has not ended.
    """
    pid = holder(path)
    if pid is None:
        return None
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    until_s = time.monotonic() + patience_s
    while holder(path) == pid:
        if time.monotonic() > until_s:
            raise TimeoutError
        time.sleep(0.05)
    return pid
