"""What pages and components ask of the boards: who is there, their values, their LED."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gateways.esp32 import tables
from gateways.esp32.boards import Board
from gateways.esp32.ingest import Ingest
from gateways.esp32.protocol import Kind, command
from gateways.store import Store

__all__ = ["Board", "Changes", "GoneError", "Service"]

ANSWER_S = 4.0
PARTS = re.compile(r"([^0-9]*)([0-9]*)")  # of a name: text, and the number behind it


class GoneError(LookupError):
    """There is no such board, or it is not connected with this session any more."""


class Changes:
    """The boards that changed, for one listener; each as it is now, however often it changed."""

    def __init__(self) -> None:
        self._boards: dict[str, Board] = {}
        self._changed = threading.Condition()

    def put(self, boards: Sequence[Board]) -> None:
        """Add boards."""
        with self._changed:
            for board in boards:
                self._boards[board.mac] = board
            self._changed.notify()

    def get(self, timeout_s: float) -> Board | None:
        """Return a board that changed, or None if none does so in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._boards, timeout_s)
            if not self._boards:
                return None
            return self._boards.pop(next(iter(self._boards)))


def _by_number(name: str) -> list[tuple[str, int]]:
    return [(text, int(digits or 0)) for text, digits in PARTS.findall(name)]


@dataclass
class Service:
    """The boards of a gateway, for threads of any kind.

    Args:
        codifier: of the gateway.
        publish: sends a command; False: there is no connection to the broker.
        state: gives what the pages show of the gateway.
        codifiers: of (Device, Attribute), where Device is a MAC address or a name.
    """

    store: Store
    codifier: str
    ingest: Ingest
    publish: Callable[[bytes], bool] = lambda payload: False
    state: Callable[[], Mapping[str, Any]] = dict
    codifiers: Callable[[], Mapping[tuple[str, str], str]] = dict
    answer_s: float = ANSWER_S
    _listeners: list[Changes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ingest.on_change = self._tell

    def boards(self) -> list[Board]:
        """Return all boards, by name; the numbers in names count as numbers."""
        return sorted(self.ingest.boards(), key=lambda board: _by_number(board.name))

    def board(self, name: str) -> Board | None:
        """Return a board."""
        return next((board for board in self.ingest.boards() if board.name == name), None)

    def history(self, name: str) -> Mapping[Kind, tuple[tuple[int, int], ...]]:
        """Return the last ten values of each kind with their times in ms, newest last.

        Raises:
            GoneError: there is no such board.
            StoreError: the store is away.
        """
        board = self.board(name)
        if board is None:
            raise GoneError(f"there is no board {name}")
        with self.store.reading() as connection:
            return tables.last_values(connection, self.codifier, board.mac)

    def switch(self, name: str, session: str, on: bool) -> Board:
        """Switch the LED of a board, and return the board when it says that it did.

        Raises:
            GoneError: it is not connected with this session.
            TimeoutError: it has not answered.
        """
        with self.changes() as changes:
            before = self.send(name, session, on)
            until_s = time.monotonic() + self.answer_s
            while (left_s := until_s - time.monotonic()) > 0:
                board = changes.get(left_s)
                if board is None or board.name != name:
                    continue
                if board.session != session or board.forgotten:
                    raise GoneError(f"{name} has left")
                if board.led is on and board.led_ms != before.led_ms:
                    return board
        raise TimeoutError(f"{name} has not answered within {self.answer_s:g} s")

    def send(self, name: str, session: str, on: bool) -> Board:
        """Send a board the command to switch its LED; wait for nothing; return the board before.

        Raises:
            GoneError: it is not connected with this session.
            TimeoutError: there is no connection to the broker.
        """
        board = self.board(name)
        if board is None or board.session != session or not board.connected:
            raise GoneError(f"{name} is not connected" if board else f"there is no board {name}")
        if not self.publish(command(board.own_name, session, on)):
            raise TimeoutError("there is no connection to the broker")
        return board

    def rename(self, name: str, new: str) -> Board:
        """Give a board another name, which it takes itself when it joins the next time.

        Raises:
            GoneError: there is no such board.
            ValueError: no board can have the name, or another one has it; in words.
            StoreError: the store is away.
        """
        try:
            return self.ingest.change(lambda draft: draft.rename(name, new))
        except LookupError as error:
            raise GoneError(*error.args) from None

    def forget(self, name: str) -> None:
        """Forget a board and its values; it is a new one when it joins again.

        Raises:
            GoneError: there is no such board.
            StoreError: the store is away.
        """
        try:
            self.ingest.change(lambda draft: draft.forget(name))
        except LookupError as error:
            raise GoneError(*error.args) from None

    @contextmanager
    def changes(self) -> Iterator[Changes]:
        """Give what changes from now on; what nobody takes grows to one entry for each board."""
        listener = Changes()
        self._listeners.append(listener)
        try:
            yield listener
        finally:
            self._listeners.remove(listener)

    def _tell(self, boards: Sequence[Board]) -> None:
        for listener in list(self._listeners):
            listener.put(boards)
