"""The boards that there are, and what each message makes of them. Pure.

    stage     came to it by                       is shown as
    assigned  MAC on state/join, answered         not connected
    used      a value without name;session        not connected
    started   name;session on state/join          connected
    leaving   name;session on state/leave, in     connected, since others may have said so
              doubt
    left      name;session on state/leave, or     not connected
              silence of a minute

A board repeats its MAC address until an answer comes, and keeps the first one. So it gets the same
session until it has used it; another one would make the session that it keeps an older one. Then a
MAC address begins a new session, and what comes with the older one is refused: so it is also with
two boards that have one MAC address, of which the last one to join goes on.

A leave ends nothing that goes on: a value that comes a second later shows the board as connected
again.

Where boards have accounts, one of them must not end the session of another; but MQTT does not tell
who published a message. So a session that was heard within ten seconds goes on, whatever is said: a
MAC address begins no new one, name;session begins it not anew, and a leave counts when the ten
seconds are over. A board that has restarted repeats its MAC address, and is answered then.
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

Stage = Literal["assigned", "used", "started", "leaving", "left"]

MOST_LIGHT = 10  # values that are shown
OVERTAKEN_MS = 1000  # messages of before a leave may come so much after it
# Boards report every 2 s, and a broker closes the connection of one that is silent for one and a
# half of its keep-alive, which is less than 6 s: MQTT 3.1.1, section 3.1.2.10.
QUIET_MS = 10_000
SILENT_MS = 60_000  # after which a board has left though nobody said so
MOST_BOARDS = 5000
UNUSED_MS = 3_600_000  # after which a board that only joined is forgotten


@dataclass(frozen=True, slots=True)
class Listening:
    """How boards are heard.

    Args:
        since_ms: since when everything is read as it comes; their silence of before tells nothing.
        accounts: each board has one, and is not to end the session of another.
    """

    since_ms: int = 0
    accounts: bool = False


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
        left_ms: when somebody said that it leaves, which is in doubt; None: not in this process.
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
    left_ms: int | None = None

    @property
    def connected(self) -> bool:
        """Whether its session goes on."""
        return self.stage in ("started", "leaving")

    @property
    def is_unused(self) -> bool:
        """Whether it has joined, and that is all: no value, and no name that somebody chose."""
        has_values = self.light or (self.led_ms, self.button_ms) != (None, None)
        return self.stage == "assigned" and self.name == self.own_name and not has_values

    def is_heard(self, now_ms: int, within_ms: int, listening: Listening) -> bool:
        """Tell whether it was heard lately, or might have been if everything had been read."""
        seen_ms = self.seen_ms if self.seen_ms <= now_ms else 0  # the clock was put back
        return now_ms - max(seen_ms, listening.since_ms) < within_ms


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

    def silent(self, now_ms: int, listening: Listening) -> list[Board]:
        """Return the connected boards that were not heard for so long that they have left."""
        return [
            board
            for board in self
            if board.connected
            and not board.is_heard(
                now_ms, QUIET_MS if board.stage == "leaving" else SILENT_MS, listening
            )
        ]

    def unused(self, now_ms: int) -> list[Board]:
        """Return the boards that joined long ago, and never said anything else."""
        return [board for board in self if board.is_unused and board.seen_ms < now_ms - UNUSED_MS]

    def draft(self, listening: Listening = Listening()) -> "Draft":
        """Return changes that may be applied later."""
        return Draft(self, listening)

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
    """What the messages of a transaction make of boards, until it is committed.

    Attributes:
        false_leaves: those that are known as such now, each with when it came.
    """

    def __init__(self, boards: Boards, listening: Listening) -> None:
        super().__init__()
        self.false_leaves: list[tuple[int, Leave]] = []
        self._listening = listening
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
        """Give a board a session, or the one that waits for it.

        Raises:
            Refused: the one that it has goes on, or there are too many boards.
        """
        now_ms = now_us // 1000
        board = self.of_mac(message.mac)
        if board is not None and not board.forgotten:
            if board.stage == "assigned":
                return self._changed_to(replace(board, seen_ms=now_ms))
            if self._goes_on(board, now_ms):
                raise Refused("session goes on")
        session = session_of(max(now_us, self._newest_us + 1))
        if board is None or board.forgotten:
            if self._count >= MOST_BOARDS:
                raise Refused("too many boards")
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
            Refused: it is not the board's last one, or goes on already.
        """
        board = self._speaking(message)
        if board.connected and self._goes_on(board, now_ms):
            raise Refused("session goes on")
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
        if self._goes_on(board, now_ms):
            if board.stage == "used":
                raise Refused("false leave")
            if board.stage == "leaving":
                return board
            return self._changed_to(replace(board, stage="leaving", left_ms=now_ms))
        since_ms = now_ms if board.connected else board.since_ms
        return self._changed_to(replace(board, stage="left", since_ms=since_ms))

    def leave_silent(self, now_ms: int) -> None:
        """End the sessions of boards that were not heard for long."""
        for board in self.silent(now_ms, self._listening):
            self._changed_to(replace(board, stage="left", since_ms=now_ms))

    def report(self, message: Report, now_ms: int) -> Board:
        """Take a value.

        Raises:
            Refused: it is not of the board's last session.
        """
        board = self._speaking(message)
        stage, since_ms, left_ms = board.stage, board.since_ms, board.left_ms
        if stage == "leaving" and now_ms - (left_ms or 0) >= OVERTAKEN_MS:
            leave = Leave(board.own_name, board.session)
            self.false_leaves.append((left_ms or now_ms, leave))
            stage = "started"
        elif stage == "assigned":
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
                left_ms=left_ms,
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

    def forget_unused(self, now_ms: int) -> None:
        """Know boards no more that joined long ago, and never said anything else."""
        for board in self.unused(now_ms):
            self._changed[board.mac] = replace(board, forgotten=True)

    def _shown(self, name: str) -> Board:
        for board in self:
            if board.name == name:
                return board
        raise LookupError(f"there is no board {name}")

    def _goes_on(self, board: Board, now_ms: int) -> bool:
        """Tell whether nobody may end a board's session, as it has an account and was heard."""
        return (
            self._listening.accounts
            and board.stage not in ("assigned", "left")
            and board.is_heard(now_ms, QUIET_MS, self._listening)
        )

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
