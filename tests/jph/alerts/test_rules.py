from dataclasses import dataclass
from datetime import time

import pytest

from jph.alerts.rules import QuietHours, Rule, mistakes_in, subjects
from jph.config.model import Component, with_servers
from jph.settings import arguments, setting


def network(*components):
    return with_servers({it.codifier: it for it in components})


def component(codifier, type="Pipe", **given):
    return Component(codifier=codifier, type=type, **given)


@dataclass
class Holder:
    rules: tuple[Rule, ...] = setting(())


def mistakes_of(*rules):
    from jph.errors import ConfigError

    try:
        arguments(Holder, {"Rules": list(rules)}, "Sensor")
    except ConfigError as error:
        return error.mistakes
    return []


def test_every_mistake_of_every_rule_is_named_with_its_path():
    found = mistakes_of(
        {"Name": "warm", "Kind": "above", "Limit": 30},
        {"Name": " ", "Kind": "outside", "Low": 5, "Quiet": "late"},
        {"Name": "x", "Kind": "hotter", "For": -1},
        {"Name": "y", "Kind": "silent", "Limit": 3, "Intervals": 1},
    )
    places = [line.partition(":")[0] for line in found]
    assert places == [
        "Sensor.Rules[1].High",
        "Sensor.Rules[1].Name",
        "Sensor.Rules[1].Quiet",
        "Sensor.Rules[2].Kind",
        "Sensor.Rules[2].For",
        "Sensor.Rules[3].Intervals",
    ]


def test_a_key_that_means_nothing_to_the_kind_is_a_mistake():
    assert mistakes_of({"Name": "x", "Kind": "failing", "Limit": 1}) == [
        "Sensor.Rules[0].Limit: means nothing to Kind failing"
    ]


def test_rules_that_disagree_with_the_network_are_named():
    rules = [
        Rule(name="a", kind="failing", sensors=("A1", "??")),
        Rule(name="a", kind="failing", contacts=("phone",), codifier="R1"),
        Rule(name="c", kind="failing", codifier="R1"),
    ]
    found = mistakes_in(rules, ["A1", "R1"], ["mail"])
    assert [line.partition(": ")[0] for line in found] == [
        "Rules[0].Sensors[1]",
        "Rules[1].Name",
        "Rules[1].Contacts[0]",
        "Rules[2].Codifier",
    ]


def test_a_rule_concerns_sensors_areas_and_labels():
    known = network(
        component("A1", area="House/Cellar"),
        component("A2", area="Household"),
        component("A3", labels=("water",)),
        component("A4"),
        component("WB", type="Web"),
    )
    rule = Rule(
        name="x", kind="below", limit=1, sensors=("A4",), areas=("House",), labels=("water",)
    )
    assert subjects(rule, known) == ["A1", "A3", "A4"]
    assert subjects(Rule(name="x", kind="below", limit=1), known) == ["A1", "A2", "A3", "A4"]
    assert subjects(Rule(name="x", kind="silent"), known) == ["A1", "A2", "A3", "A4", "WB"]


def test_nothing_is_about_the_alerts_themselves_or_a_person():
    known = network(
        component("AL", type="Alerts"),
        component("R1", type="Proxy", settings={"Server": "AL"}),
        component("CP", type="ControlProgram"),
        component("EX", type="External"),
        component("A1", settings={"Proxy": [{"Codifier": "P1"}]}),
        component("P1", type="Proxy"),
    )
    assert subjects(Rule(name="x", kind="silent"), known) == ["EX", "A1", "P1"]


@pytest.mark.parametrize(
    ("text", "at", "holds"),
    [
        ("22:00-07:00", time(23), True),
        ("22:00-07:00", time(6, 59), True),
        ("22:00-07:00", time(7), False),
        ("12:00-13:30", time(13, 29), True),
        ("12:00-13:30", time(11, 59), False),
    ],
)
def test_quiet_hours_may_pass_midnight(text, at, holds):
    assert QuietHours.of(text).hold(at) is holds


@pytest.mark.parametrize(
    "text",
    ["22-7", "22:00", "22:00-22:00", "25:00-07:00", "a:bb-07:00", "٢٢:٠٠-07:00"],  # noqa: RUF001
)
def test_other_texts_are_no_quiet_hours(text):
    with pytest.raises(ValueError, match="22:00-07:00"):
        QuietHours.of(text)


def test_no_text_is_no_quiet_hours():
    assert QuietHours.of(None) is QuietHours.of(" ") is None
