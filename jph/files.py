"""Files that are read or written whole."""

import os
import stat
from pathlib import Path

from jph.errors import StoreError

Identity = tuple[int, int] | None  # device and inode of a file, None where there is none


def write_file(path: Path, data: bytes, mode: int = 0o666, like: Path | None = None) -> None:
    """Write a file so that others, and a start after a power cut, see it whole or not at all.

    Args:
        path: its folder is made if there is none.
        mode: of the file, before the umask; 0o600 for a secret.
        like: a file whose owner, group and mode the new one gets, if it is there.

    Raises:
        OSError: it cannot be written; the file that was there stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        with open(part, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            if like is not None and like.exists():
                _give(file.fileno(), like.stat())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _give(fileno: int, like: os.stat_result) -> None:
    own = os.fstat(fileno)
    if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
        os.fchown(fileno, like.st_uid, like.st_gid)
    os.fchmod(fileno, stat.S_IMODE(like.st_mode))


def device_of(path: Path) -> int:
    """Return the device that a file or folder is on, or would be on if it is not there.

    Raises:
        OSError: it cannot be seen.
    """
    for place in (path, *path.parents):
        if place.exists():
            return place.stat().st_dev
    return os.stat("/").st_dev


def identity_of(path: Path) -> Identity:
    """Return the identity of a file or folder, None if there is none that can be seen."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def password_in(path: Path) -> str:
    """Return the password in the first line of a file.

    Raises:
        StoreError: the file cannot be read, or has no password there.
    """
    try:
        password = path.read_text("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise StoreError(f"the password file {path} cannot be read ({reason})") from error
    if not password or "\0" in password:
        raise StoreError(f"the password file {path} has no password in its first line")
    return password
