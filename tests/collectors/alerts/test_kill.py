"""Messages outlive a process that is killed: none is lost, and none is sent twice."""

import json
import signal

from jph.config.model import build
from tests.collectors.alerts.test_component import WARM, alert, network, told
from tests.helpers import eventually, free_tcp_port
from tests.http_server import Server, running, says
from tests.network import Peer, Sensors
from tests.tools.program import start


def test_a_killed_process_sends_each_message_once(tmp_path):
    port = free_tcp_port()
    entries = [{**it.entry} for it in network().components.values()]
    entries[0]["Sensor"] = {
        "Rules": [WARM],
        "Contacts": [{"Name": "hook", "Kind": "webhook", "URL": f"http://127.0.0.1:{port}/"}],
    }
    document = {"Multicast": network().document["Multicast"], "Sensors": entries}
    for entry in entries[2:]:
        entry["Type"] = "External"
    (tmp_path / "config.json").write_text(json.dumps(document))
    config = build(document)
    memory = tmp_path / "alerts" / "414c.json"

    def waiting():
        return json.loads(memory.read_text())["outbox"].get("hook", []) if memory.exists() else []

    def begin():
        return start(tmp_path, "run", "AL", "-u", "config.json")

    def kill(program):
        program.send_signal(signal.SIGKILL)
        program.wait()

    with Peer(config) as peer, Peer(config, "YY") as voice, Sensors(voice) as sensors:
        sensors.values.update(A1=40.0, A2=1.0)
        program = begin()
        try:
            told(peer, alert("firing"), timeout_s=60)
            eventually(lambda: len(waiting()) == 1)
            kill(program)
            with running(Server(port)) as server:
                server.answers["*"] = says(b"")
                program = begin()
                eventually(lambda: len(server.asked) == 1, 60)
                eventually(lambda: waiting() == [])
                kill(program)
                program = begin()
                told(peer, alert("firing"), timeout_s=60)
                sensors.values["A1"] = 20.0
                told(peer, alert("ended"), timeout_s=60)
                eventually(lambda: len(server.asked) == 2)
                eventually(lambda: waiting() == [])
                kill(program)
                program = begin()
                told(peer, lambda it: it["from"] == "R1" and it["value"] == 0, timeout_s=60)
                eventually(lambda: waiting() == [])
                sent = [json.loads(body)["event"] for _, _, _, body in server.asked]
        finally:
            if program.poll() is None:
                kill(program)
    assert sent == ["begins", "ends"]
