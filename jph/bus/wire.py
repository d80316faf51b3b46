"""The messages of the bus as bytes, and back; pure, no socket.

Both channels carry one header, little-endian, 28 bytes:

    offset  size  field        meaning
    0       4     sequence     of one source on one channel, wraps to 0 after 2**31 - 1
    4       4                  zero; ignored on receipt
    8       8     timestamp    ms since 1970-01-01 UTC
    16      1     flag         ASCII, the kind of message
    17      2     source       Codifier
    19      2     destination  Codifier, or @@ for all
    21      3                  zero; ignored on receipt
    24      4     length       bytes of payload
    28      …     payload

Strategy: `encode_*` refuse with ValueError or TypeError what the bus must not carry; `decode_*`
turn any bytes into a message or raise DatagramError, and nothing else.

Source: docs/wire-format.md.
"""

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jph.errors import DatagramError

HEADER_SIZE = 28
MAX_SIZE = 1472  # bytes: 1500 (Ethernet MTU) - 20 (IPv4) - 8 (UDP); older nodes read no more
MAX_TEXT = MAX_SIZE - HEADER_SIZE - 4  # bytes of UTF-8 behind the count of an s or j message
BROADCAST = "@@"
CONTROL_FLAGS = "NIPTSHCAE"
DATA_FLAGS = "fisjn"
SEQUENCE_MASK = 0x7FFF_FFFF  # a sequence wraps to 0 after this number
TIMESTAMP_LIMIT = 1 << 48  # ms, the year 10889; beyond, dates and stores overflow

Value = float | int | str | dict[str, object]
Address = tuple[str, int]  # IPv4 address and port that a datagram came from

# One reading as collectors get it: source, timestamp_ms, sequence, value, flag, payload length,
# sender. A plain tuple, because a named one costs four times as much to make.
Reading = tuple[str, int, int, Value, str, int, Address]

HEADER = struct.Struct("<I4xQ1s2s2s3xI")
CONTROL = struct.Struct("<I4xQ1s2s2s3xId?")
_COUNT = struct.Struct("<I")
_F4 = struct.Struct("<f")

# The layout by place, for code that is too hot to encode and decode whole messages: `send_data` of
# Channel, `release` of Sender, and DataReceiver. No other code looks into a datagram.
SEQUENCE_AT, TIMESTAMP_AT, FLAG_AT, SOURCE_AT, DESTINATION_AT, LENGTH_AT = 0, 8, 16, 17, 19, 24
SEQUENCE = struct.Struct("<I")
TIMESTAMP = struct.Struct("<Q")
FLOAT = struct.Struct("<I4xQ1s2s2s3xIf")  # a whole f message
UINT32 = struct.Struct("<I4xQ1s2s2s3xII")  # a whole i or n message
CHECKED_FLOAT = struct.Struct("<I4xQx2s9xf")  # of an f whose other fields were checked in place

_READING_BYTES = 250  # of memory: the tuple, its integers, and a value
_JSON_TIMES = 16

CODIFIER_BYTES = frozenset(range(0x21, 0x7F))


@dataclass(frozen=True, slots=True)
class Control:
    """A message of the control channel.

    Args:
        flag: one of N, I, P, T, S, H, C, A, E.
        destination: Codifier it is meant for, or @@.
        number: the time component (N, I: when the configuration was loaded, ms; P: the sender's
            clock, T: the number of the P; A: the value, E: the step).
        is_active: whether the sender's data callbacks run.
    """

    sequence: int
    timestamp_ms: int
    flag: str
    source: str
    destination: str
    number: float
    is_active: bool


@dataclass(frozen=True, slots=True)
class Data:
    """A message of the data channel; its destination is always all.

    Args:
        flag: f, i, s, j, or n (the sequence starts here; the value repeats it).
        value: a number for f, i and n, text for s, an object with the key "value" for j.
    """

    sequence: int
    timestamp_ms: int
    flag: str
    source: str
    value: Value


def memory_of(readings: Sequence[Reading]) -> int:
    """Return about how many bytes of memory readings take.

    A JSON object takes many times its text: each small number, text or list in it is an object.
    """
    payload = sum([reading[5] for reading in readings])
    if payload <= 8 * len(readings):  # hardly anything but numbers: the usual case
        return _READING_BYTES * len(readings)
    return sum(
        _READING_BYTES + reading[5] * (_JSON_TIMES if reading[4] == "j" else 1)
        for reading in readings
    )


