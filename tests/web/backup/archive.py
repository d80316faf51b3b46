"""What tests look for in a backup, and in a home that was restored."""

import io
import tarfile
from pathlib import Path

from web.app import Application
from web.people import users
from web.people.access import Role


def names(data: bytes) -> list[str]:
    """Return the names of the files in a backup."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def people(home: Path) -> list[tuple[str, Role]]:
    """Return who can sign in, and what they may do."""
    with Application(home).app_context():
        return [(person.name, person.role) for person in users.people()]
