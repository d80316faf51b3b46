"""The Alerts component on a real bus, with a program of bare sockets as the network."""

import contextlib
import json
import time

import jsonschema
import pytest

from collectors.alerts import component as component_module
from collectors.alerts.component import Alerts
from jph import registry
from jph.alerts.rules import BLIND, NODE, SILENT
from jph.alerts.telling import Order, Verb, argument_of
from jph.config.checks import check
from jph.config.model import build as build_config
from jph.config.schema import json_schema
from jph.node.building import build
from jph.node.node import Node
from tests.helpers import eventually, logged, new_bus
from tests.http_server import says
from tests.network import Peer, Sensors, config_of, running

WARM = {"Name": "Too warm", "Kind": "above", "Limit": 30, "Sensors": ["A1"], "Codifier": "R1"}


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(component_module, "LOOK_S", 0.1)


def network(server=None, *, rules=(WARM,), **settings):
    contacts = [{"Name": "hook", "Kind": "webhook", "URL": server.url}] if server else []
    sensor = {"SensorInterval": 1, "TimeoutWarning": 4, "KeepAliveInterval": 5}
    return config_of(
        {
            "Codifier": "AL",
            "Type": "Alerts",
            "SensorInterval": 1,
            "DataType": "json",
            "Control": "enabled",
            "Sensor": {"Rules": list(rules), "Contacts": contacts, **settings},
        },
        {"Codifier": "R1", "Type": "Proxy", "DataType": "json", "Sensor": {"Server": "AL"}},
        {"Codifier": "A1", "Name": "Boiler", "Symbol": "°C", **sensor},
        {"Codifier": "A2", "Name": "Cellar", **sensor},
        {"Codifier": "B1", "Host": "pi9", **sensor},
        {"Codifier": "B2", "Host": "pi9", **sensor},
    )


@contextlib.contextmanager
def alerts(config, home):
    node = Node(config, home)
    node.add(config.components["AL"], build)
    with running(node):
        yield node


@contextlib.contextmanager
def playing(config):
    with Peer(config) as peer, Peer(config, "YY") as voice, Sensors(voice) as sensors:
        yield peer, sensors


def told(peer, wanted, **given):
    """Return the next object of the alerts that is wanted."""
    found = {}

    def is_wanted(message):
        if message["flag"] != "j" or message["source"] not in ("AL", "R1"):
            return False
        content = {"from": message["source"], **json.loads(message["value"])}
        if wanted(content):
            found.update(content)
            return True
        return False

    peer.hear("data", is_wanted, **given)
    return found


def alert(state, rule="Too warm"):
    return lambda it: it.get("alert", {}).get("state") == state and it["alert"]["rule"] == rule


def events(server):
    contents = [json.loads(body) for _, _, _, body in server.asked]
    return [(it["event"], it.get("rule")) for it in contents]


def test_an_alert_begins_and_ends_on_the_bus_and_for_people(server, tmp_path):
    server.answers["*"] = says(b"")
    config = network(server, PublicURL="http://home.example.org")
    with playing(config) as (peer, sensors), alerts(config, tmp_path):
        sensors.values.update(A1=20.0, A2=1.0)
        assert told(peer, lambda it: it["from"] == "R1")["value"] == 0
        sensors.values["A1"] = 31.5
        begun = told(peer, alert("firing"))
        assert begun["value"] == 1
        assert begun["alert"]["subject"] == "A1"
        assert begun["alert"]["text"] == "Boiler is above 30 °C"
        state = told(peer, lambda it: it["from"] == "R1" and it["value"] == 2)
        assert (state["rule"], state["subjects"]) == ("Too warm", ["A1"])
        sensors.values["A1"] = 20.0
        assert told(peer, alert("ended"))["value"] == 0
        assert told(peer, lambda it: it["from"] == "R1" and it["value"] == 0)["subjects"] == []
        eventually(lambda: len(server.asked) == 2)
    assert events(server) == [("begins", "Too warm"), ("ends", "Too warm")]
    first = json.loads(server.asked[0][3])
    assert first["title"] == "Boiler is above 30 °C: 31.5 °C"
    assert first["url"] == "http://home.example.org/component/A1"


def test_a_sensor_falls_silent_without_any_rule(server, tmp_path):
    server.answers["*"] = says(b"")
    config = network(server, rules=())
    with playing(config) as (peer, sensors), alerts(config, tmp_path):
        sensors.values.update(A1=20.0, A2=1.0)
        told(peer, lambda it: it["value"] == 0)
        time.sleep(0.5)
        del sensors.values["A1"]
        assert told(peer, alert("firing", SILENT))["alert"]["subject"] == "A1"
        sensors.values["A1"] = 20.0
        told(peer, alert("ended", SILENT))
        eventually(lambda: len(server.asked) == 2)
    assert events(server) == [("begins", SILENT), ("ends", SILENT)]


