"""Check that 50,000 messages a second for 10 s all arrive in a batch callback that counts.

    python -m bench.lossless [--rate 50000] [--seconds 10]

Ten Codifiers in turn, from bench/c/flood.c at this rate and from `sendData` of one Python process.
"""

import argparse
import json
import subprocess
import threading
import time
from pathlib import Path

from bench import common
from bench.common import Network

IDLE_S = 1.0


def receive(config: Path) -> None:
    """Count messages until no more arrive; print the number, and the counters of the channel."""
    from jph import jph
    from jph.bus.wire import Reading

    channel = jph(str(config), "C2")
    received = batches = 0

    def on_batch(readings: list[Reading]) -> None:
        nonlocal received, batches
        received += len(readings)
        batches += 1

    def watch() -> None:
        time.sleep(0.3)  # until `run` has joined
        print("ready", flush=True)
        before = -1
        while not received or before != received:
            before = received
            time.sleep(IDLE_S)
        channel.stop()

    threading.Thread(target=watch, daemon=True).start()
    channel.run(on_batch=on_batch)
    status = channel.process.bus.status().data
    report = {
        "received": received,
        "batches": batches,
        "lost": status.lost,
        "drops": status.kernel_drops,
        "buffer": status.receive_buffer_bytes,
        "cpu_s": time.process_time(),
    }
    print(json.dumps(report))


def send_with_jph(config: Path, rate: float, seconds: float) -> int:
    """Send at a rate from this process; return the number of messages."""
    from jph import jph, timeNow

    channel = jph(str(config), "C1")
    codes = [f"A{letter}" for letter in "ABCDEFGHIJ"]
    start_s = time.monotonic()
    sent = 0
    while (passed_s := time.monotonic() - start_s) < seconds:
        if sent > passed_s * rate:
            time.sleep(0.0002)
            continue
        now_ms = timeNow()
        for code in codes:
            channel.sendData(21.5, now_ms, code)
        sent += len(codes)
    return sent


def main() -> None:
    """Measure, or be the receiver."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=50_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--receive", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.receive:
        receive(arguments.receive)
        return
    with common.network() as net:
        lines = [row(net, kind, arguments.rate, arguments.seconds) for kind in ("C", "sendData")]
    common.print_table(
        f"No loss at {arguments.rate:,.0f} messages/s for {arguments.seconds:g} s",
        ["", "sent", "counted", "lost", "target", "", "in a batch", "receiver", "buffer"],
        lines,
    )


def row(net: Network, kind: str, rate: float, seconds: float) -> list[str]:
    """Send in one of two ways; return a row of the table."""
    with common.started(common.python("bench.lossless", "--receive", net.config)) as process:
        if kind == "C":
            flood = common.compiled("flood", net.folder)
            place = [net.data[0], str(net.data[1]), common.LOOPBACK]
            command = [flood, "jph", *place, str(seconds), "10", str(rate)]
            sent = int(subprocess.run(command, check=True, capture_output=True).stdout)
        else:
            sent = send_with_jph(net.config, rate, seconds)
        report = json.loads(common.last_line(process))
    lost = sent - report["received"]
    return [
        f"from {kind}",
        f"{sent:,}",
        f"{report['received']:,}",
        f"{lost:,}",
        "0",
        "met" if lost == 0 else f"MISSED (the kernel dropped {report['drops']:,})",
        f"{report['received'] / max(1, report['batches']):.1f}",
        f"{report['cpu_s'] / seconds:.0%} of a core",
        f"{report['buffer'] / (1 << 20):g} MB",
    ]


if __name__ == "__main__":
    main()
