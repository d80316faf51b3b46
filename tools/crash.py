"""What a process that was killed leaves for the next start: which components it ran.

The record is a file in memory, of one home directory, that is locked while its process lives. So a
record without a lock is of a process that ended on this machine since its start, without saying so.
"""

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jph import owned

_OWNER, _SUFFIX = "node", ".components"


def components_of_killed(home: Path) -> frozenset[str]:
    """Return the Codifiers that killed processes of a home ran here, and forget them."""
    found: set[str] = set()
    with suppress(OSError):
        if (folder := owned.memory_folder(home)) is not None:
            for file in owned.left_behind(folder, _OWNER, _SUFFIX):
                with suppress(ValueError):
                    found.update(json.loads(file.path.read_bytes()))
                file.remove()
            folder.rmdir()  # unless it is in use
    return frozenset(found)


@contextmanager
def recorded(home: Path, codifiers: Collection[str]) -> Iterator[None]:
    """Keep a record of the components of this process while the block runs."""
    file = None
    with suppress(OSError):
        if (folder := owned.memory_folder(home)) is not None:
            file = owned.create(folder, _OWNER, _SUFFIX)
            os.write(file.fileno, json.dumps(list(codifiers)).encode())
    try:
        yield
    finally:
        if file is not None:
            with suppress(OSError):
                os.ftruncate(file.fileno, 0)  # it may have been moved with those of its home
            file.remove()
