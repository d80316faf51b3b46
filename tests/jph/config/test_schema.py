"""The JSON Schema says what the checker says."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph import registry
from jph.config import checks
from jph.config.schema import component_schema, json_schema
from jph.errors import ConfigError
from tests.jph.config.test_checks import SHIPPED, SOUND, damaged, json_sensor, network, pipe, proxy

EXISTING = Path(__file__).parents[2] / "data" / "existing-config.json"

# What a schema has no words for; docs/configuration.md has the same list for people.
BEYOND_A_SCHEMA = re.compile(
    r"Codifier \".*\" is also used|no Proxy list names|is named twice|is the component itself"
    r"|is not in Sensors|is also named by|must be of Type Proxy|Proxy list of|whose Proxy list"
    r"|the Codifier of the component that sends|\.Proxy\[\d+\]\.Codifier: is required"
    r"|must differ from the other|^Logging|must not hold a password|unknown Type"
    r"|URL: |Pipe: is empty|Fields?: "
)


@pytest.fixture(scope="module")
def validator():
    """Return what validates a document by the schema."""
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def refusals(validator, document):
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


@pytest.mark.parametrize("path", [SHIPPED, EXISTING], ids=["shipped", "existing"])
def test_sound_networks_are_sound_by_the_schema(validator, path):
    assert refusals(validator, json.loads(path.read_bytes())) == []


@pytest.mark.parametrize(
    "entry",
    [
        pipe(SensorInterval=0),
        pipe(SensorInterval="often"),
        pipe(Active="yes"),
        pipe(DataType="int"),
        pipe(Sensor={}),
        pipe(Sensor={"Pipe": "/x", "Number": -1}),
        pipe(Sensor=None),
        pipe("ABC"),
        pipe("@@"),
        pipe(Type=None),
        {"Codifier": "A1"},
        json_sensor("A1", Timeout=0),
        json_sensor("A1", URL=None),
        7,
    ],
)
def test_what_the_checker_refuses_the_schema_refuses(validator, entry):
    assert checks.check(network(entry))[0] != []
    assert refusals(validator, network(entry)) != []


@pytest.mark.parametrize(
    "entry",
    [
        pipe(SensorInterval="5", Sensor={"Pipe": "/x", "Scale": "0.5", "Timeout": "1e1"}),
        pipe(ShortName=None, Host=None, Report=None, Sensor={"Pipe": "/x", "Scale": None}),
        pipe(Type="TempLinux", Sensor={"Pipe": ["/bin/echo", "1"]}),
        pipe(KeepAliveInterval=10.0, Sensor={"Pipe": "/x", "Number": 2.0}),
        {"Codifier": "A1", "Type": "ControlProgram", "Sensor": {"anything": [1]}},
    ],
)
def test_what_the_checker_takes_the_schema_takes(validator, entry):
    assert checks.check(network(entry))[0] == []
    assert refusals(validator, network(entry)) == []


@given(st.data())
def test_schema_and_checker_agree_on_damaged_documents(validator, data):
    document = damaged(data, SOUND)
    found = checks.check(document)[0]
    refused = refusals(validator, document)
    if refused:
        assert found, refused
    elif found:
        assert all(BEYOND_A_SCHEMA.search(line) for line in found), found


def test_every_type_has_its_rules():
    rules = json_schema()["properties"]["Sensors"]["items"]["allOf"]
    named = {rule["if"]["properties"]["Type"]["const"] for rule in rules}
    assert named == {name for name in registry.names() if registry.is_run(name)} - {
        name for name in registry.names() if registry.current(name) in registry.NEVER_RUN
    }


def test_a_document_may_name_its_schema():
    assert checks.check({"$schema": "config.schema.json", **network(pipe())}) == ([], [])


def test_proxies_are_described(validator):
    document = network(json_sensor("A1", "B1"), proxy("B1"))
    document["Sensors"][0]["Sensor"]["Proxy"][0]["Field"] = 3
    assert refusals(validator, document) != []


def test_every_setting_has_a_label_and_numbers_their_unit():
    known = component_schema("Simulated")["properties"]
    assert known["KeepAliveInterval"]["title"] == "Sign of life every"
    assert known["KeepAliveInterval"]["x-unit"] == "s"
    own = known["Sensor"]["properties"]
    assert (own["Amplitude"]["title"], own["Amplitude"].get("x-unit")) == ("Amplitude", None)
    assert own["Period"]["x-unit"] == "s"


def test_the_schema_of_a_type_asks_for_what_it_requires():
    entry = component_schema("TempLinux")
    assert "Pipe" in entry["properties"]["Sensor"]["required"]
    assert "Sensor" in entry["required"]
    with pytest.raises(ConfigError, match="unknown Type"):
        component_schema("no such type")
