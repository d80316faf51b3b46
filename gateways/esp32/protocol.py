"""What ESP32 boards and their server say to each other: seven topics, one line of text each. Pure.

    state/join            MAC                   a board asks for a session
    state/nameAssign      MAC;name;session      our answer
    state/join            name;session          the board begins it, on a new connection with a will
    state/leave           name;session          the board leaves, or the broker says so by the will
    led/status            name;session;1|0
    button/status         name;session;1|0
    photoresistor/status  name;session;0..100   percent
    led/command           name;session;1|0      from us

On paper `state/…` has QoS 2, `led/…` 1 and the others 0; boards publish with 0 or 1. Whatever they
use is taken.
"""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["led", "button", "photoresistor"]

JOIN, LEAVE, ASSIGN = "state/join", "state/leave", "state/nameAssign"
COMMAND = "led/command"
STATUS: dict[str, Kind] = {
    "led/status": "led",
    "button/status": "button",
    "photoresistor/status": "photoresistor",
}
FROM_BOARDS = (JOIN, LEAVE, *STATUS)
FROM_US = (ASSIGN, COMMAND)
QOS_ASSIGN, QOS_COMMAND = 2, 1

MOST_BYTES = 200  # of a message
NAME_BYTES = 29  # boards have 30, with the zero at its end

_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", re.ASCII)
_SESSION = re.compile(r"[0-9]{1,10}\.[0-9]{6}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,3}", re.ASCII)


class Refused(Exception):
    """A message that breaks a rule.

    Args:
        reason: a short constant, by which messages are counted.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Join:
    """A board that asks for a session; `sent` is its MAC address as it wrote it."""

    sent: str

    @property
    def mac(self) -> str:
        """The address as we write it."""
        return self.sent.upper()


@dataclass(frozen=True, slots=True)
class Start:
    """A board that begins its session."""

    name: str
    session: str


@dataclass(frozen=True, slots=True)
class Leave:
    """The end of a session."""

    name: str
    session: str


@dataclass(frozen=True, slots=True)
class Report:
    """A value of a board: 0 or 1, or percent of light."""

    kind: Kind
    name: str
    session: str
    value: int


def parse(topic: str, payload: bytes, retained: bool = False) -> Join | Start | Leave | Report:
    """Return what a board said.

    Raises:
        Refused: it breaks a rule.
    """
    if retained:
        raise Refused("retained")  # a session lives now, or not at all
    if len(payload) > MOST_BYTES:
        raise Refused("too long")
    if not payload:
        raise Refused("empty")
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise Refused("not UTF-8") from None
    parts = text.split(";")
    if topic == JOIN and len(parts) == 1:
        if not is_mac(text):
            raise Refused("invalid MAC address")
        return Join(text)
    expected = 3 if topic in STATUS else 2
    if len(parts) != expected:
        raise Refused("wrong number of parts")
    name, session = parts[:2]
    if reason_against(name):
        raise Refused("invalid name")
    if not _SESSION.fullmatch(session):
        raise Refused("invalid session")
    if topic == JOIN:
        return Start(name, session)
    if topic == LEAVE:
        return Leave(name, session)
    if topic not in STATUS:
        raise Refused("unknown topic")
    kind = STATUS[topic]
    most = 100 if kind == "photoresistor" else 1
    if not _NUMBER.fullmatch(parts[2]) or (most == 1 and len(parts[2]) > 1):
        raise Refused("invalid value")
    value = int(parts[2])
    if value > most:
        raise Refused("value out of range")
    return Report(kind, name, session, value)


def is_mac(text: str) -> bool:
    """Tell whether a text is a MAC address as boards write it."""
    return _MAC.fullmatch(text) is not None


def reason_against(name: str) -> str:
    """Return why a board cannot have a name, in words that follow it; empty if it can."""
    if not name.strip():
        return "is empty"
    if name != name.strip():
        return "begins or ends with a space"
    if len(name.encode("utf-8", "replace")) > NAME_BYTES:
        return f"has more than {NAME_BYTES} bytes"
    if ";" in name or "/" in name:
        return "has a ; or a /"
    if not name.isprintable():
        return "has a character that cannot be shown"
    if is_mac(name):
        return "is a MAC address"
    return ""


def assignment(sent_mac: str, name: str, session: str) -> bytes:
    """Return the answer to a board that asks for a session."""
    return f"{sent_mac};{name};{session}".encode()


def command(name: str, session: str, on: bool) -> bytes:
    """Return the command that switches an LED."""
    return f"{name};{session};{int(on)}".encode()


def session_of(time_us: int) -> str:
    """Return the session that begins at a time, in at most 17 characters."""
    seconds, micros = divmod(time_us, 1_000_000)
    return f"{seconds}.{micros:06d}"


def time_of(session: str) -> int:
    """Return when a session began, in microseconds."""
    seconds, _, micros = session.partition(".")
    return int(seconds) * 1_000_000 + int(micros)
