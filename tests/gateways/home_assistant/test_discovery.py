"""What Home Assistant is told, against its documentation as a schema."""

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.home_assistant.discovery import (
    DEVICE_CLASSES,
    Topics,
    announce,
    announced_before,
    choose,
    number_of_command,
    payload,
    removals,
)
from jph.config.model import Component
from tests.network import config_of

SCHEMA = json.loads((Path(__file__).parent / "discovery_schema.json").read_text())
TOPICS = Topics()
INTERVAL = {"SensorInterval": 10}


def network():
    return config_of(
        {"Codifier": "A1", "Name": "Boiler", "Symbol": "°C", "Area": "Cellar/East", **INTERVAL},
        {"Codifier": "B1", "Name": "Meter", "Symbol": "kWh", "Labels": ["power"], **INTERVAL},
        {"Codifier": "+/", "Name": "Door", "DataType": "bool", "TimeoutWarning": 90},
        {"Codifier": "C1", "Name": "Note", "DataType": "string"},
        {
            "Codifier": "S1",
            "Name": "Target",
            "Symbol": "°C",
            "Type": "SetPoint",
            "Control": "enabled",
            "Sensor": {"Min": 5, "Max": 30},
        },
        {
            "Codifier": "S2",
            "Name": "Lamp",
            "DataType": "bool",
            "Type": "SetPoint",
            "Control": "enabled",
        },
        {
            "Codifier": "P0",
            "Name": "Weather",
            "Type": "JSON",
            **INTERVAL,
            "Sensor": {
                "URL": "http://127.0.0.1:9/",
                "Field": "t",
                "Proxy": [{"Codifier": "P1", "Field": "h"}],
            },
        },
        {"Codifier": "P1", "Name": "Humidity", "Symbol": "%", "Type": "Proxy"},
        {"Codifier": "HW", "Type": "HistoryWriter"},
    )


def announced(config=None, chosen=None):
    config = config or network()
    chosen = choose(config, (), (), ()) if chosen is None else chosen
    return announce(config, chosen, TOPICS, "1.0")


def entities(configs):
    return {key: it for config in configs.values() for key, it in config["components"].items()}


def test_every_message_is_as_documented():
    configs = announced().configs
    for topic, config in configs.items():
        jsonschema.validate(json.loads(json.dumps(config)), SCHEMA)
        assert topic.count("/") == 3
    assert {key: entity["platform"] for key, entity in entities(configs).items()} == {
        "A1": "sensor",
        "B1": "sensor",
        "x2b2f": "binary_sensor",
        "C1": "sensor",
        "S1": "number",
        "S2": "switch",
        "P0": "sensor",
        "P1": "sensor",
    }


def test_a_component_and_its_proxies_are_one_device():
    config = announced().configs["homeassistant/device/jph_P0/config"]
    assert list(config["components"]) == ["P0", "P1"]
    assert config["components"]["P0"]["name"] is None
    assert config["components"]["P1"]["name"] == "Humidity"


def test_a_proxy_alone_stands_in_the_device_of_its_server():
    configs = announced(chosen=["P1"]).configs
    assert list(configs) == ["homeassistant/device/jph_P0/config"]
    assert configs["homeassistant/device/jph_P0/config"]["device"]["name"] == "Weather"


def test_values_expire_by_the_interval_of_their_sensor():
    found = entities(announced().configs)
    assert found["A1"]["expire_after"] == 30
    assert found["x2b2f"]["expire_after"] == 90
    assert found["P1"]["expire_after"] == 30  # as its server
    assert "expire_after" not in found["C1"]  # nobody knows when the next one comes
    assert "expire_after" not in found["S1"]


def test_meters_count_up_and_others_measure():
    found = entities(announced().configs)
    assert (found["B1"]["device_class"], found["B1"]["state_class"]) == (
        "energy",
        "total_increasing",
    )
    assert found["A1"]["state_class"] == "measurement"
    assert "state_class" not in found["C1"]
    assert (found["S1"]["min"], found["S1"]["max"]) == (5, 30)


