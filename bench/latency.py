"""Measure the time of a message from one process to another, at 1,000 messages a second.

    python -m bench.latency [--runs 5] [--messages 4000]

One way, from just before the sender's call to the first line of the receiver's callback. The limit
is a pair of bare sockets with select. Both clocks are the monotonic clock of the machine. Times are
written into memory that was touched before: the page faults of a growing list, one for about sixty
messages, would count as latency.
"""

import argparse
import json
import select
import struct
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from bench import common
from bench.common import Network

RATE = 1000  # messages a second
MOST = 1.25  # times the latency of bare sockets
QUIET_S = 1.0


class Arrivals:
    """Room for the sequence and the time in ns of each message, in order of arrival."""

    def __init__(self, messages: int) -> None:
        self.sequences = array("q", range(messages))
        self.times_ns = array("q", range(messages))
        self.count = 0

    def print(self) -> None:
        """Print pairs of sequence and time, as JSON."""
        pairs = zip(self.sequences[: self.count], self.times_ns, strict=False)
        print(json.dumps(list(pairs)))


def pace(send: Callable[[], object], messages: int) -> list[int]:
    """Call `send` at the rate; return when each call began, in ns."""
    started_ns = []
    due_s = time.monotonic() + 0.1
    for _ in range(messages):
        due_s += 1 / RATE
        left_s = due_s - time.monotonic()
        if left_s > 0:
            time.sleep(left_s)
        started_ns.append(time.monotonic_ns())
        send()
    return started_ns


def receive_bare(net_data: common.Place, messages: int) -> None:
    """Receive with select and recv; print when each message arrived."""
    receiver = common.bare_receiver(net_data)
    receiver.setblocking(False)
    arrivals = Arrivals(messages)
    print("ready", flush=True)
    while arrivals.count < messages:
        if not select.select([receiver], [], [], QUIET_S if arrivals.count else 10)[0]:
            break
        datagram = receiver.recv(1500)
        arrivals.times_ns[arrivals.count] = time.monotonic_ns()
        arrivals.sequences[arrivals.count] = struct.unpack_from("<I", datagram)[0]
        arrivals.count += 1
    arrivals.print()


def receive_with_jph(config: Path, messages: int) -> None:
    """Receive with a data callback; print when each message arrived."""
    from jph import jph
    from jph.bus.wire import Address

    channel = jph(str(config), "C2")
    arrivals = Arrivals(messages)

    def on_data(
        kind: str,
        flag: str,
        source: str,
        to: str,
        timestamp: int,
        sequence: int,
        length: int,
        address: Address,
        value: object,
        isActive: bool,
    ) -> None:
        arrivals.times_ns[arrivals.count] = time.monotonic_ns()
        arrivals.sequences[arrivals.count] = sequence
        arrivals.count += 1

    def watch() -> None:
        time.sleep(0.3)  # until `run` has joined
        print("ready", flush=True)
        time.sleep(messages / RATE + QUIET_S)
        channel.stop()

    threading.Thread(target=watch, daemon=True).start()
    channel.run(on_data)
    arrivals.print()


def latencies_us(kind: str, net: Network, messages: int) -> tuple[float, float]:
    """Send from this process to another; return p50 and p99."""
    from jph import jph

    receiver = common.python("bench.latency", "--as", kind, net.config, *net.data)
    with common.started([*receiver, "--messages", str(messages)]) as process:
        if kind == "bare":
            sender = common.bare_sender()
            sequences = iter(range(messages))
            form = struct.Struct("<I4xQc2s2s3xIf")

            def send() -> None:
                header = (next(sequences), time.time_ns() // 1_000_000, b"f", b"C1", b"@@", 4)
                sender.sendto(form.pack(*header, 21.5), net.data)
        else:
            channel = jph(str(net.config), "C1")

            def send() -> None:
                channel.sendData(21.5)

        started_ns = pace(send, messages)
        arrived = json.loads(common.last_line(process))
    if len(arrived) != messages:
        print(f"{kind}: {messages - len(arrived)} of {messages} messages were lost")
    # Sequences begin at any number; the first message that arrived is the first that was sent.
    first = arrived[0][0]
    waits_us = sorted((at_ns - started_ns[number - first]) / 1000 for number, at_ns in arrived)
    return waits_us[len(waits_us) // 2], waits_us[len(waits_us) * 99 // 100]


def main() -> None:
    """Measure, or be one of the receivers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--as", dest="role", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        kind, config, group, port = arguments.role
        if kind == "bare":
            receive_bare((group, int(port)), arguments.messages)
        else:
            receive_with_jph(Path(config), arguments.messages)
        return
    with common.network() as net:
        kinds = {
            kind: lambda kind=kind: latencies_us(kind, net, arguments.messages)
            for kind in ("bare", "jph")
        }
        results = common.interleaved(kinds, arguments.runs)
    lines = []
    for at, name in enumerate(("p50", "p99")):
        bare, ours = (common.median([run[at] for run in results[kind]]) for kind in kinds)
        lines.append(
            [name, f"{bare:.0f} us", f"{ours:.0f} us", *common.verdict(ours / bare, most=MOST)]
        )
    common.print_table(
        f"One-way latency at {RATE} messages/s, median of {arguments.runs} interleaved runs",
        ["", "bare sockets", "JPH", "ratio", "target", ""],
        lines,
    )


if __name__ == "__main__":
    main()
