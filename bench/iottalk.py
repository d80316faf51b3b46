"""IoTtalk's dataflow: from a device's value to the value of another device, through a graph.

    python -m bench.iottalk [--seconds 20] [--only latency|rate|graphs|loop]

Devices and the program that builds the graphs are clients of paho in this process; mosquitto and a
node, with the pages and the gateway in one process, are others. A value goes out with QoS 1, and
its time is taken until the value of the output feature arrives here.
"""

import argparse
import json
import os
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from bench import common
from bench.common import LOOPBACK
from bench.gateway_latency import ask, node
from bench.memory import resident_mb
from gateways.iottalk.dataflow.model import digest_of
from tests.brokers import running_mosquitto

MOST_P50_MS, MOST_P99_MS = 5.0, 20.0
LATENCY_PER_S, RATE_PER_S = 200, 2_000
GRAPHS, MOST_WORKERS = 50, 8
INPUT = "def run(x): return x"
JOIN = "def run(*slots): return slots[-1]"
SUM = "def run(a, b): return a"
OUTPUT = "def run(x): return x"
LOOP = "def run(x):\n    while x > 0: pass\n    return x  # {}"
ROUNDS, ROUND_S = 7, 3.0
WAIT_S = 30.0


@dataclass
class Rig:
    """A gateway, a device with many features, and what came back."""

    client: mqtt.Client
    broker: int
    device: str
    topics: dict[tuple[str, str], str] = field(default_factory=dict)
    arrived_s: dict[int, float] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)

    def request(self, graph: str, **request: object) -> None:
        """Ask the gateway for a change of a graph."""
        before = len(self.answers)
        self.client.publish(f"iottalk/api/req/bench/graph/{graph}", json.dumps(request), 1)
        wait(lambda: len(self.answers) > before, "an answer")
        answer = self.answers[-1]
        if answer["state"] != "ok":
            raise SystemExit(f"{request} is refused: {answer['reason']}")

    def graph(self, name: str, inputs: tuple[str, ...], output: str, join: str, all_: bool) -> None:
        """Build a graph; with functions at inputs and outputs, too, if `all_`."""
        self.request(name, op="attach")
        sources = [INPUT, OUTPUT, join]
        self.request(name, op="add_funcs", codes=sources, digests=[digest_of(it) for it in sources])
        for feature in inputs:
            func = digest_of(INPUT) if all_ else None
            self.request(name, op="add_link", da_id=self.device, idf=feature, func=func)
        func = digest_of(OUTPUT) if all_ else None
        self.request(name, op="add_link", da_id=self.device, odf=output, func=func)
        self.request(name, op="set_join", prev=None, new=digest_of(join))
        wanted = [("idf", feature) for feature in inputs] + [("odf", output)]
        wait(lambda: all(key in self.topics for key in wanted), "CONNECT")

    def run(self, inputs: list[str], rate: float, seconds: float) -> tuple[list[float], int]:
        """Publish numbers to inputs in turn; return the ms until each came back, and the losses."""
        self.arrived_s.clear()
        topics = [self.topics["idf", feature] for feature in inputs]
        sent_s: dict[int, float] = {}
        count, began_s = round(rate * seconds), time.perf_counter()
        for index in range(1, count + 1):
            if (left_s := began_s + index / rate - time.perf_counter()) > 0:
                time.sleep(left_s)
            sent_s[index] = time.perf_counter()
            self.client.publish(topics[index % len(topics)], b"[%d]" % index, 1)
        with suppress(SystemExit):
            wait(lambda: len(self.arrived_s) >= count, "all values", 10)
        took_s = time.perf_counter() - began_s
        arrived = dict(self.arrived_s)
        found = sorted((arrived[it] - sent_s[it]) * 1000 for it in sent_s if it in arrived)
        print(f"  {count} values in {took_s:.1f} s, {count / took_s:.0f}/s, ", end="")
        return found, count - len(found)


