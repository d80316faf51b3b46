"""The network that a command means: its configuration and its home directory.

What the options and the environment do not name is found, in this order:

1. a running node of this environment, by the record that each `jph up` and `jph run` leaves
2. the checkout whose ./scripts/run made this environment: its var/ and the shipped network
3. a running node of another environment of this user
4. /etc/jph and /var/lib/jph, which the systemd units use
5. the shipped network, and the user's own folder for the state of programs

A home that is named finds the configuration of the node that runs there, and the other way round.

The record of a node that was killed is removed by the next search, see `jph.owned`.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from jph import owned, paths
from jph.config.document import is_url

_TOP = Path(__file__).resolve().parent.parent
_ETC = Path("/etc/jph")  # of the systemd units, like the next one
_SYSTEM_HOME = Path("/var/lib/jph")
_OWNER, _SUFFIX = "node", ".json"  # of the records


@dataclass(frozen=True, slots=True)
class Place:
    """A network: where its configuration is, where its files are, and how it was found."""

    source: str
    home: Path
    reason: str

    def fits(self, source: str | None, home: Path | None) -> bool:
        """Tell whether it is the network of this configuration and this home; None: any."""
        return (source is None or _whole(source) == self.source) and (
            home is None or home.resolve() == self.home
        )


def find(source: str | None, home: Path | None, etc: Path = _ETC) -> Place:
    """Return the network that a command means, by what it was told; None: nothing.

    Args:
        etc: the folder of the systemd units' configuration.
    """
    if source is not None and home is not None:
        return Place(source, home, "")
    for place in _candidates(etc):
        if place.fits(source, home):
            return Place(source or place.source, home or place.home, place.reason)
    usual = _usual()
    reason = usual.reason if home is None else "the shipped network"
    return Place(source or usual.source, home or usual.home, reason)


@contextmanager
def recorded(source: str, home: Path) -> Iterator[None]:
    """Keep a record of this node, by which commands find its network, while the block runs."""
    content = {
        "source": _whole(source),
        "home": str(home.resolve()),
        "prefix": sys.prefix,
        "process": os.getpid(),
    }
    try:
        record = owned.create(_records(), _OWNER, _SUFFIX)
    except (OSError, RuntimeError):  # a service has no such folder, and needs no record
        yield
        return
    try:
        with suppress(OSError):
            os.write(record.fileno, json.dumps(content).encode())
        yield
    finally:
        record.remove()


def _candidates(etc: Path) -> Iterator[Place]:
    running = list(_running())
    yield from (place for place, prefix in running if prefix == sys.prefix)
    if _is_checkout():
        yield _usual()
    yield from (place for place, prefix in running if prefix != sys.prefix)
    told = _variables(etc / "jph.env")
    if "JPH_CONFIG" in told or (etc / "config.json").exists():
        source = told.get("JPH_CONFIG", str(etc / "config.json"))
        home = Path(told.get("JPH_HOME", _SYSTEM_HOME))
        yield Place(_whole(source), home.resolve(), f"that of {etc}")


def _usual() -> Place:
    """Return the network where nothing else is known: that of the checkout, or the user's own."""
    source = str(paths.shipped_config())
    if _is_checkout():
        return Place(source, _TOP / "var", "that of ./scripts/run here")
    return Place(source, paths.state_dir().resolve(), "the shipped network")


def _is_checkout() -> bool:
    return Path(sys.prefix) == _TOP / ".venv" and (_TOP / "scripts" / "run").is_file()


def _running() -> Iterator[tuple[Place, str]]:
    """Yield the networks of running nodes, and their environments; the last one started first."""
    try:
        folder = _records()
        for left in owned.left_behind(folder, _OWNER, _SUFFIX):  # by nodes that were killed
            left.remove()
        found = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: -path.stat().st_mtime_ns)
    except (OSError, RuntimeError):
        return
    for path in found:
        try:
            content = json.loads(path.read_text())
            reason = f"that of process {content['process']}"
            yield Place(content["source"], Path(content["home"]), reason), content["prefix"]
        except (OSError, ValueError, KeyError, TypeError):  # gone, or of another version
            continue


def _records() -> Path:
    return paths.state_dir() / "running"


def _whole(source: str) -> str:
    return source if is_url(source) else str(Path(source).resolve())


def _variables(file: Path) -> dict[str, str]:
    """Return the variables of a file as systemd reads them, without its rarer forms."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.strip().partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {name.strip(): text.strip().strip("\"'") for name, equals, text in pairs if equals}
