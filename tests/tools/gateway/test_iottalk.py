"""The commands ask a gateway of IoTtalk, whose features have any value, and none at first."""

import json

from click.testing import CliRunner

from tests.brokers import connected
from tests.gateways.iottalk.programs import Device, Program, gateway, network
from tests.helpers import eventually
from tools.gateway.command import gateway as command


def test_features_are_listed_and_adopted_with_any_value(mosquitto, tmp_path):
    config = network(mosquitto, Codifiers="i0-iz")
    values = {"number": 1.25, "text": "warm \x1b[2J", "list": ["x" * 100], "truth": True}
    with (
        gateway(config, tmp_path) as (_, component),
        connected(mosquitto.port, "phone") as client,
        connected(mosquitto.port, "gui") as of_gui,
    ):
        document = json.loads(json.dumps(dict(config.document)))
        document["Sensors"][0]["Sensor"]["Port"] = component.bound_port
        file = tmp_path / "network.json"
        file.write_text(json.dumps(document))

        def run(*arguments):
            where = ["--home", str(tmp_path), "--config", str(file)]
            ended = CliRunner().invoke(command, [*arguments, *where])
            assert ended.exit_code == 0, ended.output
            return ended.output

        features = [(name, [None]) for name in (*values, "silent")]
        phone = Device(client, component, features, [("lamp", [None])], name="Phone")
        phone.register()
        program = Program(of_gui)
        program.must("attach")
        for name in values:
            program.must("add_link", da_id=phone.id, idf=name)
            assert phone.signal() == ("CONNECT", name)
            phone.push(name, [values[name]])
        eventually(lambda: component._channels.counts["values"] == len(values))
        found = {line.split("  ")[1].strip(): line for line in run("list").splitlines()}
        rows = {name: line.removeprefix("Phone").split(name, 1)[1] for name, line in found.items()}
        assert rows["number"].split()[0] == "1.25"
        assert "warm" in rows["text"] and "\x1b" not in rows["text"]
        assert "…" in rows["list"] and "true" in rows["truth"]
        assert rows["silent"].split() == rows["lamp"].split() == ["-", "never", "-"]
        assert "i0 is silent of Phone" in run("adopt", "Phone", "silent", "--write")
        assert "i1 is lamp of" in run("adopt", phone.id, "lamp", "--write")
        entry = json.loads(file.read_text())["Sensors"][0]["Sensor"]["Proxy"]
        assert [(it["Codifier"], it["Device"]) for it in entry] == [
            ("i0", "Phone"),
            ("i1", phone.id),
        ]
