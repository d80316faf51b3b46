"""The file of the configuration: where it is, whether the pages may write it, and how they do.

The network that JPH ships is never written: an update would then have to choose between two texts.
What people change of it stands in the home, see `jph.config.loading.in_force`.
"""

import os
import pwd
from pathlib import Path

from jph.config import document
from jph.config.loading import OWN, in_force, is_shipped
from jph.errors import ConfigError, JphError
from jph.files import write_file

Stamp = tuple[int, int, int] | None  # of a file as it was seen; None where there is none


class NotWritableError(JphError):
    """The pages cannot write the configuration; the message says who can."""


class ConfigFile:
    """The configuration that a process was started from.

    Args:
        source: path or URL, as the process was told or as it has found it.
        home: the home directory of the process.

    Attributes:
        reads: path or URL that is in force.
        path: the file that is written, behind all links.
    """

    def __init__(self, source: str, home: Path) -> None:
        self.reads = in_force(source, home)
        self.is_url = document.is_url(self.reads)
        self.is_shipped = is_shipped(self.reads)
        self.path = Path()
        if self.is_shipped:
            self.path = home.resolve() / OWN
        elif not self.is_url:
            self.path = Path(document.path_of(self.reads)).resolve()

    def read(self) -> bytes:
        """Return what is in force.

        Raises:
            ConfigError: it cannot be read.
        """
        return document.read(self.reads)

    @property
    def is_there(self) -> bool:
        """Whether there is a file; nobody knows of a URL."""
        return self.is_url or os.path.exists(document.path_of(self.reads))

    def stamp(self) -> Stamp:
        """Return what changes whenever the file does; cheap."""
        try:
            found = os.stat(document.path_of(self.reads))
        except (OSError, ValueError):
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def changed_ms(self) -> int | None:
        """Return when the file was written last."""
        stamp = self.stamp()
        return None if stamp is None else stamp[0] // 1_000_000

    def why_not(self) -> str:
        """Return why the pages cannot write it and who can; empty if they can."""
        if self.is_url:
            return f"The configuration of this network is that of {self.reads}: change it there."
        folder = self.path.parent
        try:
            owner = self.path.stat().st_uid if self.path.exists() else os.geteuid()
            if not os.access(folder if folder.exists() else folder.parent, os.W_OK):
                return (
                    f"This process ({_name(os.geteuid())}) may not write to {folder}: let it, or "
                    "move the file to the home directory and name it there (JPH_CONFIG)."
                )
        except OSError as error:
            return f"{self.path} cannot be seen: {error.strerror}."
        if os.geteuid() not in (0, owner):
            return (
                f"{self.path} belongs to {_name(owner)}, and this process runs as "
                f"{_name(os.geteuid())}: give it the file (chown)."
            )
        return ""

    def write(self, text: bytes, seen: bytes) -> None:
        """Write it whole; its mode and owner stay, and a link to it stays a link.

        Args:
            seen: what is to be replaced.

        Raises:
            ChangedError: something else stands there now.
            NotWritableError: it cannot be written.
        """
        if reason := self.why_not():
            raise NotWritableError(reason)
        try:
            if self.is_there and self.read() != seen:
                raise ChangedError(f"{self.path} has just been changed")
            write_file(self.path, text, like=None if self.is_shipped else self.path)
        except (OSError, ConfigError) as error:
            raise NotWritableError(f"{self.path} cannot be written: {error}") from error


class ChangedError(JphError):
    """The file was changed in the same moment."""


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
