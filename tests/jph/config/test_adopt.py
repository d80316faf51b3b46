"""A value of a device gets its two entries."""

import copy

import pytest

from jph.config import checks
from jph.config.adopt import adopt, codifiers_in
from jph.config.model import build
from jph.errors import ConfigError
from tests.network import config_of

ITEM = {"Device": "greenhouse/bed-3", "Attribute": "temperature"}
ENTRY = {"Name": "Bed 3", "DataType": "double"}


def document(*more, **settings):
    gateway = {"Codifier": "TG", "Type": "Python", "Sensor": settings}
    return copy.deepcopy(dict(config_of(gateway, *more).document))


def test_both_entries_are_added_and_the_configuration_is_right():
    before = document({"Codifier": "A1"}, Codifiers="t0-tz")
    kept = copy.deepcopy(before)
    made, codifier = adopt(before, "TG", ITEM, ENTRY)
    assert (codifier, before) == ("t0", kept)
    assert [entry["Codifier"] for entry in made["Sensors"]] == ["TG", "t0", "A1"]
    assert checks.check(made, checks.runs_nothing)[0] == []
    config = build(made)
    assert config.components["t0"].server == "TG"
    assert config.components["t0"].data_type == "double"
    other, codifier = adopt(made, "TG", {**ITEM, "Attribute": "humidity"}, ENTRY)
    assert codifier == "t1"
    assert [entry["Codifier"] for entry in other["Sensors"]] == ["TG", "t0", "t1", "A1"]
    assert [it["Attribute"] for it in other["Sensors"][0]["Sensor"]["Proxy"]] == [
        "temperature",
        "humidity",
    ]


def test_a_codifier_may_be_named():
    assert adopt(document(), "TG", ITEM, ENTRY, "xx")[1] == "xx"


@pytest.mark.parametrize(
    "settings, codifier, said",
    [
        ({}, None, '"Codifiers": "t0-tz"'),
        ({"Codifiers": "tz"}, None, "TG: Sensor.Codifiers: must be a range"),
        ({"Codifiers": "A1-A1"}, None, "no free Codifier in its range A1-A1"),
        ({"Codifiers": "t0-tz"}, "A1", "A1 is Pump"),
        ({"Codifiers": "t0-tz"}, "@@", "two printable ASCII characters"),
        ({"Codifiers": "t0-tz"}, "abc", "two printable ASCII characters"),
        ({"Proxy": [{"Codifier": "A1", **ITEM}]}, "t1", "on the bus already, as A1"),
    ],
)
def test_what_cannot_be_given_is_said(settings, codifier, said):
    with pytest.raises(ConfigError, match=said):
        adopt(document({"Codifier": "A1", "Name": "Pump"}, **settings), "TG", ITEM, ENTRY, codifier)


def test_a_gateway_has_to_be_there():
    with pytest.raises(ConfigError, match='no component "XX"'):
        adopt(document(), "XX", ITEM, ENTRY, "t1")


def test_a_range_has_letters_and_digits():
    found = codifiers_in("t0-tz")
    assert (len(found), found[:2], found[-1]) == (62, ["t0", "t1"], "tz")
    assert codifiers_in("t8-u1") == ["t8", "t9", *found[10:], "u0", "u1"]
    assert codifiers_in("a1-a1") == ["a1"]


@pytest.mark.parametrize("text", ["", "t0", "t0-", "tz-t0", "t0_tz", "t0-tzz", "!!-!~", "t0-tü"])
def test_what_is_no_range(text):
    with pytest.raises(ValueError, match="must be a range of Codifiers"):
        codifiers_in(text)