def at_once(client: mqtt.Client, userdata: object, sock: Any) -> None:
    """Let no small packet of ours wait for TCP."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def wait(is_so: Callable[[], object], what: str, timeout_s: float = WAIT_S) -> None:
    """Wait for a condition."""
    until_s = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > until_s:
            raise SystemExit(f"{what} did not come within {timeout_s:g} s")
        time.sleep(0.005)


@contextmanager
def rig(broker: int, port: int, features: int) -> Iterator[Rig]:
    """Register a device with many inputs and outputs, and connect it."""
    device = str(uuid4())
    body: Mapping[str, Any] = {
        "name": "bench",
        "accept_protos": ["mqtt"],
        "idf_list": [[f"i{it}", [None]] for it in range(features)],
        "odf_list": [[f"o{it}", [None]] for it in range(features)],
    }
    registered = put(port, device, body)
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(1000)
    client.on_socket_open = at_once
    made = Rig(client, broker, device)

    def on_signal(client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        signal = json.loads(message.payload)
        kind = "idf" if "idf" in signal else "odf"
        if signal["command"] == "DISCONNECT":
            made.topics.pop((kind, signal[kind]), None)
            return
        if kind == "odf":
            client.message_callback_add(signal["topic"], on_value)
            client.subscribe(signal["topic"])
        made.topics[kind, signal[kind]] = signal["topic"]
        client.publish(f"{device}/ctrl/i", json.dumps({"msg_id": signal["msg_id"], "state": "ok"}))

    def on_value(client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        now_s = time.perf_counter()
        (value,) = json.loads(message.payload)
        made.arrived_s.setdefault(value, now_s)

    def on_answer(client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        made.answers.append(json.loads(message.payload))

    client.message_callback_add(f"{device}/ctrl/o", on_signal)
    client.message_callback_add("iottalk/api/res/bench/graph/+", on_answer)
    subscribed = threading.Event()
    client.on_subscribe = lambda *given: subscribed.set()
    client.connect(LOOPBACK, broker)
    client.loop_start()
    client.subscribe([(f"{device}/ctrl/o", 1), ("iottalk/api/res/bench/graph/+", 1)])
    subscribed.wait(WAIT_S)
    online = json.dumps({"state": "online", "rev": registered["rev"]})
    client.publish(f"{device}/ctrl/i", online, 1, True)
    try:
        yield made
    finally:
        client.disconnect()
        client.loop_stop()


def put(port: int, device: str, body: Mapping[str, Any]) -> Any:
    """Register a device."""
    import urllib.request

    url = f"http://{LOOPBACK}:{port}/{device}"
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="PUT")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def workers_of(pid: int) -> list[int]:
    """Return the processes for functions of a node."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_child = (path / "stat").read_text().rpartition(")")[2].split()[1] == str(pid)
            if is_child and b"jph.workers.running" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def cpu_s(pid: int) -> float:
    """Return the time that a process has had on a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(found: list[float], lost: int) -> tuple[float, float, float]:
    """Print percentiles and the longest, and return them."""
    p50, p99 = (found[min(len(found) - 1, int(len(found) * part))] for part in (0.5, 0.99))
    print(f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {found[-1]:.0f} ms, {lost} lost")
    return p50, p99, found[-1]


def latency(it: Rig, pid: int, seconds: float) -> None:
    """Measure a value alone."""
    print(f"{LATENCY_PER_S}/s, functions at input, join and output (at most 5 and 20 ms):")
    it.graph("latency", ("i0",), "o0", JOIN, True)
    show(*it.run(["i0"], LATENCY_PER_S, seconds))


def rate(it: Rig, pid: int, seconds: float) -> None:
    """Measure many values through one join."""
    print(f"{RATE_PER_S}/s through one graph with a join of two inputs:")
    it.graph("rate", ("i1", "i2"), "o1", SUM, False)
    it.client.publish(it.topics["idf", "i2"], b"[0]", 1)
    time.sleep(0.2)
    before_s = [cpu_s(each) for each in (pid, *workers_of(pid))]
    show(*it.run(["i1"], RATE_PER_S, seconds))
    after_s = [cpu_s(each) for each in (pid, *workers_of(pid))]
    used = ", ".join(
        f"{(after - before) / seconds:.0%}"
        for before, after in zip(before_s, after_s, strict=False)
    )
    print(f"  of a core: {used} (the node, and each process for functions)")


def graphs(it: Rig, pid: int, seconds: float) -> list[str]:
    """Measure values of many graphs."""
    names = [f"i{number}" for number in range(10, 10 + GRAPHS)]
    if ("idf", names[0]) not in it.topics:
        for number, name in enumerate(names, 10):
            it.graph(f"many-{number}", (name,), f"o{number}", JOIN + f"  # {number}", True)
    print(f"{GRAPHS} graphs with functions of their own, {LATENCY_PER_S}/s in all:")
    show(*it.run(names, LATENCY_PER_S, seconds))
    workers = workers_of(pid)
    sizes = ", ".join(f"{resident_mb(worker):.0f}" for worker in workers)
    print(f"  {len(workers)} processes (at most {MOST_WORKERS}) of {sizes} MB")
    return names


def loop(it: Rig, pid: int, seconds: float) -> None:
    """Measure the same with and without a function that loops in another graph, by turns.

    Each round has a function of its own that loops, since one is off after three failures: a round
    lasts as long as they do. The medians of all rounds are compared, as the machine has other work.
    """
    names = graphs(it, pid, seconds)
    found: dict[str, list[tuple[float, float, float]]] = {"alone": [], "beside": []}
    for number in range(ROUNDS):
        print(f"round {number + 1} of {ROUNDS}: alone, then beside a loop")
        found["alone"].append(show(*it.run(names, LATENCY_PER_S, ROUND_S)))
        it.graph(f"loop-{number}", ("i3",), "o3", LOOP.format(number), False)
        for _ in range(3):
            it.client.publish(it.topics["idf", "i3"], b"[1]", 1)
        found["beside"].append(show(*it.run(names, LATENCY_PER_S, ROUND_S)))
        it.request(f"loop-{number}", op="detach")
        wait(lambda: ("idf", "i3") not in it.topics, "DISCONNECT")
    for place, each in found.items():
        p50, p99, longest = (statistics.median(column) for column in zip(*each, strict=True))
        print(f"  {place}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {longest:.0f} ms (medians)")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parts = {"latency": latency, "rate": rate, "graphs": graphs, "loop": loop}
    parser.add_argument("--only", choices=parts)
    given = parser.parse_args()
    with (
        common.network() as net,
        running_mosquitto("max_queued_messages 0", "set_tcp_nodelay true") as broker,
    ):
        port = common.free_port()
        own = {"Broker": broker.url, "Port": port}
        entry = {"Codifier": "IT", "Type": "IotTalk", "SensorInterval": 10, "DataType": "json"}
        with node(net, "iottalk", {**entry, "Sensor": own}) as (pid, _):
            with rig(broker.port, port, 10 + GRAPHS) as it:
                time.sleep(2)
                for name, part in parts.items():
                    if given.only in (None, name) and not (name == "graphs" and not given.only):
                        part(it, pid, given.seconds)
            token = (net.folder / "home-iottalk" / "gateways" / "token").read_text().strip()
            found = ask(port, "/jph/state", token=token)
            print(f"memory of the node: {resident_mb(pid):.0f} MB; fault: {found['fault'] or '-'}")


if __name__ == "__main__":
    main()
