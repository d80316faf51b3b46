"""Faults of the gateway of IoTtalk, as a node of its own between broker and store.

    python -m tests.faults.iottalk kills [--requests 900] [--kills 50]   the gateway is killed
    python -m tests.faults.iottalk away [--seconds 60]                   its store takes nothing
    python -m tests.faults.iottalk broker [--kills 20]                   the broker is killed
    … --broker nats                                                      instead of mosquitto

A program asks for graphs with QoS 1. Each request that the broker acknowledged has to be obeyed and
answered in the end, and devices that were connected by graphs send values to each other again,
without registering anew. Values themselves are of the moment, and are not kept for anybody.
"""

import argparse
import json
import queue
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from jph.devices import Gateway as Asked
from jph.errors import GatewayError
from tests.brokers import Broker, connected, running_like_ours
from tests.faults.gateway_process import GatewayProcess
from tests.faults.mqtt_rig import QUIET_S, Sensor
from tests.gateways.iottalk.programs import Device, Program
from tests.helpers import eventually, free_tcp_port

STORE = "gateways.sqlite"
DEVICES = 5
MOST_REQUESTS = 900  # of graphs, of which a gateway takes a thousand


@dataclass
class Verdict:
    """What became of requests and connections.

    Args:
        acknowledged: requests that the broker acknowledged to the program.
        lost: of these, requests that were not obeyed.
        unanswered: of these, requests that were not answered.
        apart: devices whose values come to nobody in the end.
        back_s: longest time until the first value went through again.
    """

    acknowledged: int = 0
    lost: int = 0
    unanswered: int = 0
    apart: int = 0
    back_s: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.acknowledged:,} requests acknowledged, {self.lost} lost, "
            f"{self.unanswered} without an answer; {self.apart} of {DEVICES} devices apart; "
            f"values went on after {self.back_s:.1f} s at most"
        )

    @property
    def is_good(self) -> bool:
        """Whether nothing is missing."""
        return not (self.lost or self.unanswered or self.apart)


class Network:
    """A gateway, devices with a graph each, and a program that asks for more graphs."""

    def __init__(self, broker: Broker, home: Path, opened: ExitStack) -> None:
        self.broker, self.home = broker, home
        port = free_tcp_port()
        own = {"Broker": broker.url, "Port": port, "Store": f"sqlite:///{STORE}"}
        entry = {"Codifier": "IT", "Type": "IotTalk", "SensorInterval": 1, "Sensor": own}
        self.gateway = GatewayProcess(entry, home)
        opened.callback(self.gateway.kill)
        self._asked = Asked(self.gateway.component, home)
        self.await_connection()
        there = SimpleNamespace(bound_port=port)
        self.devices = [self._device(opened, there, number) for number in range(DEVICES)]
        program = Program(opened.enter_context(connected(broker.port, "gui")))
        for number, device in enumerate(self.devices):
            program.must("attach", str(number))
            program.must("add_link", str(number), da_id=device.id, idf="in", func=None)
            program.must("add_link", str(number), da_id=device.id, odf="out", func=None)
        for device in self.devices:
            eventually(lambda it=device: len(it.topics) == 2, 60, "its features are connected")
        self.answers: set[str] = set()
        self._listen(opened.enter_context(connected(broker.port, "answers")))
        self.sensor = Sensor(broker, self._request)
        opened.callback(self.sensor.close)

    def _device(self, opened: ExitStack, there: SimpleNamespace, number: int) -> Device:
        client = opened.enter_context(connected(self.broker.port, f"device-{number}"))
        device = Device(client, there, [("in", [None])], [("out", [None])])
        device.register()

        def on_connect(*_: object) -> None:  # as a device application does
            client.subscribe(device.down, 2)
            for name, topic in list(device.topics.items()):
                if name == "out":
                    client.subscribe(topic)
            said = json.dumps({"state": "online", "rev": device.rev})
            client.publish(device.up, said, 2, retain=True)

        client.on_connect = on_connect
        client.reconnect_delay_set(1, 1)
        return device

    def _listen(self, client) -> None:
        topic = "iottalk/api/res/asker/graph/+"
        client.message_callback_add(
            topic, lambda client, data, message: self.answers.add(message.topic.rpartition("/")[2])
        )
        client.on_connect = lambda *_: client.subscribe(topic, 1)
        client.reconnect_delay_set(1, 1)
        client.subscribe(topic, 1)

    @staticmethod
    def _request(number: int) -> tuple[str, bytes]:
        return f"iottalk/api/req/asker/graph/{number}", b'{"op": "attach"}'

    def is_connected(self) -> bool:
        """Whether the gateway is connected to its broker."""
        with suppress(GatewayError):
            state = self._asked.ask("state", deadline_s=5)
            return str(state["broker"]).startswith("connected")
        return False

    def await_connection(self) -> None:
        """Wait until the gateway is connected."""
        eventually(self.is_connected, 60, "the gateway is connected")

    def await_values(self, device: Device) -> float:
        """Return after how long a value of a device comes back to it."""
        began_s = time.monotonic()
        while not device.values.empty():
            device.values.get()
        while time.monotonic() < began_s + QUIET_S:
            device.push("in", [1])
            with suppress(queue.Empty):
                device.values.get(timeout=0.2)
                return time.monotonic() - began_s
        raise AssertionError("no value comes through")

    def graphs(self) -> set[str]:
        """Return the names of the graphs that the program asked for."""
        found = self._asked.ask("graphs", deadline_s=20)
        return {each["name"] for each in found["graphs"] if each["client"] == "asker"}

    def judge(self, verdict: Verdict) -> Verdict:
        """Wait until all is done, or nothing more comes; compare."""
        self.sensor.finish()
        self.await_connection()
        asked = {str(number) for number in self.sensor.acknowledged}
        verdict.acknowledged = len(asked)

        def is_done() -> bool:
            with suppress(GatewayError):
                verdict.lost = len(asked - self.graphs())
                verdict.unanswered = len(asked - self.answers)
                return not (verdict.lost or verdict.unanswered)
            return False

        with suppress(AssertionError):
            eventually(is_done, QUIET_S)
        for device in self.devices:
            try:
                verdict.back_s = max(verdict.back_s, self.await_values(device))
            except AssertionError:
                verdict.apart += 1
        return verdict


