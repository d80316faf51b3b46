"""From messages of boards to rows of the store: a batch is one transaction.

What boards are and have said lately is in memory, too, as the last transaction left it; so pages
are answered without the store, and a message costs no query. If a transaction fails, it is read
from the store again, since nobody knows whether it was committed.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection

from gateways.esp32 import tables
from gateways.esp32.boards import Board, Boards, Draft, Listening
from gateways.esp32.protocol import (
    ASSIGN,
    LEAVE,
    QOS_ASSIGN,
    STATUS,
    Join,
    Leave,
    Refused,
    Start,
    assignment,
    parse,
)
from gateways.esp32.tables import Reading
from gateways.message import Message
from gateways.recent import first_seen
from gateways.schema import Refusal, note_refusals, put_out
from gateways.store import Store
from jph.errors import StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")

SAVE_S = 1.0  # for what may be lost
SEEN_EVERY_S = 5.0  # the store learns so often when boards were heard; values have their own times


class Ingest:
    """Stores what boards say, and answers those that join.

    Args:
        gateway: under this name the store keeps what it is about.
        send: called with values and their boards, after they are stored.
        wake: called when there is an answer in the outbox.
    """

    def __init__(
        self,
        store: Store,
        gateway: str,
        send: Callable[[Sequence[tuple[Board, Reading]]], object] = lambda values: None,
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        self.on_change: Callable[[Sequence[Board]], object] = lambda boards: None
        self.wake = wake
        self.listening: Callable[[], Listening] = Listening
        self._store = store
        self._gateway = gateway
        self._send = send
        self._turn = threading.Lock()  # of who changes boards
        self._boards: Boards | None = None  # None: to be read from the store
        self._numbers: dict[str, int] = {}  # of boards in the store
        self._shown: Boards = Boards()  # what is in memory, as good as it is
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._unsaved: dict[str, Board] = {}  # whose `seen_ms` is not in the store yet
        self._seen_s = 0.0
        self._failed_ms = 0  # when a transaction failed last

    @property
    def counts(self) -> dict[str, int]:
        """How many messages, values and joins were stored, how many messages refused."""
        with self._lock:
            return dict(self._counts)

    def boards(self) -> list[Board]:
        """Return the boards as the last transaction left them."""
        return list(self._shown)

    def load(self) -> None:
        """Read the boards from the store, if it is there; else the first message does."""
        with suppress(StoreError):
            self.change(lambda draft: None)

    def leave_silent(self, now_ms: int) -> None:
        """End the sessions of boards that were not heard for long.

        Raises:
            StoreError: the store is away, and nothing is changed.
        """
        if self._shown.silent(now_ms, self._heard()):
            self.change(lambda draft: draft.leave_silent(now_ms))

    def forget_unused(self, now_ms: int) -> None:
        """Know boards no more that joined long ago, and never said anything else.

        Raises:
            StoreError: the store is away, and nothing is changed.
        """
        if self._shown.unused(now_ms):
            self.change(lambda draft: draft.forget_unused(now_ms))

    def save(self) -> None:
        """Write when boards were heard last."""
        with suppress(StoreError), self._turn, self._store.writing(SAVE_S) as connection:
            tables.keep_boards(connection, self._gateway, self._unsaved.values())
            self._unsaved = {}

    def commit(self, messages: Sequence[Message]) -> None:
        """Store a batch, oldest first.

        Raises:
            StoreError: the store is away; nothing of the batch is stored.
        """
        refusals: list[Refusal] = []
        readings: list[Reading] = []
        answers: dict[str, bytes] = {}
        counts: Counter[str] = Counter()

        def take(draft: Draft, connection: Connection) -> None:
            new = _new(connection, self._gateway, messages)
            for message in new:
                try:
                    _take(draft, message, readings, answers)
                except Refused as refused:
                    refusals.append(_refusal(message, refused.reason))
                    log.debug("%s %r: %s", message.topic, message.payload, refused.reason)
                else:
                    log.debug("%s %r", message.topic, message.payload)
            false = [_false_leave(at_ms, leave) for at_ms, leave in draft.false_leaves]
            refusals.extend(false)
            for mac, answer in answers.items():
                log.debug("answered: %s %r", ASSIGN, answer)
                key = f"join {mac}"
                put_out(connection, self._gateway, ASSIGN, answer, key=key, qos=QOS_ASSIGN)
            note_refusals(connection, self._gateway, refusals)
            counts.update(
                messages=len(new) + len(false) - len(refusals),  # they were counted before
                refused=len(refusals),
                skipped=len(messages) - len(new),
                values=len(readings),
                joins=len(answers),
            )

        changed = self._change(take, readings)
        with self._lock:
            self._counts.update(counts)
        if answers:
            self.wake()
        if readings:
            boards = {board.mac: board for board in changed}
            self._send([(boards[each.mac], each) for each in readings])

    def change(self, make: Callable[[Draft], T]) -> T:
        """Change a board, and return what `make` returns.

        Raises:
            StoreError: the store is away, and nothing is changed.
        """
        made: list[T] = []
        self._change(lambda draft, connection: made.append(make(draft)), ())
        return made[0]

    def refuse(self, message: Message, error: BaseException) -> None:
        """Note a message that cannot be stored for a reason that no rule names."""
        with self._store.writing() as connection:
            note_refusals(connection, self._gateway, [_refusal(message, "internal")])
        with self._lock:
            self._counts["refused"] += 1

    def _change(
        self, make: Callable[[Draft, Connection], object], readings: Sequence[Reading]
    ) -> list[Board]:
        """Change boards in a transaction; return those that did."""
        with self._turn:
            try:
                with self._store.writing() as connection:
                    boards = self._boards
                    if boards is None:
                        boards = Boards(tables.boards(connection, self._gateway))
                        self._numbers = tables.numbers(connection, self._gateway)
                        self._boards = self._shown = boards
                    draft = boards.draft(self._heard())
                    make(draft, connection)
                    changed = draft.changed
                    self._keep(connection, boards, changed)
                    tables.add_readings(connection, readings, self._numbers)
            except BaseException:
                self._boards = None
                self._failed_ms = time.time_ns() // 1_000_000
                raise
            boards.apply(draft)
        if changed:
            self.on_change(changed)
        return changed

    def _heard(self) -> Listening:
        """Return how boards are heard: not well while the store is away and the broker waits."""
        listening = self.listening()
        return replace(listening, since_ms=max(listening.since_ms, self._failed_ms))

    def _keep(self, connection: Connection, boards: Boards, changed: Sequence[Board]) -> None:
        """Write boards, where more of them changed than when they were heard."""
        unsaved = {board.mac: board for board in changed}
        due = [board for board in changed if _is_due(boards.of_mac(board.mac), board)]
        now_s = time.monotonic()
        if now_s >= self._seen_s + SEEN_EVERY_S:
            self._seen_s = now_s
            due = list((self._unsaved | unsaved).values())
        tables.keep_boards(connection, self._gateway, due)
        self._unsaved |= unsaved
        for board in due:
            self._unsaved.pop(board.mac, None)
        if any(board.forgotten or board.mac not in self._numbers for board in due):
            self._numbers = tables.numbers(connection, self._gateway)


def _new(connection: Connection, gateway: str, messages: Sequence[Message]) -> list[Message]:
    """Return the messages that were not stored before.

    One that comes again from a broker that does not number them is known by its payload. That
    tells enough of joins, not of values, which are equal now and then: better one twice than lost.
    """
    checked = [it for it in messages if it.is_numbered or it.retained or it.topic not in STATUS]
    new = first_seen(connection, gateway, checked)
    if len(new) == len(messages):
        return new
    wanted = set(map(id, new)) | set(map(id, messages)).difference(map(id, checked))
    return [message for message in messages if id(message) in wanted]


def _take(
    draft: Draft, message: Message, readings: list[Reading], answers: dict[str, bytes]
) -> None:
    """Take a message; add what it has us write and answer."""
    heard = parse(message.topic, message.payload, message.retained)
    now_ms = message.received_us // 1000
    match heard:
        case Join():
            board = draft.join(heard, message.received_us)
            answers[heard.mac] = assignment(heard.sent, board.own_name, board.session)
        case Start():
            draft.start(heard, now_ms)
        case Leave():
            draft.leave(heard, now_ms)
        case _:
            board = draft.report(heard, now_ms)
            readings.append(Reading(board.mac, heard.kind, now_ms, heard.value))


def _is_due(before: Board | None, now: Board) -> bool:
    return (
        before is None
        or now.forgotten
        or (now.stage, now.name, now.session) != (before.stage, before.name, before.session)
    )


def _false_leave(at_ms: int, leave: Leave) -> Refusal:
    payload = f"{leave.name};{leave.session}".encode()
    return Refusal(at_ms * 1000, LEAVE, "false leave", payload)


def _refusal(message: Message, reason: str) -> Refusal:
    return Refusal(message.received_us, message.topic, reason, message.payload)