def test_a_node_that_dies_is_one_alert(server, tmp_path):
    server.answers["*"] = says(b"")
    config = network(server, rules=())
    with playing(config) as (peer, sensors), alerts(config, tmp_path):
        sensors.values.update(A1=20.0, A2=1.0, B1=1.0, B2=2.0)
        told(peer, lambda it: it["value"] == 0)
        time.sleep(0.5)
        del sensors.values["B1"], sensors.values["B2"]
        found = told(peer, alert("firing", NODE))
        assert found["alert"]["subject"] == "pi9"
        assert peer.quiet("data", lambda it: '"A component' in str(it.get("value")), 3)
        eventually(lambda: server.asked)
    assert events(server) == [("begins", NODE)]


def test_who_hears_nothing_is_blind(server, tmp_path):
    server.answers["*"] = says(b"")
    config = network(server, rules=())
    with playing(config) as (peer, sensors), alerts(config, tmp_path):
        sensors.values.update(A1=20.0, A2=1.0)
        told(peer, lambda it: it["value"] == 0)
        time.sleep(0.5)
        sensors.values.clear()
        told(peer, alert("firing", BLIND), timeout_s=40)
        sensors.values.update(A1=20.0, A2=1.0)
        told(peer, alert("ended", BLIND))
    assert ("begins", SILENT) not in events(server) and ("begins", NODE) not in events(server)


def test_a_restart_repeats_no_message_and_keeps_the_alert(server, tmp_path):
    server.answers["*"] = says(b"")
    config = network(server)
    with playing(config) as (peer, sensors):
        sensors.values.update(A1=31.5, A2=1.0)
        with alerts(config, tmp_path):
            number = told(peer, alert("firing"))["alert"]["id"]
            eventually(lambda: len(server.asked) == 1)
        with alerts(config, tmp_path):
            again = told(peer, alert("firing"))
            assert (again["alert"]["id"], again["value"]) == (number, 1)
            sensors.values["A1"] = 20.0
            told(peer, alert("ended"))
            eventually(lambda: len(server.asked) == 2)
    assert events(server) == [("begins", "Too warm"), ("ends", "Too warm")]


def test_a_damaged_memory_is_said_and_the_alerts_begin_anew(tmp_path, caplog):
    (tmp_path / "alerts").mkdir()
    (tmp_path / "alerts" / "414c.json").write_text('{"book": {"next_id": "x"')
    config = network()
    with playing(config) as (peer, sensors), alerts(config, tmp_path):
        sensors.values.update(A1=31.5, A2=1.0)
        told(peer, alert("firing"))
    assert logged(caplog, "414c.json", "begin anew") == 1


def test_acknowledge_snooze_and_reopen_by_the_bus(tmp_path):
    config = network()
    with playing(config) as (peer, sensors), alerts(config, tmp_path):
        sensors.values.update(A1=31.5, A2=1.0)
        number = told(peer, alert("firing"))["alert"]["id"]
        peer.command("A", "R1", 0.0)
        assert told(peer, alert("acknowledged"))["value"] == 0
        assert told(peer, lambda it: it["from"] == "R1" and it["value"] == 1)
        peer.command("A", "AL", Order(Verb.REOPEN, number).number())
        assert told(peer, alert("firing"))["value"] == 1
        peer.command("A", "R1", 3600.0)
        snoozed = told(peer, alert("snoozed"))["alert"]
        assert 3_500_000 < snoozed["until"] - snoozed["at"] <= 3_600_000
        peer.command("A", "AL", Order(Verb.ATTEND, number).number())
        told(peer, alert("acknowledged"))
        peer.command("A", "AL", Order(Verb.TELL).number())
        told(peer, alert("acknowledged"))
        peer.command("A", "AL", 3.5)
        peer.command("A", "AL", -1.0)
        peer.command("A", "AL", 1e300)
        sensors.values["A1"] = 1.0
        told(peer, alert("ended"))


