"""A backup that a browser sends in parts, one of each person at a time.

A request has bounds, which hold before anybody is known.

No Flask here.
"""

import time
from hashlib import sha256
from pathlib import Path

from jph.errors import StoreError
from web.backup.restoring import private

MOST = 1 << 30  # bytes of a backup
MOST_PART = 4 << 20
LEFT_S = 3600.0  # after which one that nobody goes on with is removed
_PREFIX = ".uploaded-"  # what begins so is in no backup


def path_of(home: Path, who: str) -> Path:
    """Return where the backup that a person sends is collected."""
    return home / f"{_PREFIX}{sha256(who.encode()).hexdigest()[:16]}"


def add(path: Path, at: int, data: bytes) -> int:
    """Add a part at an offset, 0 for the first one; return how many bytes are there.

    Raises:
        ValueError: it does not go on where the part before ended, or there is too much.
        StoreError: it cannot be written.
    """
    if at + len(data) > MOST:
        raise ValueError(f"A backup of more than {MOST >> 20} MiB: use jph restore.")
    try:
        with open(path, "wb" if at == 0 else "r+b", opener=private) as file:
            if file.seek(0, 2) != at:
                raise ValueError("Another part was expected: send the backup again.")
            file.write(data)
            return file.tell()
    except FileNotFoundError as error:
        raise ValueError("The parts before are not there any more: send it again.") from error
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StoreError(f"The backup cannot be kept: {error.strerror}") from error


def remove_left(home: Path) -> None:
    """Remove what nobody goes on with."""
    for path in home.glob(f"{_PREFIX}*"):
        if time.time() - path.stat().st_mtime > LEFT_S:
            path.unlink(missing_ok=True)
