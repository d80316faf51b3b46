"""The boards that there are, and what each message makes of them. Pure.

    stage     came to it by                       is shown as
    assigned  MAC on state/join, answered         not connected
    used      a value without name;session        not connected
    started   name;session on state/join          connected
    left      name;session on state/leave, or     not connected
              silence of a minute

A board repeats its MAC address until an answer comes, and keeps the first one. So it gets the same
session until it has used it; another one would make the session that it keeps an older one. Then a
MAC address begins a new session, and what comes with the older one is refused: so it is also with
two boards that have one MAC address, of which the last one to join goes on.

A leave ends nothing that goes on: a value that comes a second later shows the board as connected
again. So a leave in another board's name has no lasting effect.
"""

from collections import ChainMap
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass, replace
from typing import Literal

from gateways.esp32.protocol import (
    Join,
    Leave,
    Refused,
    Report,
    Start,
    reason_against,
    session_of,
    time_of,
)

Stage = Literal["assigned", "used", "started", "left"]

MOST_LIGHT = 10  # values that are shown
OVERTAKEN_MS = 1000  # messages of before a leave may come so much after it


@dataclass(frozen=True, slots=True)
class Board:
    """A board; times are ms since 1970.

    Args:
        name: what people call it; the board itself takes it with its next session.
        own_name: what it calls itself in this session.
        session: the last one that it was given.
        since_ms: since when it is connected, or is not.
        joined_ms: when its session began.
        seen_ms: when it was heard last.
        led, button: on and pressed; None: not known.
        led_ms, button_ms: when it told so.
        light: the last ten values of its photoresistor in percent, with their times, oldest first.
        forgotten: it is no board of ours any more.
    """

    mac: str
    name: str
    own_name: str
    session: str
    stage: Stage
    since_ms: int
    joined_ms: int
    seen_ms: int
    led: bool | None = None
    button: bool | None = None
    light: tuple[tuple[int, int], ...] = ()
    led_ms: int | None = None
    button_ms: int | None = None
    forgotten: bool = False

    @property
    def connected(self) -> bool:
        """Whether its session goes on."""
        return self.stage == "started"