def test_maintenance_by_the_bus_begins_ends_and_survives_a_restart(server, tmp_path):
    server.answers["*"] = says(b"")
    config = network(server)
    order = Order(Verb.MAINTAIN_CODIFIER, argument_of("codifier", "A1"), 600)
    with playing(config) as (peer, sensors):
        sensors.values.update(A1=20.0, A2=1.0)
        with alerts(config, tmp_path):
            told(peer, lambda it: it["value"] == 0)
            peer.command("A", "AL", order.number())
            found = told(peer, lambda it: "maintenance" in it)["maintenance"]
            assert (found["of"], found["name"]) == ("codifier", "A1")
        with alerts(config, tmp_path):
            sensors.values["A1"] = 31.5
            assert told(peer, alert("maintained"))["value"] == 0
            assert server.asked == []
            peer.command("A", "AL", Order(order.verb, order.argument, 0).number())
            assert told(peer, lambda it: "maintenance" in it)["maintenance"]["until"] == 0
            told(peer, alert("firing"))
            eventually(lambda: server.asked)
    assert events(server) == [("begins", "Too warm")]


def test_a_test_message_goes_out_and_its_fate_is_on_the_bus(server, tmp_path):
    server.answers["*"] = says(b"", 500)
    config = network(server)
    with playing(config) as (peer, _), alerts(config, tmp_path):
        told(peer, lambda it: it["value"] == 0)
        peer.command("A", "AL", Order(Verb.TEST, 1).number())
        tested = told(peer, lambda it: "tested" in it)["tested"]
        assert (tested["contact"], tested["ok"]) == ("hook", False) and "500" in tested["text"]
    assert events(server) == [("test", None)]


def test_a_contact_that_cannot_be_told_is_a_fault_of_the_component(server, tmp_path):
    server.answers["*"] = says(b"", 500)
    config = network(server)
    with playing(config) as (peer, sensors), alerts(config, tmp_path):
        sensors.values.update(A1=31.5, A2=1.0)
        assert "hook" in told(peer, lambda it: "fault" in it)["fault"]


def test_a_halted_one_judges_nothing_and_goes_on_without_blindness(server, tmp_path):
    server.answers["*"] = says(b"")
    config = network(server)
    with playing(config) as (peer, sensors), alerts(config, tmp_path):
        sensors.values.update(A1=20.0, A2=1.0)
        told(peer, lambda it: it["value"] == 0)
        peer.command("H", "AL")
        peer.hear("control", lambda it: it["source"] == "AL" and not it["active"])
        time.sleep(0.5)
        peer.drain("data")
        sensors.values["A1"] = 31.5
        assert peer.quiet("data", lambda it: it["source"] == "AL", 1.5)
        peer.command("S", "AL")
        told(peer, alert("firing"))
        eventually(lambda: server.asked)
    assert events(server) == [("begins", "Too warm")]


def test_whatever_the_names_it_sends_what_existing_nodes_take(tmp_path):
    long = "🌡️ Küche مرحبا <b> " * 30
    rule = {**WARM, "Name": long[:80], "Text": long[:300]}
    config = network(rules=[rule])
    others = [{**it.entry, "Name": long} for it in config.components.values()]
    config = config_of(*others)
    heard = []
    with playing(config) as (peer, sensors), alerts(config, tmp_path):
        sensors.values.update(A1=31.5, A2=1.0)

        def is_wanted(content):
            heard.append(content)
            return content["from"] == "R1" and content["value"] == 2

        messages = []
        peer.hear("data", lambda it: messages.append(it) or len(messages) > 30)
        told(peer, is_wanted)
    ours = [it for it in messages if it["source"] in ("AL", "R1")]
    assert {it["flag"] for it in ours} <= {"j", "n"}
    assert all(it["size"] <= 1472 for it in ours)
    assert all("value" in it for it in heard)


def test_a_value_that_wavers_writes_the_disk_only_for_what_fires(tmp_path, monkeypatch):
    written = []
    keep = component_module.rewrite_file
    monkeypatch.setattr(
        component_module, "rewrite_file", lambda *given: written.append(1) or keep(*given)
    )
    config = network(rules=[{**WARM, "For": 60}])
    with playing(config) as (peer, sensors), alerts(config, tmp_path):
        for value in (40.0, 20.0, 40.0, 20.0):
            sensors.values.update(A1=value, A2=1.0)
            told(peer, alert("pending" if value > 30 else "ended"))
        assert len(written) <= 1  # at the start


def test_a_component_that_fails_in_this_process_is_told_with_its_reason(tmp_path):
    rule = {"Name": "Broken", "Kind": "failing"}
    config = config_of(
        {"Codifier": "AL", "Type": "Alerts", "SensorInterval": 1, "Sensor": {"Rules": [rule]}},
        {"Codifier": "P1", "Type": "Pipe", "SensorInterval": 0.2}
        | {"Sensor": {"Pipe": str(tmp_path / "nothing")}},
    )
    node = Node(config, tmp_path)
    for codifier in ("AL", "P1"):
        node.add(config.components[codifier], build)
    with Peer(config) as peer, running(node):
        found = told(peer, alert("firing", "Broken"))["alert"]
    assert found["subject"] == "P1" and "nothing" in found["text"]


