"""The example network: its document, and its sensors, a program that speaks to a real broker."""

import json

from click.testing import CliRunner
from sqlalchemy import text

from gateways.tenta.examples.networks import SENSORS
from jph.config.loading import load
from jph.node.building import build
from jph.node.node import Node
from jph.paths import static_dir
from tests.helpers import eventually
from tests.network import Peer, config_of, running
from tools.main import main
from tools.needs import extras_needed

DOCUMENT = static_dir() / "examples" / "tenta.json"


def test_the_document_is_right_and_tells_what_it_needs(tmp_path):
    config = load(str(DOCUMENT), tmp_path)
    assert extras_needed(config) == ["gateways", "nats", "web"]
    known = {f"{each.network}/{each.name}" for each in SENSORS}
    assert {item["Device"] for item in config.components["TG"].settings["Proxy"]} <= known


def test_initialize_makes_the_store_and_populate_fills_it_once(tmp_path):
    def initialize(*more):
        command = ["gateway", "tenta", "initialize", "--config", str(DOCUMENT)]
        result = CliRunner().invoke(main, [*command, "--home", str(tmp_path), *more])
        assert result.exit_code == 0, result.output
        return result.output.strip().splitlines()

    made = f"{tmp_path / 'gateways.sqlite'} has the tables of Tenta"
    assert initialize()[-1] == made
    *_, said, added, user = initialize("--populate")
    assert (said, added) == (made, "12 new example sensors")
    assert user.startswith("user of the API: example, password: ") and len(user.split()[-1]) == 16
    *_, added, user = initialize("--populate")
    assert added == "0 new example sensors"
    assert user.startswith("the user example is there; jph gateway tenta user add example")


def test_the_sensors_measure_and_most_take_their_configuration(nats, store, store_url, tmp_path):
    proxies = json.loads(DOCUMENT.read_text())["Sensors"][1]["Sensor"]["Proxy"]
    own = {"Broker": nats.url, "Port": 0, "Store": store_url, "Proxy": proxies}
    config = config_of(
        {"Codifier": "TG", "Type": "Tenta", "SensorInterval": 1, "DataType": "json", "Sensor": own},
        {
            **{"Codifier": "TX", "Type": "TentaExamples", "SensorInterval": 1},
            "Sensor": {"Server": "TG", "Interval": 0.2},
        },
        *({"Codifier": item["Codifier"], "Type": "Proxy"} for item in proxies),
    )
    node = Node(config, tmp_path)
    for codifier in ("TG", "TX"):
        node.add(config.components[codifier], build)

    def answers():
        found = rows("SELECT success, count(*) FROM configuration GROUP BY success")
        return {None if success is None else bool(success): count for success, count in found}

    def rows(query):
        with store.reading() as connection:
            return connection.execute(text(query)).all()

    with Peer(config) as peer, running(node):
        for item in proxies:
            peer.hear("data", lambda m, it=item: m["source"] == it["Codifier"], 60)
        peer.hear("data", lambda m: m["source"] == "TX" and m.get("value") == len(SENSORS), 60)
        eventually(lambda: answers() == {True: 10, False: 1, None: 1}, 60)
        eventually(lambda: rows("SELECT 1 FROM log WHERE severity = 'error'"), 60)
