"""A network in the older style with every type in it, on a machine without its hardware."""

import json
import re
from collections import Counter
from pathlib import Path

from jph import registry
from jph.config.model import build
from tests.helpers import eventually, free_tcp_port
from tests.network import Peer
from tests.tools.program import start

EXISTING = Path(__file__).parents[1] / "data" / "existing-config.json"


def moved(bus, home: Path) -> dict:
    """Return the document on a bus of its own, with addresses where no server listens."""
    nobody = f"127.0.0.1:{free_tcp_port()}"
    text = re.sub(r"192\.0\.2\.\d+(:\d+)?", nobody, EXISTING.read_text())
    document = json.loads(text)
    document["Multicast"] = bus.multicast()
    del document["Logging"]  # to syslog
    entries = {entry["Codifier"]: entry for entry in document["Sensors"]}
    entries["R1"]["Sensor"] = {"URL": f"redis://{nobody}/0"}
    entries["G1"]["Sensor"]["Server"] = f"ws://{nobody}"
    entries["W1"]["Sensor"] = {"Port": free_tcp_port()}
    for codifier in ("P1", "P2", "P3"):
        host, _, port = nobody.partition(":")
        entries[codifier]["Sensor"]["SQL"] |= {"Host": host, "Port": int(port)}
    document["Sensors"] += [
        {"Codifier": "Q1", "Type": "Formula", "SensorInterval": 1, "Sensor": {"Formula": "A2 * 2"}},
        {"Codifier": "Q2", "Type": "Simulated", "SensorInterval": 1, "Sensor": {"Kind": "sine"}},
        {"Codifier": "Q3", "Type": "JSON", "SensorInterval": 1}
        | {"Sensor": {"URL": "/healthz", "Field": "threads"}},
        {"Codifier": "Q4", "Type": "StateCache", "SensorInterval": 1},
        {"Codifier": "Q5", "Type": "External"},
        {"Codifier": "Q7", "Type": "Alerts", "SensorInterval": 1},
        {"Codifier": "Q8", "Type": "Broker", "SensorInterval": 1}
        | {"Sensor": {"Port": free_tcp_port()}},
        {"Codifier": "Q9", "Type": "HomeAssistant", "SensorInterval": 1}
        | {"Sensor": {"Broker": "Q8"}},
        {"Codifier": "Q0", "Type": "Tenta", "SensorInterval": 1}
        | {"Sensor": {"Broker": "Q8", "Port": free_tcp_port()}},
        {"Codifier": "q1", "Type": "Esp32", "SensorInterval": 1}
        | {"Sensor": {"Broker": "Q8", "Port": free_tcp_port()}},
        {"Codifier": "q2", "Type": "Esp32Examples", "SensorInterval": 1}
        | {"Sensor": {"Server": "q1"}},
        {"Codifier": "q3", "Type": "IotTalk", "SensorInterval": 1}
        | {"Sensor": {"Broker": "Q8", "Port": free_tcp_port()}},
        {"Codifier": "q4", "Type": "IotTalkExamples", "SensorInterval": 1}
        | {"Sensor": {"Server": "q3"}},
        {"Codifier": "q0", "Type": "TentaExamples", "SensorInterval": 1}
        | {"Sensor": {"Server": "Q0"}},
        {"Codifier": "Q6", "Type": "OneWire", "SensorInterval": 1} | {"Sensor": {"Device": "28-0"}},
    ]
    (home / ".sqlpassword").write_text("secret\n")
    return document


def test_a_network_with_every_type_starts_and_stays(bus, tmp_path):
    document = moved(bus, tmp_path)
    used = {registry.current(entry["Type"]) for entry in document["Sensors"]}
    assert used == set(registry.TYPES)  # a new type belongs here, too
    (tmp_path / "config.json").write_text(json.dumps(document))
    config = build(document)
    running = {
        component.codifier
        for component in config.components.values()
        if registry.is_run(component.type) and component.type not in registry.NEVER_RUN
    }
    with Peer(config) as peer:
        program = start(
            tmp_path, "up", "-u", "config.json", JPH_HOST="pi1", HOME=str(tmp_path), USER="pi"
        )
        try:
            silent = set(running)
            while silent:
                silent.discard(peer.hear("control", lambda m: m["flag"] == "N", 60)["source"])
            for codifier, flag in (("A2", "f"), ("Q1", "f"), ("Q2", "f"), ("Q3", "i")):
                peer.hear("data", lambda m, w=(codifier, flag): (m["source"], m["flag"]) == w, 60)

            def failing() -> Counter[str]:
                lines = (tmp_path / "err").read_text().splitlines()
                return Counter(found[1] for line in lines if (found := FAILED.match(line)))

            expected = {"B1", "C1", "D1", "E1", "F1", "G1", "H1", "I2", "Q6"}
            eventually(lambda: failing().keys() >= expected, 60, "a line of each that fails")
            silent = set(running)
            peer.drain("control")
            for codifier in running:
                peer.command("P", codifier, 7.0)
            while silent:
                silent.discard(peer.hear("control", lambda m: m["flag"] == "T", 30)["source"])
            assert max(failing().values()) == 1  # once each
            assert program.poll() is None
        finally:
            program.terminate()
            ended = program.wait(30)
    assert ended == 0
    assert "Traceback" not in (tmp_path / "err").read_text()


FAILED = re.compile(r"WARNING \w+: (\S\S) .*; it stays on the bus and is tried again$")
