"""Measure how fast last states get into Redis, beside programs that write them with redis-py.

    python -m bench.state [--seconds 4] [--runs 5]

Bus to Redis: float messages of 100 Codifiers from bench/c/flood.c, at rates that rise until one is
lost. The state cache runs in a process of its own; afterwards its counts, the losses that it wrote
and the last values in Redis are compared with the sent messages. The age is that of a state in
Redis, read by another connection during the flood. Peers, with bare sockets and redis-py: one call
for each message, and one for each field of it, as simple programs do it.

Writes: HSET of states with all fields, by one round trip of the state cache, and by pipelines of
redis-py with their best number of states, prepared beforehand.

The Redis is one of its own, on this machine.
"""

import argparse
import json
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.utils import HIREDIS_AVAILABLE

from bench import common
from bench.common import Network
from collectors.state_cache import StateCache
from jph.bus.sequence import SequenceTracker
from jph.bus.wire import Reading
from jph.config.loading import load
from jph.node.channel import Channel
from jph.node.node import Node
from jph.node.runner import callbacks_of
from jph.state import FIELDS, Fields
from jph.stores.redis.client import RedisClient
from jph.stores.redis.hashes import commands_of
from jph.stores.redis.url import address_of
from tests.servers import RedisServer, running_redis

CODIFIERS = [f"{chr(65 + n // 26)}{chr(65 + n % 26)}" for n in range(100)]  # those of flood.c
RATES = (60_000, 80_000, 100_000, 125_000, 150_000, 200_000, 300_000, 400_000)
TARGET_RATE = 60_000
TARGET_WRITES = 0.8
PIPELINES = (100, 300, 1000)
PEER_S = 1.0
IDLE_S = 0.7
AGE_EVERY_S = 0.011
HEADER = struct.Struct("<I4xQ1s2s2s3xIf")


@dataclass
class Counting(StateCache):
    """A state cache that counts the readings it took."""

    taken: int = 0

    def on_batch(self, readings: list[Reading]) -> None:
        """Take and count them."""
        super().on_batch(readings)
        self.taken += len(readings)


def receive(config: Path, url: str) -> None:
    """Run the state cache until no more readings arrive; print how many it took."""
    home = config.parent
    node = Node(load(config, home), home)
    caches = []

    def build(channel: Channel) -> object:
        caches.append(Counting(channel, home, url))
        return callbacks_of(caches[-1], channel)

    node.add(node.config.components["C2"], build)  # type: ignore[arg-type]
    node.start()
    print("ready", flush=True)
    before = -1
    while not caches[0].taken or before != caches[0].taken:
        before = caches[0].taken
        time.sleep(IDLE_S)
    drops = node.bus.status().data.kernel_drops
    node.stop()
    report = {"taken": before, "drops": drops, "cpu_s": time.process_time()}
    print(json.dumps(report))


