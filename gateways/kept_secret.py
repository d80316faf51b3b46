"""Secrets that are made once and kept in a file of the home directory, for its user alone."""

import os
import re
import secrets
import threading
from contextlib import suppress
from pathlib import Path

from jph.files import write_file

SECRET = re.compile("[0-9a-f]{64}")


def kept_secret(path: Path) -> str:
    """Return the secret in a file; whoever asks first makes it, whole or not at all.

    Raises:
        OSError: it cannot be read or written.
    """
    for _ in range(2):
        with suppress(FileNotFoundError):
            secret = path.read_text(encoding="ascii", errors="replace").strip()
            if SECRET.fullmatch(secret):
                return secret
            path.unlink(missing_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        write_file(part, secrets.token_hex(32).encode() + b"\n", mode=0o600)
        try:
            with suppress(FileExistsError):  # somebody else was first
                try:
                    os.link(part, path)
                except PermissionError:  # a file system without links
                    part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path.read_text(encoding="ascii").strip()
