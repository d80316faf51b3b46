"""The configuration of the network for views that change it: every change is a revision.

    from web.configuration import revisions

    revisions.change(lambda document: document["Sensors"].append(entry), access.who(), "add LA")

Who changes something, and why, stands in the list of revisions; all components are told to load it.
Every function works in the context of a request.
"""

from collections.abc import Callable, Mapping
from typing import Any

from web.configuration.file import NotWritableError
from web.configuration.keeper import BusyError, ConflictError, RefusedError
from web.configuration.store import Revision
from web.context import site

__all__ = [
    "BusyError",
    "ConflictError",
    "NotWritableError",
    "RefusedError",
    "Revision",
    "change",
    "current",
    "save",
]


def current() -> tuple[Revision, dict[str, Any]]:
    """Return the newest revision and its document, empty if that is no JSON object."""
    return site().keeper.current()


def save(
    document: Mapping[str, object] | str, who: str, why: str, base: int | None = None
) -> Revision:
    """Check a document, write it into the file, keep it, and have all components load it.

    In the file only what differs is changed: order, layout and comments stay.

    Args:
        document: the whole of it, or its text.
        who: the name of the person.
        why: a few words for the list of revisions.
        base: number of the revision that it was made of; None: of the last one seen.

    Raises:
        RefusedError: it has mistakes, each with its path.
        ConflictError: the file is not any more what it was made of.
        NotWritableError: the pages cannot write the file; the message says who can.
        BusyError: another change is still on trial.
        StoreError: the database of the pages cannot be used.
    """
    return site().keeper.save(document, who, why, base)


def change(edit: Callable[[dict[str, Any]], object], who: str, why: str) -> Revision:
    """Save what a function makes of the present document; raises as `save`, without conflicts."""
    return site().keeper.change(edit, who, why)