class Ages:
    """Measures the age of a state in Redis, in a thread, while messages arrive."""

    def __init__(self, server: RedisServer) -> None:
        self.ages_ms: list[float] = []
        self._stop = threading.Event()
        self._server = server
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Ages":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with self._server.client() as client:
            while not self._stop.wait(AGE_EVERY_S):
                stored = client.hget(CODIFIERS[50], "DTimestamp")
                if stored is not None:
                    self.ages_ms.append(time.time() * 1000 - float(str(stored)))

    def most(self) -> float:
        """Return the 99th percentile of the ages, in ms."""
        ages = sorted(self.ages_ms)
        return ages[len(ages) * 99 // 100] if ages else float("inf")


def flood(net: Network, seconds: float, rate: float) -> list[str]:
    """Return the command of the sender."""
    place = [net.data[0], str(net.data[1]), common.LOOPBACK]
    program = common.compiled("flood", net.folder)
    return [program, "jph", *place, str(seconds), str(len(CODIFIERS)), str(rate)]


def through(
    net: Network, server: RedisServer, rate: float, seconds: float
) -> tuple[bool, list[str]]:
    """Send at a rate through the state cache; return whether nothing was lost, and a row."""
    with server.client() as client:
        client.flushall()
        command = common.python("bench.state", "--receive", net.config, "--url", server.url)
        with common.started(command) as process, Ages(server) as ages:
            sent = int(
                subprocess.run(flood(net, seconds, rate), check=True, capture_output=True).stdout
            )
            ages.__exit__()
            report = json.loads(common.last_line(process))
        states = {codifier: client.hgetall(codifier) for codifier in CODIFIERS}
    lost = sum(int(state.get("DPacketsLost", sent)) for state in states.values())
    wrong = sum(
        float(state.get("Value", "nan")) != last_value(place, sent)
        for place, state in enumerate(states.values())
    )
    is_good = report["taken"] == sent and not lost and not wrong
    cells = [
        f"{rate:,.0f}/s",
        f"{sent:,}",
        f"{report['taken']:,}",
        f"{sent - report['taken']:,}",
        str(wrong),
        f"{ages.most():.0f} ms",
        f"{report['cpu_s'] / seconds:.0%} of a core",
    ]
    return is_good, cells


def last_value(place: int, sent: int) -> float:
    """Return the value of the last of the messages of the Codifier at a place."""
    return (sent - place + len(CODIFIERS) - 1) // len(CODIFIERS) % 1000 * 0.5


def one_by_one(net: Network, server: RedisServer, by_field: bool) -> float:
    """Return how many messages/s a program writes that calls redis-py for each."""
    with (
        closing(common.bare_receiver(net.data)) as receiver,
        server.client() as client,
        subprocess.Popen(
            flood(net, PEER_S + 0.5, 30_000), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ),
    ):
        receiver.settimeout(2.0)
        receiver.recv(2048)
        written, began_s = 0, time.monotonic()
        while (passed_s := time.monotonic() - began_s) < PEER_S:
            store(client, receiver, by_field)
            written += 1
        return written / passed_s


def store(client: "redis.Redis", receiver: socket.socket, by_field: bool) -> None:
    """Write one message."""
    _, timestamp_ms, _, source, _, _, value = HEADER.unpack(receiver.recv(2048))
    fields: dict[str, str | int | float] = {
        "Codifier": source.decode(),
        "Value": value,
        "DTimestamp": timestamp_ms,
        "DPacketsLost": 0,
        "DResetTime": 0,
    }
    if not by_field:
        client.hset(source, mapping=fields)
        return
    for name, one in fields.items():
        client.hset(source, name, str(one))


def full_states() -> dict[str, Fields]:
    """Return states with all fields."""
    now_ms = time.time_ns() // 1_000_000
    source = SequenceTracker("", 1, now_ms, lost=3)
    states: dict[str, Fields] = {}
    for place, codifier in enumerate(CODIFIERS):
        fields: Fields = {
            name: now_ms + place
            for name in FIELDS
            if name.endswith("Time") or name.endswith("Timestamp")
        }
        fields |= dict.fromkeys(("DPacketsLost", "CPacketsLost", "TDuration"), source.lost)
        fields |= dict.fromkeys(("DResetTime", "CResetTime", "PRequest", "TRequest"), now_ms)
        fields |= {"Codifier": codifier, "Value": 21.5 + place / 7, "IsActive": True}
        states[codifier] = {name: fields[name] for name in FIELDS}
    return states


def by_jph(server: RedisServer, states: dict[str, Fields]) -> float:
    """Return the states/s that round trips of the state cache write."""
    written, began_s = 0, time.monotonic()
    with closing(RedisClient(address_of(server.url), None)) as client:
        while (passed_s := time.monotonic() - began_s) < PEER_S:
            client.exchange(
                [it for state in states.items() for it in commands_of(*state, had_object=False)]
            )
            written += len(states)
    return written / passed_s


def by_pipeline(server: RedisServer, states: dict[str, Fields], size: int) -> float:
    """Return the states/s that pipelines of redis-py write, with `size` states each."""
    mappings = [
        (
            codifier,
            {name: str(value) if name == "IsActive" else value for name, value in state.items()},
        )
        for codifier, state in states.items()
    ]
    batch = (mappings * (size // len(mappings) + 1))[:size]
    written, began_s = 0, time.monotonic()
    with server.client() as client:
        while (passed_s := time.monotonic() - began_s) < PEER_S:
            pipeline = client.pipeline(transaction=False)
            for codifier, mapping in batch:
                pipeline.hset(codifier, mapping=mapping)
            pipeline.execute()
            written += size
    return written / passed_s


def print_bus(net: Network, server: RedisServer, seconds: float) -> None:
    """Measure and print the way from the bus to Redis."""
    rows, most, is_met = [], 0.0, False
    for rate in RATES:
        is_good, cells = through(net, server, rate, seconds)
        met = [f"at least {TARGET_RATE:,}/s", "met" if is_good else "MISSED"]
        rows.append(cells + (met if rate == TARGET_RATE else []))
        if not is_good:
            break
        most, is_met = rate, True
    common.print_table(
        f"Bus to Redis, {len(CODIFIERS)} Codifiers, {seconds:g} s each",
        ["sent at", "sent", "taken", "lost", "wrong", "age (99 %)", "state cache", "target", ""],
        rows,
    )
    peers: dict[str, Callable[[], float]] = {
        "redis-py, a call for each message": lambda: one_by_one(net, server, False),
        "redis-py, a call for each field": lambda: one_by_one(net, server, True),
    }
    results = common.interleaved(peers, 3)
    print()
    common.print_table(
        "Messages/s from the bus to Redis, the most without loss",
        ["", "messages/s", "JPH is"],
        [
            ["JPH", f"{most:,.0f}" if is_met else "none of these rates", ""],
            *(
                [name, f"{common.median(rates):,.0f}", f"{most / common.median(rates):.0f} times"]
                for name, rates in results.items()
            ),
        ],
    )


def print_writes(server: RedisServer, runs: int) -> None:
    """Measure and print the rate of writing."""
    states = full_states()
    measures: dict[str, Callable[[], float]] = {"JPH": lambda: by_jph(server, states)}
    for size in PIPELINES:
        measures[f"redis-py, pipelines of {size}"] = (
            lambda size=size: by_pipeline(server, states, size)  # type: ignore[misc]
        )
    results = common.interleaved(measures, runs)
    best = max(list(results)[1:], key=lambda name: common.median(results[name]))
    ratios = [ours / theirs for ours, theirs in zip(results["JPH"], results[best], strict=True)]
    rows = [[name, f"{common.median(rates):,.0f}"] for name, rates in results.items()]
    rows[0] += common.verdict(common.median(ratios), least=TARGET_WRITES)
    parser = f"with{'' if HIREDIS_AVAILABLE else 'out'} hiredis"
    common.print_table(
        f"States/s written, {len(FIELDS)} fields each; redis-py {redis.__version__} {parser}",
        ["", "states/s", "to the best pipeline", "target", ""],
        rows,
    )


def main() -> None:
    """Measure, or be the state cache."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--receive", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.receive:
        receive(arguments.receive, arguments.url)
        return
    with common.network() as net, running_redis() as server:
        print_bus(net, server, arguments.seconds)
        print()
        print_writes(server, arguments.runs)


if __name__ == "__main__":
    main()