def is_codifier(text: str) -> bool:
    """Tell whether a text can name a component: two printable ASCII characters, not @@."""
    return (
        len(text) == 2 and text != BROADCAST and all("\x21" <= letter <= "\x7e" for letter in text)
    )


def number_of(value: object) -> float | None:
    """Return the finite number in a value, booleans as 0 and 1, or None where there is none."""
    if isinstance(value, dict):
        value = value.get("value")
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer beyond 1.8e308
        return None
    return number if math.isfinite(number) else None


def next_sequence(sequence: int) -> int:
    """Return the sequence number after this one."""
    return (sequence + 1) & SEQUENCE_MASK


def encode_control(message: Control) -> bytes:
    """Encode one control message, 37 bytes.

    Raises:
        ValueError: a flag, Codifier, time or number that the bus must not carry.
    """
    if message.flag not in CONTROL_FLAGS or len(message.flag) != 1:
        raise ValueError(f"no control flag: {message.flag!r}")
    if not math.isfinite(message.number):
        raise ValueError(f"{message.number} cannot be sent")
    return CONTROL.pack(
        message.sequence,
        _timestamp(message.timestamp_ms),
        message.flag.encode(),
        codifier_bytes(message.source),
        b"@@" if message.destination == BROADCAST else codifier_bytes(message.destination),
        9,
        message.number,
        message.is_active,
    )


def decode_control(datagram: bytes) -> Control:
    """Decode one datagram of the control channel.

    Raises:
        DatagramError: wrong size, flag, Codifier, time or number; no other error.
    """
    if len(datagram) != CONTROL.size:
        raise DatagramError(f"{len(datagram)} bytes, a control message has {CONTROL.size}")
    sequence, time_ms, flag, source, destination, length, number, is_active = CONTROL.unpack(
        datagram
    )
    if length != 9:
        raise DatagramError(f"length field {length}, a control payload has 9 bytes")
    if flag not in _CONTROL_FLAGS:
        raise DatagramError(f"unknown control flag {flag!r}")
    if not math.isfinite(number):
        raise DatagramError(f"number {number}")
    if time_ms >= TIMESTAMP_LIMIT:
        raise DatagramError(f"timestamp {time_ms}")
    to = BROADCAST if destination == b"@@" else codifier_text(destination)
    return Control(sequence, time_ms, flag.decode(), codifier_text(source), to, number, is_active)


_CONTROL_FLAGS = frozenset(flag.encode() for flag in CONTROL_FLAGS)


def encode_data(message: Data) -> bytes:
    """Encode one data message.

    Raises:
        ValueError, TypeError: a value that its flag cannot carry, NaN and infinities included, or
            text of more than 1440 bytes of UTF-8.
    """
    payload = _payload(message.flag, message.value)
    return (
        HEADER.pack(
            message.sequence,
            _timestamp(message.timestamp_ms),
            message.flag.encode(),
            codifier_bytes(message.source),
            b"@@",
            len(payload),
        )
        + payload
    )


def _payload(flag: str, value: Value) -> bytes:
    if flag == "f":
        if isinstance(value, dict | str):
            raise TypeError(f"f carries a number, not {value!r}")
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be sent")
        try:
            return _F4.pack(value)
        except OverflowError:
            raise ValueError(f"{value} is too large for f") from None
    if flag in ("i", "n"):
        if not isinstance(value, int):
            raise TypeError(f"{flag} carries an integer, not {value!r}")
        if not 0 <= value < 1 << 32:
            raise ValueError(f"{value} does not fit {flag}: 0 … 4294967295")
        return _COUNT.pack(value)
    if flag == "s":
        if not isinstance(value, str):
            raise TypeError(f"s carries text, not {value!r}")
        return _counted(value)
    if flag == "j":
        if not isinstance(value, dict) or "value" not in value:
            raise TypeError(f'j carries an object with the key "value", not {value!r}')
        return _counted(
            json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        )
    raise ValueError(f"no data flag: {flag!r}")


