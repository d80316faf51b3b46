"""A disk that a test can fill."""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


class Tmpfs:
    """A file system of its own, filled with a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Leave no byte."""
        with suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    def free(self) -> None:
        """Give the space back."""
        (self.folder / "filler").unlink(missing_ok=True)


class FileLimit:
    """For who must not mount: the kernel refuses to let any file of this process grow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        """Let no file grow beyond what the largest one in the folder has now."""
        sizes = [path.stat().st_size for path in self.folder.iterdir()]
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes, default=0), self._before[1]))

    def free(self) -> None:
        """Let files grow again."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@contextmanager
def small_disk(folder: Path, megabytes: int = 1) -> Iterator[Tmpfs | FileLimit]:
    """Make a folder on a disk of its own, of so many MB."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    disk = Tmpfs(folder) if mounted else FileLimit(folder)
    try:
        yield disk
    finally:
        disk.free()
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def mounted_disk(folder: Path, megabytes: int = 1) -> Iterator[Tmpfs]:
    """Make such a folder for a test that needs the disk itself, which not every user may mount."""
    with small_disk(folder, megabytes) as disk:
        if not isinstance(disk, Tmpfs):
            pytest.skip("this user may not mount")
        yield disk
