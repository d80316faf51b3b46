"""Alerts on the bus: objects on the data channel, and commands in the number of an A.

The Alerts component sends, as its own value, the number of alerts that fire and nobody has looked
at, in an object {"value": number}; beside it one of these where there is news:

    "alert"        one alert that changed, see `Told`
    "said"         begins or ends: people are told so of this alert now
    "maintenance"  {"of": codifier, host, area or all, "name", "until"}: ms since 1970; 0: it ended
    "tested"       {"contact", "ok", "text"}: what became of a test message
    "fault"        why messages cannot be delivered

The state of a rule with a Codifier is {"value": 0, 1 or 2 (well; pending or looked at; firing),
"rule", "subjects", "since", "text"}.

A to the Codifier of a rule acknowledges its alerts with 0, and snoozes them with so many seconds. A
to the component itself can say more: its number has a verb, an argument, and seconds, in 4, 28 and
21 bits. A double carries all of them exactly, and the wire format stays as it is.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any
from zlib import crc32

MOST_BYTES = 1400  # of an object as JSON; a datagram holds 1440
_ARGUMENT, _SECONDS = 28, 21
LONGEST_S = (1 << _SECONDS) - 1  # 24 days


class Verb(IntEnum):
    """What a command does, and its argument."""

    TELL = 0  # tell all alerts again; 0
    ATTEND = 1  # acknowledge an alert, or snooze it for the seconds; its number, 0: all that fire
    REOPEN = 2  # make it fire again; its number, 0: all
    MAINTAIN_CODIFIER = 3  # maintenance for the seconds, 0: it ends; the two bytes of a Codifier
    MAINTAIN_HOST = 4  # `digest` of a name
    MAINTAIN_AREA = 5
    MAINTAIN_ALL = 6  # 0
    TEST = 7  # send a test message; the place of the contact in the list, from 1 on


MAINTAINED: Mapping[str, Verb] = {
    "codifier": Verb.MAINTAIN_CODIFIER,
    "host": Verb.MAINTAIN_HOST,
    "area": Verb.MAINTAIN_AREA,
    "all": Verb.MAINTAIN_ALL,
}


@dataclass(frozen=True, slots=True)
class Order:
    """A command to the Alerts component."""

    verb: Verb
    argument: int = 0
    seconds: int = 0

    def number(self) -> float:
        """Return the number that carries it.

        Raises:
            ValueError: the argument or the seconds have no room.
        """
        if not (0 <= self.argument < 1 << _ARGUMENT and 0 <= self.seconds <= LONGEST_S):
            raise ValueError(f"no room for {self}")
        return float((self.verb << _ARGUMENT | self.argument) << _SECONDS | self.seconds)

    @classmethod
    def of(cls, number: float) -> "Order | None":
        """Return the command in a number, None if there is none."""
        if not 0 <= number < 1 << (4 + _ARGUMENT + _SECONDS) or number != int(number):
            return None
        whole = int(number)
        verb = whole >> (_ARGUMENT + _SECONDS)
        if verb > max(Verb):
            return None
        argument = whole >> _SECONDS & ((1 << _ARGUMENT) - 1)
        return cls(Verb(verb), argument, whole & LONGEST_S)


def argument_of(kind: str, name: str) -> int:
    """Return the argument of a command that names a component, a host or an area."""
    if kind == "all":
        return 0
    if kind == "codifier":
        return int.from_bytes(name.encode("ascii"), "big")
    return crc32(name.encode()) & ((1 << _ARGUMENT) - 1)


@dataclass(frozen=True, slots=True)
class Told:
    """One alert as it is told.

    Args:
        id: its number, which no later alert has.
        state: pending, firing, acknowledged, snoozed, maintained, or ended.
        since: when the condition began to hold, ms since 1970.
        at: when it came into this state.
        until: when a snooze ends; for ended ones 0.
        number: that it was judged by, None where it was none.
    """

    id: int
    rule: str
    subject: str
    state: str
    severity: str
    since: int
    at: int
    until: int = 0
    text: str = ""
    number: float | None = None

    @classmethod
    def of(cls, content: object) -> "Told | None":
        """Return the alert in an object that somebody sent, None if there is none."""
        if not isinstance(content, Mapping):
            return None
        kinds: dict[str, Any] = {
            **dict.fromkeys(("id", "since", "at", "until"), int),
            **dict.fromkeys(("rule", "subject", "state", "severity", "text"), str),
            "number": (int, float, type(None)),
        }
        found = {name: content.get(name) for name in kinds}
        is_right = all(
            isinstance(found[name], kind) and not isinstance(found[name], bool)
            for name, kind in kinds.items()
        )
        return cls(**found) if is_right else None  # type: ignore[arg-type]


def fitting(
    content: dict[str, object], **parts: Told | Mapping[str, object] | str
) -> dict[str, object]:
    """Return an object with these parts whose longest texts are cut until a datagram holds it."""
    made = {
        **content,
        **{name: asdict(it) if isinstance(it, Told) else _copy(it) for name, it in parts.items()},
    }
    while _size(made) > MOST_BYTES:
        place, key = max(_texts(made), key=lambda at: len(str(at[0][at[1]])))
        text = str(place[key])
        place[key] = text[: len(text) * 2 // 3] + "…"
    return made


def _copy(part: Mapping[str, object] | str) -> dict[str, object] | str:
    return part if isinstance(part, str) else dict(part)


def _texts(content: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    found = []
    for key, value in content.items():
        if isinstance(value, dict):
            found += _texts(value)
        elif isinstance(value, str):
            found.append((content, key))
        elif isinstance(value, list):  # of Codifiers: fewer of them
            while len(value) > 20:
                value.pop()
    return found


def _size(content: dict[str, Any]) -> int:
    return len(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())
