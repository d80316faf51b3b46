"""Files that are read or written whole."""

import fcntl
import os
import stat
from contextlib import suppress
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


def rewrite_file(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file as `write_file` does, for less than half of what that costs the disk.

    It is for a file that is written again and again. Two files take turns: the one that was there
    becomes the spare one, which is written to the next time. So the file system need not allocate
    and free anything, which costs it more than a small file itself.

    Whoever has opened the file reads it whole if it is written at most once meanwhile; the second
    time it is the spare one. So it is for files that are written every few minutes.

    Raises:
        OSError: it cannot be written; the file that was there stays.
    """
    spare, before = (path.with_name(f".{path.name}.{end}") for end in ("spare", "before"))
    if not spare.exists():
        _keep(path, before)
        write_file(path, data, mode)
    elif not _overwrite(spare, data, path, before):
        write_file(path, data, mode)
        return
    with suppress(OSError):
        before.replace(spare)
    try:
        _sync_folder(path.parent)
    except OSError:  # then a power cut may bring back its name, and it has to stay as it is
        spare.unlink(missing_ok=True)


def _overwrite(spare: Path, data: bytes, path: Path, before: Path) -> bool:
    """Write the spare file and give it the name of the other one; False: it cannot be used."""
    try:
        fileno = os.open(spare, os.O_WRONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    with open(fileno, "wb") as file:
        if not _is_ours_alone(fileno, spare):
            return False
        file.write(data)
        file.flush()
        if os.fstat(fileno).st_size > len(data):
            file.truncate()
        os.fsync(fileno)
        _keep(path, before)
        spare.replace(path)
        return True


def _is_ours_alone(fileno: int, path: Path) -> bool:
    """Lock a file; tell whether no other process writes it, and it has no other name."""
    try:
        fcntl.flock(fileno, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    status = os.fstat(fileno)
    if identity_of(path) != (status.st_dev, status.st_ino):
        return False
    if status.st_nlink > 1:  # somebody keeps it as it is
        path.unlink()
    return status.st_nlink == 1


def _keep(path: Path, name: Path) -> None:
    """Give a file a second name, if there is one and its file system can."""
    name.unlink(missing_ok=True)  # of a process that was killed
    with suppress(OSError):
        os.link(path, name)


def _sync_folder(folder: Path) -> None:
    fileno = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fileno)
    finally:
        os.close(fileno)


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


def changed_ns(path: Path) -> int:
    """Return when a file was written last, 0 if there is none that can be seen."""
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return 0


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