class Boards:
    """All boards, found by MAC address, session and name."""

    def __init__(self, boards: Iterable[Board] = ()) -> None:
        self._boards: MutableMapping[str, Board | None] = {}
        self._macs: MutableMapping[str, str] = {}  # by session, and by name
        self._newest_us = 0  # when the newest session began
        for board in boards:
            self._put(board)

    def __iter__(self) -> Iterator[Board]:
        return (board for board in list(self._boards.values()) if board is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def of_mac(self, mac: str) -> Board | None:
        """Return a board by its MAC address."""
        return self._boards.get(mac)

    def of_session(self, session: str) -> Board | None:
        """Return the board whose session it is now."""
        board = self._boards.get(self._macs.get(session, ""))
        return board if board is not None and board.session == session else None

    def named(self, name: str) -> Board | None:
        """Return the board that has a name, or calls itself so."""
        board = self._boards.get(self._macs.get(name, ""))
        return board if board is not None and name in (board.name, board.own_name) else None

    def draft(self) -> "Draft":
        """Return changes that may be applied later."""
        return Draft(self)

    def apply(self, draft: "Draft") -> None:
        """Take the changes of a draft of ours."""
        for board in draft.changed:
            before = self._boards.get(board.mac)
            if before is not None:
                for key in {before.session, before.name, before.own_name}:
                    if self._macs.get(key) == board.mac:
                        del self._macs[key]
            if board.forgotten:
                self._boards.pop(board.mac, None)
            else:
                self._put(board)

    def _put(self, board: Board) -> None:
        self._boards[board.mac] = board
        for key in (board.session, board.name, board.own_name):
            self._macs[key] = board.mac
        self._newest_us = max(self._newest_us, time_of(board.session))


class Draft(Boards):
    """What the messages of a transaction make of boards, until it is committed."""

    def __init__(self, boards: Boards) -> None:
        super().__init__()
        self._changed: dict[str, Board | None] = {}
        self._boards = ChainMap(self._changed, boards._boards)
        self._macs = ChainMap({}, boards._macs)
        self._newest_us = boards._newest_us
        self._count = len(boards._boards)

    @property
    def changed(self) -> list[Board]:
        """The boards that are not as they were; those that are forgotten, too."""
        return [board for board in self._changed.values() if board is not None]

    def join(self, message: Join, now_us: int) -> Board:
        """Give a board a session, or the one that waits for it."""
        now_ms = now_us // 1000
        board = self.of_mac(message.mac)
        if board is not None and not board.forgotten and board.stage == "assigned":
            return self._changed_to(replace(board, seen_ms=now_ms))
        session = session_of(max(now_us, self._newest_us + 1))
        if board is None or board.forgotten:
            name = self._free_name()
            self._count += 1
            made = Board(message.mac, name, name, session, "assigned", now_ms, now_ms, now_ms)
        else:
            since_ms = now_ms if board.connected else board.since_ms
            made = replace(
                board,
                own_name=board.name,
                session=session,
                stage="assigned",
                since_ms=since_ms,
                seen_ms=now_ms,
            )
        return self._changed_to(made)

    def start(self, message: Start, now_ms: int) -> Board:
        """Begin a session.

        Raises:
            Refused: it is not the board's last one.
        """
        board = self._speaking(message)
        since_ms = board.since_ms if board.connected else now_ms
        return self._changed_to(
            replace(board, stage="started", since_ms=since_ms, joined_ms=now_ms, seen_ms=now_ms)
        )

    def leave(self, message: Leave, now_ms: int) -> Board:
        """End a session.

        Raises:
            Refused: it is not the board's last one.
        """
        board = self._speaking(message)
        since_ms = now_ms if board.connected else board.since_ms
        return self._changed_to(replace(board, stage="left", since_ms=since_ms))

    def leave_silent(self, before_ms: int, now_ms: int) -> None:
        """End the sessions of boards that were not heard since a time."""
        for board in self:
            if board.connected and board.seen_ms < before_ms:
                self._changed_to(replace(board, stage="left", since_ms=now_ms))

    def report(self, message: Report, now_ms: int) -> Board:
        """Take a value.

        Raises:
            Refused: it is not of the board's last session.
        """
        board = self._speaking(message)
        stage, since_ms = board.stage, board.since_ms
        if stage == "assigned":
            stage = "used"
        elif stage == "left" and now_ms - since_ms >= OVERTAKEN_MS:
            stage, since_ms = "started", now_ms
        led, button, light = board.led, board.button, board.light
        led_ms, button_ms = board.led_ms, board.button_ms
        match message.kind:
            case "led":
                led, led_ms = bool(message.value), now_ms
            case "button":
                button, button_ms = bool(message.value), now_ms
            case "photoresistor":
                light = (*light, (now_ms, message.value))[-MOST_LIGHT:]
        return self._changed_to(
            Board(
                board.mac,
                board.name,
                board.own_name,
                board.session,
                stage,
                since_ms,
                board.joined_ms,
                now_ms,
                led,
                button,
                light,
                led_ms,
                button_ms,
            )
        )

    def rename(self, name: str, new: str) -> Board:
        """Give a board another name.

        Raises:
            LookupError: there is no such board.
            ValueError: no board can have the name, or another one has it.
        """
        board = self._shown(name)
        if reason := reason_against(new):
            raise ValueError(f"the name {reason}")
        other = self.named(new)
        if other is not None and other.mac != board.mac:
            raise ValueError(f"another board is called {new}")
        return self._changed_to(replace(board, name=new))

    def forget(self, name: str) -> Board:
        """Know a board no more.

        Raises:
            LookupError: there is no such board.
        """
        board = replace(self._shown(name), forgotten=True)
        self._changed[board.mac] = board
        return board

    def _shown(self, name: str) -> Board:
        for board in self:
            if board.name == name:
                return board
        raise LookupError(f"there is no board {name}")

    def _speaking(self, message: Start | Leave | Report) -> Board:
        board = self.of_session(message.session)
        if board is not None and message.name in (board.own_name, board.name):
            return board
        raise Refused("older session" if self.named(message.name) else "unknown board")

    def _free_name(self) -> str:
        number = self._count + 1
        while self.named(name := f"capteur{number:02d}"):
            number += 1
        return name

    def _changed_to(self, board: Board) -> Board:
        self._put(board)
        return board
