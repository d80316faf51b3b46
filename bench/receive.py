"""Measure how many messages a second JPH receives, decodes and hands over in a flood.

    python -m bench.receive [--runs 3] [--seconds 3]

bench/c/flood.c sends 32-byte float messages of ten sources faster than most receivers take them.
The limit is a C program that calls recvmmsg and decodes nothing. The peer is the Python subscriber
of LCM with an unbounded queue; it gets messages of the same size, once from the same flood and once
from LCM's own publisher, and the better of the two counts.
"""

import argparse
import json
import os
import random
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench import common
from bench.common import Network

SETTLE_S = 0.4  # at both ends of a flood, left out of the rate
IDLE_S = 0.5

Result = dict[str, float]


def report_when_idle(count: Callable[[], int], seconds: float) -> None:
    """Print the rate in the middle of a flood, and the number of all messages."""
    while not count():
        time.sleep(0.002)
    time.sleep(SETTLE_S)
    start_s, at_start = time.monotonic(), count()
    time.sleep(seconds - 2 * SETTLE_S)
    end_s, at_end = time.monotonic(), count()
    before = -1
    while before != count():
        before = count()
        time.sleep(IDLE_S)
    rate = (at_end - at_start) / (end_s - start_s)
    print(json.dumps({"received": before, "rate": rate}), flush=True)


def receive_with_jph(kind: str, config: Path, seconds: float) -> None:
    """Receive with JPH until the flood is over; kind is batch, callback or plain."""
    from jph import jph
    from jph.bus.wire import Address, Reading
    from jph.config.loading import load
    from jph.node.node import Node
    from jph.node.standalone import StandaloneChannel

    received = 0

    def on_batch(readings: list[Reading]) -> None:
        nonlocal received
        received += len(readings)

    def on_data(
        channel: str,
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
        nonlocal received
        received += 1

    def watch() -> None:
        time.sleep(0.2)  # until `run` has joined
        print("ready", flush=True)
        report_when_idle(lambda: received, seconds)
        own.stop()

    if kind == "plain":
        home = Path(os.environ["JPH_HOME"])
        loaded = load(config, home)
        node = Node(loaded, home, plain=True)
        node.bus.open()
        own = StandaloneChannel(loaded.components["C1"], node)
    else:
        own = jph(str(config), "C1")
    threading.Thread(target=watch, daemon=True).start()
    if kind == "callback":
        own.run(on_data)
    else:
        own.run(on_batch=on_batch)


def receive_with_lcm(url: str, seconds: float) -> None:
    """Receive with LCM until the flood is over."""
    import lcm

    received = 0

    def on_message(channel: str, payload: bytes) -> None:
        nonlocal received
        received += 1

    def watch() -> None:
        report_when_idle(lambda: received, seconds)
        os._exit(0)

    subscriber = lcm.LCM(url)
    subscriber.subscribe("JPH", on_message).set_queue_capacity(0)
    threading.Thread(target=watch, daemon=True).start()
    print("ready", flush=True)
    while True:
        subscriber.handle()


def publish_with_lcm(url: str, seconds: float) -> None:
    """Publish 20 bytes again and again with LCM, as fast as it can; print how many times."""
    import lcm

    publisher = lcm.LCM(url)
    payload = bytes(20)
    sent = 0
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        for _ in range(100):
            publisher.publish("JPH", payload)
        sent += 100
    print(sent)


def run_one(receiver: list[str], sender: list[str]) -> Result:
    """Return the messages received and sent in one flood, and the rate."""
    with common.started(receiver) as process:
        sent = int(subprocess.run(sender, cwd=common.ROOT, check=True, capture_output=True).stdout)
        line = common.last_line(process)
    if line.startswith("{"):
        return {**json.loads(line), "sent": sent}
    received, _, rate = map(float, line.split())
    return {"received": received, "rate": rate, "sent": sent}


def measures(net: Network, seconds: float) -> dict[str, Callable[[], Result]]:
    """Return the functions that measure, by the name in the table."""
    flood = common.compiled("flood", net.folder)
    bare = common.compiled("bare_receive", net.folder)
    group, port = net.data
    ours = [flood, "jph", group, str(port), common.LOOPBACK, str(seconds), "10"]
    lcm_group = f"239.76.99.{random.randint(1, 250)}"
    lcm_port = common.free_port()
    url = f"udpm://{lcm_group}:{lcm_port}?ttl=0&recv_buf_size={common.BUFFER}"
    theirs = [flood, "lcm", lcm_group, str(lcm_port), "default", str(seconds), "1"]

    def jph(kind: str) -> Callable[[], Result]:
        receiver = common.python("bench.receive", "--as", kind, net.config, seconds)
        return lambda: run_one(receiver, ours)

    def lcm(sender: list[str]) -> Callable[[], Result]:
        receiver = common.python("bench.receive", "--as", "lcm", url, seconds)
        return lambda: run_one(receiver, sender)

    publisher = common.python("bench.receive", "--as", "lcm-publisher", url, seconds)
    return {
        "C recvmmsg, nothing decoded": lambda: run_one([bare, group, str(port)], ours),
        "JPH, batches": jph("batch"),
        "JPH, a callback each": jph("callback"),
        "JPH, batches, no recvmmsg": jph("plain"),
        "LCM, same flood": lcm(theirs),
        "LCM, its own publisher": lcm(publisher),
    }


def table(results: dict[str, list[Result]]) -> list[list[str]]:
    """Return the rows: rate, loss, ratio to C, ratio to LCM, targets."""
    rates = {name: common.median([one["rate"] for one in runs]) for name, runs in results.items()}
    limit, batches, callbacks, plain, *peers = rates
    peer = max(rates[name] for name in peers)
    of_limit = {name: rate / rates[limit] for name, rate in rates.items()}
    verdicts = {
        limit: [""],
        batches: common.verdict(of_limit[batches], least=0.70),
        callbacks: common.verdict(of_limit[callbacks], least=0.35),
        plain: common.verdict(of_limit[plain]),
    }
    rows = []
    for name, runs in results.items():
        lost = common.median([1 - one["received"] / one["sent"] for one in runs])
        ratio = verdicts.get(name, common.verdict(of_limit[name]))
        rows.append([name, f"{rates[name]:,.0f}", f"{max(0.0, lost):.1%}", *ratio])
    against_peer = common.verdict(rates[batches] / peer, least=5)
    rows.append(["JPH, batches, to the better LCM", "", "", *against_peer])
    return rows


def main() -> None:
    """Measure, or be one of the receivers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--as", dest="role", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        kind, where, seconds = arguments.role
        if kind == "lcm":
            receive_with_lcm(where, float(seconds))
        elif kind == "lcm-publisher":
            publish_with_lcm(where, float(seconds))
        else:
            receive_with_jph(kind, Path(where), float(seconds))
        return
    with common.network() as net:
        results = common.interleaved(measures(net, arguments.seconds), arguments.runs)
    common.print_table(
        f"Receiving: messages of 32 bytes a second, median of {arguments.runs} interleaved runs",
        ["", "per second", "lost", "ratio", "target", ""],
        table(results),
    )


if __name__ == "__main__":
    main()
