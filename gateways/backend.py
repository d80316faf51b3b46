"""What a store asks of its database: connections, and what their errors mean."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

Dialect = Literal["sqlite", "postgresql"]
Prepare = Callable[[Any], None]  # brings the schema up to date, on a connection of the driver


class Turn:
    """A lock for writing; unlike a plain one it may be found by several stores and forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Backend(Protocol):
    """A kind of database; connections are those of its driver."""

    name: str  # for messages, without a password
    dialect: Dialect
    url: str  # what SQLAlchemy makes an engine of
    begin_writing: str  # statements that begin a transaction
    begin_reading: str
    readers: int  # at once; more wait
    turn: Turn  # one writer at a time

    def connect(self, prepare: Prepare, *, reads: bool) -> Any:
        """Return a new connection to a database that is up to date.

        Args:
            reads: it is for transactions that only read.

        Raises:
            StoreError: there is none now.
        """

    def identity(self) -> object:
        """Return what tells this database from one that takes its place."""

    def is_stale(self, connection: Any, identity: object) -> bool:
        """Tell whether an idle connection is to be thrown away."""

    def converted(self, error: BaseException) -> BaseException:
        """Return a StoreError if the database is away; else the error as it is."""

    def limited(self, connection: Any, longest_s: float) -> AbstractContextManager[None]:
        """Make a call that waits for the database fail after a time."""

    def close(self) -> None:
        """End what works beside the connections."""
