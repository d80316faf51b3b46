"""What a backup has of a home directory, and what it leaves out."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from jph.config.model import Config
from jph.errors import ConfigError
from jph.stores.address import history_address

FORMAT = 1
HEAD, CONFIG, HOME, DIGESTS = "backup.json", "config.json", "home/", "digests.json"
HISTORY = HOME + "history.sqlite"  # whatever its name here
PAGES = HOME + "web.sqlite"
WHOLE = "readings/"  # before the name of a store of gateways with all that devices sent
LARGEST = 64 << 20  # bytes of a file that is no database; JPH writes none of that size

# Readings on their way and what was put aside are the history's; a log of SQLite is in the copy;
# the key of the sessions belongs to this machine, and `config.json` of home stands at the top.
_LEFT_OUT = re.compile(
    r"(?:spool-.*\.sqlite|journal/.*|history\.sqlite.*|.*\.(?:damaged|repaired|before-restore)-.*"
    r"|.*-(?:wal|shm|journal)|web\.key|config\.json|config\.trial\.json|(?:.*/)?\.[^/]*|before-restore-.*)"
)


def history_file(config: Config, home: Path) -> Path | None:
    """Return the file of the history, None if it is none of SQLite."""
    try:
        place = history_address(config)
    except ConfigError:
        return None
    if place is None or not place.url.startswith("sqlite:///"):
        return None
    return home / place.url.removeprefix("sqlite:///")


def files(home: Path, history: Path | None) -> Iterator[tuple[str, Path]]:
    """Yield the name in a backup and the path of each file of a home directory, sorted."""
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home).as_posix()
        if _LEFT_OUT.fullmatch(name) or path.is_symlink() or not path.is_file():
            continue
        if history is not None and (path == history or path.name.startswith(f"{history.name}-")):
            continue
        yield HOME + name, path


def is_large(name: str) -> bool:
    """Tell whether a file may be of any size, by its name: it is unpacked only if it is wanted."""
    return name == HISTORY or name.startswith(WHOLE)


def is_database(name: str) -> bool:
    """Tell whether a file is one of SQLite, by its name: to open and close one that this process
    uses would end all locks that the process has on it.
    """
    return name.endswith(".sqlite")


def place_of(name: str, home: Path) -> Path:
    """Return where the file of a backup belongs.

    Raises:
        ValueError: it belongs nowhere: no backup has such a name.
    """
    prefix = WHOLE if name.startswith(WHOLE) else HOME
    inner = PurePosixPath(name.removeprefix(prefix))
    if (
        not name.startswith(prefix)
        or inner.is_absolute()
        or str(inner) != name.removeprefix(prefix)
        or ".." in inner.parts
        or "\\" in name
        or not name.isprintable()
        or (name != HISTORY and _LEFT_OUT.fullmatch(str(inner)))
    ):
        raise ValueError(f"it holds a file {name[:80]!r}, which no backup has")
    return home / inner
