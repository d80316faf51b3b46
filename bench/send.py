"""Measure how many messages a second `sendData` sends, beside a bare `sendto` of the same bytes.

    python -m bench.send [--runs 25] [--messages 20000]

Both send in a loop to the same multicast group, once without a receiver, and once with a C
program that receives, for which the kernel copies each datagram.
"""

import argparse
import struct
import time
from collections.abc import Callable

from bench import common
from bench.common import Network

LEAST = 0.75  # of the bare rate


def measures(net: Network, messages: int) -> dict[str, Callable[[], float]]:
    """Return the loops; each returns messages a second."""
    from jph import jph, timeNow

    channel = jph(str(net.config), "C1")
    sender = common.bare_sender()
    place = net.data
    now_ms = timeNow()
    datagram = struct.pack("<I4xQc2s2s3xIf", 1, now_ms, b"f", b"C1", b"@@", 4, 21.5)
    rounds = range(messages)

    def bare() -> float:
        start_s = time.perf_counter()
        sendto = sender.sendto
        for _ in rounds:
            sendto(datagram, place)
        return messages / (time.perf_counter() - start_s)

    def stamped() -> float:
        start_s = time.perf_counter()
        sendData = channel.sendData
        for _ in rounds:
            sendData(21.5, now_ms)
        return messages / (time.perf_counter() - start_s)

    def documented() -> float:
        start_s = time.perf_counter()
        sendData = channel.sendData
        for _ in rounds:
            sendData(21.5, timeNow(), "C1", False)
        return messages / (time.perf_counter() - start_s)

    return {
        "bare sendto": bare,
        "sendData(value, timestamp)": stamped,
        "sendData(value, timeNow(), codifier, False)": documented,
    }


def rows(heading: str, results: dict[str, list[float]]) -> list[list[str]]:
    """Return the rows of one part of the table, the limit first."""
    rates = {name: common.median(runs) for name, runs in results.items()}
    limit = next(iter(rates))
    lines = [[f"{heading}:"], [f"  {limit}", f"{rates.pop(limit):,.0f}"]]
    for name, rate in rates.items():
        # The ratio of each round, so that a disturbed round is one of many.
        ratio = common.median([a / b for a, b in zip(results[name], results[limit], strict=True)])
        lines.append([f"  {name}", f"{rate:,.0f}", *common.verdict(ratio, least=LEAST)])
    return lines


def main() -> None:
    """Measure, with and without a listener."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=25)
    parser.add_argument("--messages", type=int, default=20_000)
    arguments = parser.parse_args()
    with common.network() as net:
        loops = measures(net, arguments.messages)
        lines = rows("nobody listens", common.interleaved(loops, arguments.runs))
        listener = [common.compiled("bare_receive", net.folder), net.data[0], str(net.data[1])]
        with common.started(listener):
            lines += rows("one listens", common.interleaved(loops, arguments.runs))
    common.print_table(
        f"Sending: messages of 32 bytes a second, median of {arguments.runs} interleaved runs",
        ["", "per second", "ratio", "target", ""],
        lines,
    )


if __name__ == "__main__":
    main()