@contextmanager
def network(broker: Broker) -> Iterator[Network]:
    """Run a gateway, devices and a program."""
    with tempfile.TemporaryDirectory(prefix="jph-faults-") as name, ExitStack() as opened:
        yield Network(broker, Path(name), opened)


def kills(broker: Broker, requests: int, kills: int) -> Verdict:
    """Kill the gateway while requests come."""
    with network(broker) as net:
        verdict = Verdict()
        for _ in range(kills):
            seconds = random.uniform(0.5, 2.5)  # it takes about 1 s until it has connected
            net.sensor.send(requests / kills / seconds, seconds)
            net.gateway.kill()
            net.gateway.start()
        return net.judge(verdict)


def away(broker: Broker, requests: int, seconds: float) -> Verdict:
    """Let the store take nothing for a while; values go on meanwhile."""
    with network(broker) as net:
        net.sensor.send(10, 1)
        with sqlite3.connect(net.home / STORE, timeout=20, isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            net.sensor.send(requests / seconds, seconds)
            for device in net.devices:
                net.await_values(device)
            other.execute("ROLLBACK")
        other.close()
        return net.judge(Verdict())


def broker_kills(broker: Broker, requests: int, kills: int) -> Verdict:
    """Kill the broker between requests; gateway, devices and program connect anew."""
    with network(broker) as net:
        verdict = Verdict()
        for _ in range(kills):
            net.sensor.send(requests / kills, 1)
            # What mosquitto acknowledged and had not handed over yet would be lost with it.
            net.judge(Verdict())
            broker.kill()
            eventually(lambda: not net.is_connected(), 60, "the gateway knows of it")
            broker.start()
            began_s = time.monotonic()
            for device in net.devices:
                net.await_values(device)
            verdict.back_s = max(verdict.back_s, time.monotonic() - began_s)
        return net.judge(verdict)


def main() -> int:
    """Run one fault and print what became of requests and devices."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("fault", choices=["kills", "away", "broker"])
    parser.add_argument("--broker", choices=["mosquitto", "nats"], default="mosquitto")
    parser.add_argument("--requests", type=int, default=MOST_REQUESTS)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seconds", type=float, default=60)
    chosen = parser.parse_args()
    with running_like_ours(chosen.broker) as broker:
        if chosen.fault == "kills":
            verdict = kills(broker, chosen.requests, chosen.kills or 50)
        elif chosen.fault == "away":
            verdict = away(broker, chosen.requests, chosen.seconds)
        else:
            verdict = broker_kills(broker, chosen.requests, chosen.kills or 20)
    print(verdict)
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