def test_a_component_that_is_new_in_the_configuration_is_watched_and_alerts_go_on(tmp_path):
    config = network()
    new = {"Codifier": "C1", "Type": "External", "SensorInterval": 1, "TimeoutWarning": 4}
    entries = [{**it.entry} for it in config.components.values()]
    larger = build_config({**config.document, "Sensors": [*entries, new]}, "test")
    with playing(config) as (peer, sensors), alerts(config, tmp_path) as node:
        sensors.values.update(A1=31.5, A2=1.0, C1=1.0)
        number = told(peer, alert("firing"))["alert"]["id"]
        node.runners["AL"].post_config(larger)
        again = told(peer, alert("firing"))
        assert (again["alert"]["id"], again["value"]) == (number, 1)
        time.sleep(1.5)
        del sensors.values["C1"]
        assert told(peer, alert("firing", SILENT))["alert"]["subject"] == "C1"


def test_without_control_nobody_can_silence_it(tmp_path):
    config = network()
    entry = {**config.components["AL"].entry}
    del entry["Control"]
    others = [it.entry for code, it in config.components.items() if code != "AL"]
    config = config_of(entry, *others)
    with playing(config) as (peer, sensors), alerts(config, tmp_path):
        sensors.values.update(A1=31.5, A2=1.0)
        told(peer, alert("firing"))
        peer.command("A", "R1", 0.0)
        assert peer.quiet("data", lambda it: "acknowledged" in str(it.get("value")), 1.5)


# The configuration


def document(**settings):
    return new_bus().document(
        {"Codifier": "AL", "Type": "Alerts", "Sensor": settings},
        {"Codifier": "A1", "Type": "Pipe", "SensorInterval": 1, "Sensor": {"Pipe": "/dev/null"}},
    )


def test_every_mistake_has_its_path():
    mistakes, _ = check(
        document(
            Rules=[
                {"Name": "a", "Kind": "above"},
                {"Name": "b", "Kind": "below", "Limit": "low", "For": -1},
                {"Kind": "silent", "Name": "c", "Limit": 3},
            ],
            Contacts=[{"Name": "x", "Kind": "mail"}, {"Name": "y", "Kind": "pigeon"}],
        )
    )
    places = [line.partition(":")[0].removeprefix("Sensors[0].Sensor.") for line in mistakes]
    assert places == [
        "Rules[0].Limit",
        "Rules[1].Limit",
        "Rules[1].For",
        "Rules[2].Limit",
        "Contacts[0].Server",
        "Contacts[0].From",
        "Contacts[0].To",
        "Contacts[1].Kind",
    ]


def test_what_disagrees_with_the_network_has_its_path():
    mistakes, _ = check(
        document(
            Rules=[
                {"Name": "a", "Kind": "failing", "Sensors": ["A1", "XX"], "Contacts": ["who"]},
                {"Name": "a", "Kind": "failing", "Codifier": "ZZ"},
            ],
            Quiet="late",
            TimeZone="Mars/Base",
            PublicURL="home",
        )
    )
    places = [line.partition(":")[0].removeprefix("Sensors[0].Sensor.") for line in mistakes]
    assert places == [
        "Rules[0].Sensors[1]",
        "Rules[0].Contacts[0]",
        "Rules[1].Name",
        "Rules[1].Codifier",
        "Quiet",
        "TimeZone",
        "PublicURL",
    ]


def test_the_schema_knows_rules_and_contacts():
    schema = json_schema()
    good = document(Rules=[WARM | {"Codifier": None}], Contacts=[])
    jsonschema.validate(good, schema)
    for wrong in ([{"Name": "a"}], [{"Name": "a", "Kind": "hot"}], [{**WARM, "Limit": "x"}]):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document(Rules=wrong), schema)


def test_the_type_is_this_class():
    assert registry.find("Alerts") is Alerts


def test_a_rule_whose_codifier_is_served_by_another_is_said(tmp_path, caplog):
    config = config_of(
        {"Codifier": "AL", "Type": "Alerts", "SensorInterval": 1}
        | {"Sensor": {"Rules": [{"Name": "a", "Kind": "failing", "Codifier": "A1"}]}},
        {"Codifier": "A1", "SensorInterval": 1},
    )
    with alerts(config, tmp_path), Peer(config) as peer:
        told(peer, lambda it: it["value"] == 0)
    assert logged(caplog, '"a"', "A1", "Proxy", "AL") == 1
