"""Files of one process, found by the next one: each is locked while its process lives.

The kernel ends a lock with its process, so a file without one was left behind by a process that was
killed. Names begin with whose file it is; two living processes never share a file.
"""

import ctypes
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from zlib import crc32

TMPFS_MAGIC = 0x01021994  # statfs(2)


@dataclass(slots=True)
class OwnedFile:
    """An open file that this process has locked."""

    path: Path
    fileno: int

    @property
    def is_there(self) -> bool:
        """Tell whether the file still has its name; what is written to it is lost otherwise."""
        return os.fstat(self.fileno).st_nlink > 0

    def remove(self) -> None:
        """Remove and close the file; its folder goes with the last one."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        self.close()
        with suppress(OSError):
            self.path.parent.rmdir()

    def close(self) -> None:
        """Close the file, and so unlock it: the next process takes it."""
        os.close(self.fileno)


def create(folder: Path, owner: str, suffix: str) -> OwnedFile:
    """Make a new file in a private folder, and the folder if there is none.

    Raises:
        OSError: it cannot be made.
    """
    private_folder(folder)
    while True:
        name = f"{_prefix(owner)}{time.time_ns():020}-{os.urandom(3).hex()}{suffix}"
        path = folder / name
        fileno = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        if _lock(fileno):
            return OwnedFile(path, fileno)
        os.close(fileno)  # a start beside this one looks at it just now, and will remove it


def left_behind(folder: Path, owner: str, suffix: str) -> Iterator[OwnedFile]:
    """Yield the files that killed processes left behind, oldest first, locked for this one."""
    paths = [path for path in folder.glob("*" + suffix) if path.name.startswith(_prefix(owner))]
    for path in sorted(paths):
        with suppress(OSError):
            fileno = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
            file = OwnedFile(path, fileno)
            if _lock(fileno) and file.is_there:
                yield file
            else:
                file.close()


def private_folder(folder: Path) -> Path:
    """Make a folder that only this user may open.

    Raises:
        OSError: it cannot be made, or another user made one of this name.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise PermissionError(f"{folder} is open to others: remove it")
    return folder


def memory_folder(home: Path) -> Path | None:
    """Return a private folder for a home that lives until the machine ends; None: there is none.

    It is in a tmpfs, which spares the disk: the service manager's, else /dev/shm. That of a
    container ends with its first process.
    """
    given = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    places = [given] if given else []
    if os.getpid() != 1:
        places.append("/dev/shm")
    for place in map(Path, places):
        if is_tmpfs(place):
            with suppress(OSError):
                return private_folder(place / name_for(home))
    return None


def name_for(home: Path) -> str:
    """Return the name of a folder for the files of one user and one home directory.

    A home that was deleted and made anew is another one.
    """
    home.mkdir(parents=True, exist_ok=True)
    place = home.resolve()
    return f"jph-{os.geteuid()}-{place.stat().st_ino:x}-{crc32(os.fsencode(place)):08x}"


def is_tmpfs(folder: Path) -> bool:
    """Tell whether a folder is in memory, on Linux; elsewhere False."""
    answer = ctypes.create_string_buffer(512)  # a struct statfs has 64 to 120 bytes
    try:
        failed = ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(folder), answer)
    except (AttributeError, TypeError, OSError):
        return False
    kind = ctypes.c_long.from_buffer(answer).value & 0xFFFFFFFF
    return not failed and kind == TMPFS_MAGIC


def _prefix(owner: str) -> str:
    return f"{quote(owner, safe='')}-"


def _lock(fileno: int) -> bool:
    try:
        fcntl.flock(fileno, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
