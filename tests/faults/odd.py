"""Fault 6: readings that nobody expects, each stored or refused by a rule; nothing stops.

    python -m tests.faults.odd

They go over the bus to a writer on PostgreSQL, among the readings of a load.
"""

import json
import struct
import sys
import time

from tests.faults.rig import Load, Rig, Verdict, own_rig
from tests.helpers import bare_sender, eventually

HEADER = struct.Struct("<I4xQ1s2s2s3xI")
HOUR_MS = 3_600_000
TEXT = 'it\'s "quoted"; DROP TABLE measurement; -- \\ $1 %s {} <b>\u2603'
LONG = {"value": 7, "text": "x" * 1400}  # with its keys and the header about 1,460 bytes


def datagram(codifier: str, time_ms: int, sequence: int, flag: str, payload: bytes) -> bytes:
    """Return a message of the data channel, whatever it says."""
    head = HEADER.pack(sequence, time_ms, flag.encode(), codifier.encode(), b"@@", len(payload))
    return head + payload


def text(content: str) -> bytes:
    """Return the payload of a text."""
    encoded = content.encode()
    return struct.pack("<I", len(encoded)) + encoded


def number(value: float) -> bytes:
    """Return the payload of a number."""
    return struct.pack("<f", value)


def messages(
    now_ms: int,
) -> list[tuple[str, bytes, tuple[int, str, int, float | None, str | None]]]:
    """Return what each message is, the message, and the row that it has to become."""
    long = json.dumps(LONG, separators=(",", ":"))
    quoted = json.dumps({"value": TEXT}, ensure_ascii=False, separators=(",", ":"))
    back_ms = now_ms - HOUR_MS
    found = [
        ("a reading", "Q1", now_ms, 1, "f", number(1.5), 1.5, None),
        ("the clock an hour back", "Q1", back_ms, 2, "f", number(2.5), 2.5, None),
        ("the same time, the next number", "Q1", back_ms, 3, "f", number(3.5), 3.5, None),
        ("a text for a float sensor", "Q1", now_ms, 4, "s", text("off"), None, "off"),
        ("a clock that was never set", "Q1", 0, 5, "f", number(5.5), 5.5, None),
        ("the year 10888", "Q1", (1 << 48) - 1, 6, "f", number(6.5), 6.5, None),
        ("an unknown Codifier", "~'", now_ms, 1, "f", number(1.5), 1.5, None),
        ("a JSON value of 1,400 bytes", "Q1", now_ms, 7, "j", text(long), 7.0, long),
        ("quotes and semicolons", "Q1", now_ms, 8, "s", text(TEXT), None, TEXT),
        ("the same in JSON", "Q1", now_ms, 9, "j", text(quoted), None, quoted),
        ("a NUL", "Q1", now_ms, 10, "s", text("a\0b"), None, "a\u2400b"),
        ("an empty text", "Q1", now_ms, 11, "s", text(""), None, ""),
        ("a Codifier of quotes", "';", now_ms, 1, "s", text(TEXT), None, TEXT),
        ("a Codifier of others", '"\\', now_ms, 1, "f", number(-0.0), -0.0, None),
        ("an integer beyond 2**53", "Q1", now_ms, 12, "j", text('{"value":9007199254740993}'),
         9007199254740992.0, '{"value":9007199254740993}'),
    ]  # fmt: skip
    return [
        (name, datagram(code, at, seq, flag, payload), (at, code, seq, value, words))
        for name, code, at, seq, flag, payload, value, words in found
    ]


def refused(now_ms: int) -> dict[str, bytes]:
    """Return messages that are counted and dropped."""
    return {
        "not a number": datagram("Q2", now_ms, 1, "f", number(float("nan"))),
        "infinity": datagram("Q2", now_ms, 2, "f", number(float("inf"))),
        "no UTF-8": datagram("Q2", now_ms, 3, "s", struct.pack("<I", 2) + b"\xff\xfe"),
        "no JSON": datagram("Q2", now_ms, 4, "j", text("{'value': 1}")),
        "a time beyond 2**48": datagram("Q2", 1 << 48, 5, "f", number(1.0)),
        "an unknown flag": datagram("Q2", now_ms, 6, "x", number(1.0)),
        "nothing": b"",
        "a byte": b"\0",
    }


def odd(rig: Rig) -> Verdict:
    """Send what is odd among a load; return what became of the load, and of the rest."""
    rig.hw.start()
    with Load(rig.bus, 500) as load, bare_sender() as sender:
        eventually(lambda: rig.has_tables() and rig.count(), 20, "readings are stored")
        now_ms = time.time_ns() // 1_000_000
        expected = messages(now_ms)
        for _, message, _ in expected:
            sender.sendto(message, rig.bus.data)
            sender.sendto(message, rig.bus.data)
        for message in refused(now_ms).values():
            sender.sendto(message, rig.bus.data)
        time.sleep(1)
        load.stop()
        rig.await_stored(load, 30)
    runs = rig.hw.is_running
    rig.hw.stop()  # what goes to the quarantine is written after the rest of its batch
    codifiers = {row[1] for _, _, row in expected} | {"Q2"}
    query = (
        "SELECT timestamp, codifier, sequence, value, text FROM {table} WHERE codifier = ANY(%s)"
    )
    stored = [
        row
        for table in ("measurement", "quarantine")
        for row in rig.server.execute(query.format(table=table), rig.database, (sorted(codifiers),))
    ]
    missing = [name for name, _, row in expected if row not in stored]
    verdict = rig.verdict(load.sent, odd=len(expected), not_stored=missing, runs=runs)
    verdict.wrong += [row[:3] for row in stored if row not in [row for _, _, row in expected]]
    return verdict


def main() -> int:
    """Print what became of each."""
    with own_rig() as rig:
        verdict = odd(rig)
    for name, _, (at, code, sequence, value, words) in messages(time.time_ns() // 1_000_000):
        print(f"  {name}: {code} {at} {sequence} {value} {(words or '')[:40]!r}")
    print("  refused: " + ", ".join(refused(0)))
    print(verdict)
    return 0 if verdict.is_good and not verdict.figures["not_stored"] else 1


if __name__ == "__main__":
    sys.exit(main())