@pytest.mark.parametrize("unit", sorted({*DEVICE_CLASSES, "%", "ppm", "", "Bq/m³"}))
@pytest.mark.parametrize("kind", ["float", "double", "integer", "bool", "string", "json"])
@pytest.mark.parametrize("control", ["enabled", "disabled"])
def test_each_unit_and_kind_is_as_documented(unit, kind, control):
    config = config_of(
        {"Codifier": "A1", "Symbol": unit, "DataType": kind, "Control": control, **INTERVAL}
    )
    for message in announced(config).configs.values():
        jsonschema.validate(json.loads(json.dumps(message)), SCHEMA)


@pytest.mark.parametrize(
    "asked, chosen",
    [
        (((), (), ()), ["A1", "B1", "+/", "C1", "S1", "S2", "P0", "P1"]),
        ((("A1", "HW"), (), ()), ["A1", "HW"]),
        (((), ("power",), ()), ["B1"]),
        (((), (), ("Cellar",)), ["A1"]),
        (((), (), ("Cell",)), []),
        ((("C1",), ("power",), ("Cellar/East",)), ["A1", "B1", "C1"]),
    ],
)
def test_what_is_asked_for_is_chosen(asked, chosen):
    assert choose(network(), *asked) == chosen


def test_an_entity_that_is_gone_is_taken_away_before_the_device_is_announced_anew():
    before = announced().configs["homeassistant/device/jph_P0/config"]
    after = announced(chosen=["P0"]).configs["homeassistant/device/jph_P0/config"]
    message = removals(before, after)
    assert message["components"]["P1"] == {"platform": "sensor"}
    assert message["components"]["P0"] == after["components"]["P0"]
    jsonschema.validate(json.loads(json.dumps(message)), SCHEMA)
    assert removals(after, after) is None
    assert removals({}, after) is None


def test_an_entity_of_another_kind_is_taken_away_first():
    before = {"components": {"P0": {"platform": "switch", "unique_id": "jph_P0"}}}
    after = announced(chosen=["P0"]).configs["homeassistant/device/jph_P0/config"]
    assert removals(before, after)["components"] == {"P0": {"platform": "switch"}}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[1]",
        b"\xff",
        b"[" * 100_000,
        b'{"components": [1]}',
        b'{"components": {"P0": 3}}',
    ],
)
def test_rubbish_that_somebody_retained_is_no_device(text):
    [before] = announced_before([("t", text)]).values()
    after = announced(chosen=["P0"]).configs["homeassistant/device/jph_P0/config"]
    assert removals(before, after) is None


def component(**given):
    return Component(codifier="A1", type="Pipe", **given)


@pytest.mark.parametrize(
    "value, kind, text",
    [
        (21.299999237060547, "float", "21.2999992"),
        (1 / 3, "double", "0.3333333333333333"),
        (3, "integer", "3"),
        (1, "bool", "ON"),
        (0.0, "bool", "OFF"),
        ("x" * 300, "string", "x" * 255),
        ({"value": 3.5, "fault": "no"}, "json", "3.5"),
        ({"a": 1}, "json", '{"a": 1}'),
    ],
)
def test_values_are_texts(value, kind, text):
    assert payload(value, component(data_type=kind)) == text


@pytest.mark.parametrize("text", ["", "nan", "inf", "1e400", "on", "true", "31", "4", "1,5"])
def test_a_command_that_is_no_number_within_the_limits_is_refused(text):
    with pytest.raises(ValueError):
        number_of_command(text, component(settings={"Min": 5, "Max": 30}))


@given(st.floats(5, 30))
def test_a_command_within_the_limits_is_its_number(number):
    assert number_of_command(repr(number), component(settings={"Min": 5, "Max": 30})) == number


@pytest.mark.parametrize("text, number", [("ON", 1), ("OFF", 0)])
def test_a_switch_is_on_or_off(text, number):
    assert number_of_command(text, component(data_type="bool")) == number
    with pytest.raises(ValueError, match="neither"):
        number_of_command("1", component(data_type="bool"))