def _counted(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > MAX_TEXT:
        raise ValueError(f"{len(encoded)} bytes of text, at most {MAX_TEXT} fit a datagram")
    return _COUNT.pack(len(encoded)) + encoded


def choose(value: object, data_type: str = "float") -> tuple[str, Value]:
    """Choose flag and form of a value for a component of this DataType.

    An integer is never rounded: i where it fits, else j. A float goes as f (float32, as the type
    "float" says) unless the type is "double" or it is too large for float32: then j.

    Raises:
        ValueError: NaN or infinity. TypeError: a value that no message carries.
    """
    if isinstance(value, bool | int):
        number = int(value)
        if data_type == "json" or not 0 <= number < 1 << 32:
            return "j", {"value": number}
        return "i", number
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be sent")
        if data_type in ("double", "json"):
            return "j", {"value": value}
        if data_type in ("integer", "bool") and value.is_integer():
            return choose(int(value), data_type)
        try:
            _F4.pack(value)
        except OverflowError:
            return "j", {"value": value}
        return "f", value
    if isinstance(value, str):
        return ("j", {"value": value}) if data_type == "json" else ("s", value)
    if isinstance(value, dict):
        return "j", value
    raise TypeError(f"no message carries a {type(value).__name__}")


def decode_data(datagram: bytes) -> Data:
    """Decode one datagram of the data channel; see `unpack_data`."""
    return Data(*unpack_data(datagram))


def unpack_data(datagram: bytes) -> tuple[int, int, str, str, Value]:
    """Return the fields of a `Data`, without the cost of making one.

    An f that is NaN or infinite is decoded as such; numbers of a JSON object that are not finite
    become null, since JSON has no word for them.

    Raises:
        DatagramError: wrong size, flag, length, Codifier, time or text; no other error.
    """
    size = len(datagram)
    if not HEADER_SIZE + 4 <= size <= MAX_SIZE:
        raise DatagramError(f"{size} bytes, a data message has 32 to {MAX_SIZE}")
    sequence, time_ms, flag, source, destination, length = HEADER.unpack_from(datagram)
    if length != size - HEADER_SIZE:
        raise DatagramError(f"length field {length}, payload of {size - HEADER_SIZE} bytes")
    if time_ms >= TIMESTAMP_LIMIT:
        raise DatagramError(f"timestamp {time_ms}")
    if destination != b"@@":
        codifier_text(destination)
    codifier = codifier_text(source)
    value: Value
    if flag in (b"f", b"i", b"n"):
        if length != 4:
            raise DatagramError(f"payload of {length} bytes, {flag!r} has 4")
        payload = datagram[HEADER_SIZE:]
        value = (_F4 if flag == b"f" else _COUNT).unpack(payload)[0]
    elif flag in (b"s", b"j"):
        value = _text(datagram)
        if flag == b"j":
            value = _json_object(value)
    else:
        raise DatagramError(f"unknown data flag {flag!r}")
    return sequence, time_ms, flag.decode(), codifier, value


def _text(datagram: bytes) -> str:
    (count,) = _COUNT.unpack_from(datagram, HEADER_SIZE)
    if count != len(datagram) - HEADER_SIZE - 4:
        raise DatagramError(f"text count {count} of {len(datagram) - HEADER_SIZE - 4} bytes")
    try:
        return datagram[HEADER_SIZE + 4 :].decode()
    except UnicodeDecodeError as error:
        raise DatagramError(f"text is not UTF-8: {error.reason}") from error


def _json_object(text: str) -> dict[str, object]:
    try:
        value: Any = json.loads(text, parse_float=_finite, parse_constant=lambda _: None)
        if "\\u" in text:  # half a surrogate pair is text that no store can encode
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise DatagramError(f"no JSON: {error}") from error
    if not isinstance(value, dict) or "value" not in value:
        raise DatagramError('no JSON object with the key "value"')
    return value


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _timestamp(time_ms: int) -> int:
    if not 0 <= time_ms < TIMESTAMP_LIMIT:
        raise ValueError(f"timestamp {time_ms} ms is outside 1970 … 10889")
    return time_ms


def codifier_bytes(codifier: str) -> bytes:
    """Return the two bytes of a Codifier; ValueError if it is none."""
    if not is_codifier(codifier):
        raise ValueError(f"no Codifier: {codifier!r}")
    return codifier.encode()


def codifier_text(codifier: bytes) -> str:
    """Return the Codifier in two bytes; DatagramError if they are none."""
    if codifier == b"@@" or not CODIFIER_BYTES.issuperset(codifier):
        raise DatagramError(f"no Codifier: {codifier!r}")
    return codifier.decode()
