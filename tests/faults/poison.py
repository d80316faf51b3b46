"""Messages that break a rule of Tenta, of every kind and on every topic."""

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from uuid import UUID

from tests.helpers import LOOPBACK

MOST_OF_NATS = 1_000_000  # longer messages nats-server refuses itself
MOST = 1 << 20
DEPTH = 10_000
WRAPPERS = {
    "acknowledgments": ("heartbeats",),
    "heartbeats": ("heartbeats",),
    "measurements": ("measurements",),
    "logs": ("logs", "log_messages"),
    "log-messages": ("logs", "log_messages"),
}
GOOD: dict[str, dict[str, object]] = {
    "acknowledgments": {"revision": 0, "timestamp": 1.5, "success": True},
    "measurements": {"revision": 0, "timestamp": 1.5, "value": {"t": 1.5}},
    "logs": {"severity": "info", "revision": 0, "timestamp": 1.5, "message": "good"},
}
GOOD |= {"heartbeats": GOOD["acknowledgments"], "log-messages": GOOD["logs"]}

NO_JSON = [
    *(
        b"",
        b" ",
        b"\xff\xfe",
        b"nonsense",
        b"{",
        b"[",
        b"[,]",
        b"[1",
        b'"',
        b"\0",
        b"\xef\xbb\xbf[]",
    ),
    *(b"[" * DEPTH, b'{"a":' * DEPTH, b"[" * DEPTH + b"]" * DEPTH, b'[{"value":' * DEPTH),
    *(b"[" + b" " * (MOST - 2) + b",", b"x" * MOST, b"x" * (MOST + 1)),
    *(b"[NaN]", b"[1e999]", b"[" + b"9" * 5000 + b"]", b'["\\ud800"]', b'["\xed\xa0\x80"]'),
]
NO_ENTRIES = [b"[]", b"{}", b"null", b"1", b'"text"', b"true", b"[null]", b"[1]", b"[[]]", b"[{}]"]
# Values of a key, as JSON, since Python could not write some of them.
NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "-1", str(2**31), "9" * 400, '"1"', "true"]
WRONG: dict[str, list[str]] = {
    "revision": [*NUMBERS, "1.5", "[]", "{}"],
    "timestamp": [*NUMBERS, "null", "[]", '"now"'],
    "success": ["null", "1", '"true"', "[]"],
    "severity": ["null", "1", '"debug"', '"INFO"', '""'],
    "message": ["null", "1", "[]", "{}"],
    "value": [
        *("null", "1", "[]", "{}", '{"T":1}', '{"":1}', '{"a b":1}', '{"_a":1}', '{"a__b":1}'),
        *('{"t":null}', '{"t":"1"}', '{"t":true}', '{"t":[]}', '{"t":{}}', '{"t":NaN}'),
        *('{"t":1e999}', '{"t":%s}' % ("9" * 400), '{"%s":1}' % ("a" * 65), '{"t\\u0000":1}'),
    ],
}


def payloads(kind: str) -> Iterator[bytes]:
    """Yield payloads that the topic of a kind refuses."""
    yield from NO_JSON
    yield from NO_ENTRIES
    good = GOOD[kind]
    written = {key: json.dumps(value) for key, value in good.items()}
    for key in good:
        for value in WRONG[key]:
            yield entries({**written, key: value})
        if key != "revision" or "success" in good:  # else it may be left out
            yield entries({other: text for other, text in written.items() if other != key})
    yield entries({**written, "unknown": "1"})
    if "message" in good:
        yield entries({**written, "subject": '"also"'})
        yield entries({**written, "details": '"also"'})
    right = entries(written)
    yield right[:-1] + b",null]"  # a message is taken whole or not at all
    for name in ("unknown", "configurations"):
        yield b'{"%s":%s}' % (name.encode(), right)
    for name in WRAPPERS[kind]:
        yield b'{"%s":[]}' % name.encode()
        yield b'{"%s":%s,"more":1}' % (name.encode(), right)
        yield b'{"%s":[%s,{}]}' % (name.encode(), right[1:-1])
        yield b'{"%s":null}' % name.encode()


def entries(written: dict[str, str]) -> bytes:
    """Return a list of one entry, whose values are JSON already."""
    return ("[{" + ",".join(f'"{key}":{text}' for key, text in written.items()) + "}]").encode()


def messages(sensor: UUID) -> Iterator[tuple[str, bytes]]:
    """Yield topics and payloads, each of which is refused and counted."""
    for kind in WRAPPERS:
        for payload in payloads(kind):
            yield f"{kind}/{sensor}", payload
        right = json.dumps([GOOD[kind]]).encode()
        for name in ("", "nonsense", sensor.hex, f"{{{sensor}}}", str(sensor)[:-1], "ü" * 30):
            yield f"{kind}/{name}", right


def publish_raw(port: int) -> None:
    """Publish to topics that a client may not name, each on a connection of its own."""
    names = (b"", b"+", b"#", b"measurements/+", b"measurements/#", b"#/measurements")
    broken = (b"measurements/\xff\xfe", b"measurements/\0", b"\xed\xa0\x80", b"$SYS/x")
    for number, topic in enumerate((*names, *broken)):
        with suppress(OSError), closing(socket.create_connection((LOOPBACK, port), 5)) as client:
            client.sendall(_packet(0x10, b"\0\4MQTT\4\2\0\x3c" + _text(b"raw%d" % number)))
            client.recv(4)
            client.sendall(_packet(0x32, _text(topic) + b"\0\1" + b"[]"))
            client.recv(4)  # an acknowledgement, or the end


def _text(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _packet(kind: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes((kind, len(body))) + body
