"""The rules of what sensors of Tenta send over MQTT: messages to rows, or a reason to refuse them.

Three forms are taken at once, told apart by topic and shape; a base topic may stand before each
(`sensortopic/` in many networks of hermes):

    topic of a sensor                payload of present sensors        of earlier ones
    acknowledgments/, heartbeats/    [{revision, timestamp, success}]  {"heartbeats": […]}
    measurements/                    [{revision?, timestamp, value}]   {"measurements": […]}
    logs/, log-messages/             [{severity, revision?, timestamp, {"log_messages": […]}, with
                                       message}]                       subject, details? in each

A message is taken whole or not at all, and keys that no rule names are refused. A rule that Tenta
lacks: an infinite number is no value, since no page of JSON could show it.

Strategy: this is what each message passes on its way into the store, so that pydantic reads and
checks the bytes in one pass of compiled code; the reason is looked for only when it refuses them.

Source: https://github.com/iterize/tenta, server/app/validation; https://github.com/tum-esm/hermes
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypeVar
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from typing_extensions import TypedDict

MOST_BYTES = 1 << 20  # of a payload: some 10,000 measurements
MOST_MESSAGE = 16_384  # characters; what is beyond is cut off
MOST_SUBJECT = 256
MOST_TOPICS = 4096  # remembered

Kind = Literal["acknowledgments", "measurements", "logs"]
KINDS: Mapping[str, Kind] = {
    "acknowledgments": "acknowledgments",
    "heartbeats": "acknowledgments",
    "measurements": "measurements",
    "logs": "logs",
    "log-messages": "logs",
}


class Refused(Exception):
    """A message that breaks a rule.

    Args:
        reason: a short constant, by which refusals are counted.
        where: in the payload or topic, as `[0].value.temperature`.
    """

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(f"{reason}: {where}" if where else reason)
        self.reason = reason
        self.where = where


class Acknowledgment(NamedTuple):
    """What a sensor made of a revision of its configuration."""

    revision: int
    time_us: int
    success: bool


class Measurement(NamedTuple):
    """Data points of one time: attribute to value, each finite."""

    revision: int | None
    time_us: int
    values: Mapping[str, float]


class Log(NamedTuple):
    """One line of a log; subject and details where the sensor sent these in place of a message."""

    severity: str
    revision: int | None
    time_us: int
    message: str
    subject: str | None
    details: str | None


class Parsed(NamedTuple):
    """The rows of a message; those of the two other kinds are empty."""

    sensor: UUID
    measurements: list[Measurement] | tuple[()] = ()
    logs: list[Log] | tuple[()] = ()
    acknowledgments: list[Acknowledgment] | tuple[()] = ()


_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_Revision = Annotated[int, Field(ge=0, lt=2**31)]  # INTEGER of PostgreSQL
_Timestamp = Annotated[float, Field(ge=0, lt=2**31)]  # seconds since 1970
_Key = Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9](_?[a-z0-9])*$")]


class _Acknowledgment(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    revision: _Revision
    timestamp: _Timestamp
    success: bool


class _Measurement(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    revision: NotRequired[_Revision | None]
    timestamp: _Timestamp
    value: Annotated[dict[_Key, float], Field(min_length=1)]


class _Log(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    severity: Literal["info", "warning", "error"]
    revision: NotRequired[_Revision | None]
    timestamp: _Timestamp
    message: NotRequired[str]
    subject: NotRequired[str]
    details: NotRequired[str | None]


_Item = TypeVar("_Item")


class _Rules(Generic[_Item]):
    """The rules of one kind of message: a list, or an object around it with one of some keys."""

    def __init__(self, item: Any, *wrappers: str) -> None:
        entries = Annotated[list[item], Field(min_length=1)]
        self.bare: TypeAdapter[list[_Item]] = TypeAdapter(entries)
        self.wrapped: dict[str, TypeAdapter[dict[str, list[_Item]]]] = {
            name: TypeAdapter(_wrapped_in(name, entries)) for name in wrappers
        }

    def read(self, payload: bytes) -> list[_Item]:
        """Return the entries of a payload.

        Raises:
            Refused: it breaks a rule.
        """
        if payload.lstrip()[:1] != b"{":
            try:
                return self.bare.validate_json(payload)
            except ValidationError as error:
                raise _refused(error, payload) from None
        refusal = Refused("unknown key")
        for name, adapter in self.wrapped.items():
            try:
                return adapter.validate_json(payload)[name]
            except ValidationError as error:
                refusal = _refused(error, payload)
                if refusal.where.startswith(f"{name}["):
                    break  # it is this wrapper, and an entry is wrong
        raise refusal


def _wrapped_in(name: str, entries: Any) -> Any:
    wrapper = TypedDict("wrapper", {name: entries})  # type: ignore[misc]
    wrapper.__pydantic_config__ = _STRICT  # type: ignore[attr-defined]
    return wrapper


_ACKNOWLEDGMENTS: _Rules[_Acknowledgment] = _Rules(_Acknowledgment, "heartbeats")
_MEASUREMENTS: _Rules[_Measurement] = _Rules(_Measurement, "measurements")
_LOGS: _Rules[_Log] = _Rules(_Log, "logs", "log_messages")


def subscriptions(base_topic: str = "") -> list[str]:
    """Return the topic filters of all that sensors send."""
    return [f"{base_topic}{name}/+" for name in KINDS]


def parse(topic: str, payload: bytes, base_topic: str = "") -> Parsed:
    """Return what a message says.

    Raises:
        Refused: it breaks a rule; no other error, whatever the bytes.
    """
    kind, sensor = kind_and_sensor(topic, base_topic)
    if len(payload) > MOST_BYTES:
        raise Refused("too long")
    if kind == "measurements":
        return Parsed(
            sensor,
            measurements=[
                Measurement(
                    entry.get("revision"), _microseconds(entry["timestamp"]), entry["value"]
                )
                for entry in _MEASUREMENTS.read(payload)
            ],
        )
    if kind == "logs":
        entries = enumerate(_LOGS.read(payload))
        return Parsed(sensor, logs=[_log(number, entry) for number, entry in entries])
    return Parsed(
        sensor,
        acknowledgments=[
            Acknowledgment(entry["revision"], _microseconds(entry["timestamp"]), entry["success"])
            for entry in _ACKNOWLEDGMENTS.read(payload)
        ],
    )


@lru_cache(MOST_TOPICS)
def kind_and_sensor(topic: str, base_topic: str = "") -> tuple[Kind, UUID]:
    """Return what a topic carries, and whose.

    Raises:
        Refused: the topic is none of a sensor.
    """
    name, slash, identifier = topic.removeprefix(base_topic).partition("/")
    kind = KINDS.get(name)
    if not (topic.startswith(base_topic) and slash and kind):
        raise Refused("unknown topic", topic[:MOST_SUBJECT])
    try:
        sensor = UUID(identifier)
    except ValueError:
        sensor = None
    if sensor is None or str(sensor) != identifier.lower():
        raise Refused("invalid identifier", identifier[:MOST_SUBJECT])
    return kind, sensor


def _microseconds(timestamp_s: float) -> int:
    return round(timestamp_s * 1e6)


def _log(number: int, entry: _Log) -> Log:
    message, subject, details = entry.get("message"), entry.get("subject"), entry.get("details")
    if message is None and subject is None:
        raise Refused("missing key", f"[{number}].message")
    if message is not None and (subject is not None or "details" in entry):
        raise Refused("unknown key", f"[{number}].{'details' if subject is None else 'subject'}")
    if subject is not None:
        subject = subject[:MOST_SUBJECT]
        details = None if details is None else details[:MOST_MESSAGE]
        message = f"{subject}; {details}" if details else subject
    return Log(
        entry["severity"],
        entry.get("revision"),
        _microseconds(entry["timestamp"]),
        (message or "")[:MOST_MESSAGE],
        subject,
        details,
    )


# What pydantic says, to a reason; by the key in question where there is none.
_REASONS: Mapping[str, str] = {
    "missing": "missing key",
    "extra_forbidden": "unknown key",
    "list_type": "not a list",
    "dict_type": "not an object",
    "too_short": "nothing in it",
}
_KEY_TYPES = ("string_pattern_mismatch", "string_too_long")


def _refused(error: ValidationError, payload: bytes) -> Refused:
    """Return why pydantic refuses a payload: the first reason, and where it is."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    kind, place = first["type"], first["loc"]
    if kind == "json_invalid":
        return _not_json(payload, first["msg"])
    if place and place[-1] == "[key]":
        return Refused("invalid attribute", _where(place[:-1]))
    if kind in _REASONS:
        return Refused(_REASONS[kind], _where(place))
    key = "value" if "value" in place else str(place[-1]) if place else ""
    return Refused("not an object" if key.isdecimal() else f"invalid {key}", _where(place))


def _not_json(payload: bytes, message: str) -> Refused:
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        return Refused("not UTF-8", f"byte {error.start}")
    if not payload.strip():
        return Refused("empty")
    return Refused("too deep" if "recursion" in message else "not JSON", message[:MOST_SUBJECT])


def _where(place: tuple[int | str, ...]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return "".join(parts).removeprefix(".")[:MOST_SUBJECT]
