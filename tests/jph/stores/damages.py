"""Ways in which a file of SQLite gets damaged, or something else gets in its place."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path


def _noise(n: int) -> bytes:
    return random.Random(9).randbytes(n)


def _with(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(change(path.read_bytes()))  # type: ignore[func-returns-value]


def _folder(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)
    (path / "inside" / "file").write_text("of somebody")


# By name: damages a closed file of several pages.
DAMAGES: dict[str, Callable[[Path], None]] = {
    "first page zeroed": _with(lambda data: bytes(4096) + data[4096:]),
    "first page random": _with(lambda data: _noise(4096) + data[4096:]),
    "header random": _with(lambda data: _noise(100) + data[100:]),
    "all random": _with(lambda data: _noise(len(data))),
    "a text": _with(lambda data: b"not a database, and longer than a header\n" * 100),
    "half": _with(lambda data: data[: len(data) // 2]),
    "cut to 100 bytes": _with(lambda data: data[:100]),
    "all but the first page random": _with(lambda data: data[:4096] + _noise(len(data) - 4096)),
    "all but the first page zeroed": _with(lambda data: data[:4096] + bytes(len(data) - 4096)),
    "tables of no UTF-8": _with(lambda data: data.replace(b"CREATE TABLE", b"CREATE TABL\xae")),
    "a folder": _folder,
}
# What does no harm to what is in the file.
HARMLESS: dict[str, Callable[[Path], None]] = {
    "log random": lambda path: _beside(path, "-wal", _noise(100_000)),
    "log zeroed": lambda path: _beside(path, "-wal", bytes(100_000)),
    "index random": lambda path: _beside(path, "-shm", _noise(32768)),
    "both random": lambda path: (
        _beside(path, "-wal", _noise(50_000)),
        _beside(path, "-shm", _noise(32768)),
    )[0],
}


def _beside(path: Path, suffix: str, content: bytes) -> None:
    path.with_name(path.name + suffix).write_bytes(content)


def copy_of(path: Path, to: Path) -> None:
    """Copy a file with its log, as a power cut would leave them."""
    for suffix in ("", "-wal"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            shutil.copy(source, to.with_name(to.name + suffix))
