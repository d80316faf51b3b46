from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pytest

from jph.errors import ConfigError
from jph.settings import arguments, expected, key_of, setting, settings_of

if TYPE_CHECKING:
    from nowhere import Channel


@dataclass(frozen=True)
class Input:
    codifier: str
    pin: int = setting(ge=0, le=7)


@dataclass
class Reader:
    codifier: str
    channel: "Channel"
    url: str
    command: str | tuple[str, ...] = "true"
    timeout_s: float = setting(2.0, gt=0, le=60)
    node: int | None = setting(None, key="node")
    mode: Literal["fast", "slow"] = "fast"
    verbose: bool = False
    file: Path | None = None
    proxy: tuple[Input, ...] = ()
    first: Input | None = None
    levels: list[float] = setting([])
    names: Mapping[str, str] = setting({})
    extra: Any = None
    _kept: float = 0.0
    made: int = field(default=0, init=False)
    ignores_halt: ClassVar[bool] = True


@dataclass
class Quoted:
    timeout_s: float = 1.0
    count: int | None = None
    word: str | int = ""
    file: Path | None = None


def mistakes(given, cls=Reader):
    with pytest.raises(ConfigError) as caught:
        arguments(cls, given, "Sensors[3].Sensor")
    return caught.value.mistakes


def test_absent_settings_are_left_to_the_class():
    assert arguments(Reader, {"URL": "/x"}, "Sensor") == {"url": "/x"}


def test_a_number_in_quotes_is_a_number_and_a_home_is_found(monkeypatch):
    monkeypatch.setenv("HOME", "/home/anna")
    given = {"Timeout": "2.5", "File": "~/secret", "Count": "3"}
    found = arguments(Quoted, given, "")
    assert found == {"timeout_s": 2.5, "file": Path("/home/anna/secret"), "count": 3}
    assert arguments(Quoted, {"Word": "7"}, "") == {"word": "7"}


def test_every_kind_of_value_arrives_as_its_annotation_says():
    given = {
        "URL": "/x",
        "Command": ["df", "/"],
        "Timeout": 3,
        "node": 7.0,
        "Mode": "slow",
        "Verbose": True,
        "File": "a/b",
        "Proxy": [{"Codifier": "B1", "Pin": 0}, {"Codifier": "B2", "Pin": 7}],
        "First": {"Codifier": "B3", "Pin": 3},
        "Levels": [1, 2.5],
        "Names": {"a": "b"},
        "Extra": [None, {}],
    }
    found = arguments(Reader, given, "Sensor")
    assert found == {
        "url": "/x",
        "command": ("df", "/"),
        "timeout_s": 3.0,
        "node": 7,
        "mode": "slow",
        "verbose": True,
        "file": Path("a/b"),
        "proxy": (Input("B1", 0), Input("B2", 7)),
        "first": Input("B3", 3),
        "levels": [1.0, 2.5],
        "names": {"a": "b"},
        "extra": [None, {}],
    }
    assert isinstance(found["timeout_s"], float)
    assert isinstance(found["node"], int)


def test_unknown_keys_and_injected_names_are_no_settings():
    given = {"URL": "/x", "Codifier": "A1", "Channel": 1, "Home": "/", "Made": 1, "__comment": ""}
    assert arguments(Reader, given, "Sensor") == {"url": "/x"}


def test_null_counts_as_absent_where_none_is_no_value():
    assert arguments(Reader, {"URL": "/x", "Timeout": None, "node": None}, "Sensor") == {
        "url": "/x",
        "node": None,
    }
    assert mistakes({"URL": None}) == ["Sensors[3].Sensor.URL: is required"]


@pytest.mark.parametrize(
    ("key", "value", "mistake"),
    [
        ("URL", 1, ".URL: must be text"),
        ("Timeout", 0, ".Timeout: must be > 0"),
        ("Timeout", 61, ".Timeout: must be <= 60"),
        ("Timeout", "soon", ".Timeout: must be a number"),
        ("Timeout", True, ".Timeout: must be a number"),
        ("Timeout", float("inf"), ".Timeout: must be a finite number"),
        ("Timeout", 10**400, ".Timeout: must be a finite number"),
        ("node", 1.5, ".node: must be a whole number"),
        ("node", False, ".node: must be a whole number"),
        ("Mode", "medium", ".Mode: must be one of fast, slow"),
        ("Verbose", 1, ".Verbose: must be true or false"),
        ("Proxy", {}, ".Proxy: must be a list"),
        ("Proxy", [1], ".Proxy[0]: must be an object"),
        ("Proxy", [{"Codifier": "B1", "Pin": 8}], ".Proxy[0].Pin: must be <= 7"),
        ("Proxy", [{"Codifier": "B1"}], ".Proxy[0].Pin: is required"),
        ("First", [], ".First: must be an object"),
        ("Levels", [1, None], ".Levels[1]: must be a number"),
        ("Names", {"a": 1}, ".Names.a: must be text"),
        ("Command", 3, ".Command: must be text or a list"),
        ("Command", ["df", 3], ".Command[1]: must be text"),
    ],
)
def test_a_wrong_value_is_named_with_its_path(key, value, mistake):
    assert mistakes({"URL": "/x", key: value}) == [f"Sensors[3].Sensor{mistake}"]


def test_all_mistakes_are_named_at_once():
    found = mistakes({"Timeout": "x", "Proxy": [{"Pin": -1}]})
    assert found == [
        "Sensors[3].Sensor.URL: is required",
        "Sensors[3].Sensor.Timeout: must be a number",
        "Sensors[3].Sensor.Proxy[0].Codifier: is required",
        "Sensors[3].Sensor.Proxy[0].Pin: must be >= 0",
    ]


@pytest.mark.parametrize(
    ("name", "key"),
    [("url", "URL"), ("sensor_interval_s", "SensorInterval"), ("password_file", "PasswordFile")],
)
def test_key_is_the_field_in_pascal_case(name, key):
    assert key_of(name) == key


def test_a_default_list_is_not_shared_between_instances():
    one, other = Reader("A1", None, "/"), Reader("A2", None, "/")
    one.levels.append(1.0)
    assert other.levels == []


def test_settings_know_whether_they_are_required():
    found = {item.key: item.default for item in settings_of(Reader)}
    assert found["URL"] is MISSING
    assert found["Timeout"] == 2.0
    assert "Codifier" not in found


def test_a_class_that_is_no_dataclass_has_no_settings():
    class Plain:
        def __init__(self, channel):
            self.channel = channel

    assert arguments(Plain, {"URL": "/x"}, "Sensor") == {}


def test_expected_is_said_in_plain_words():
    assert expected(str | list[str] | None) == "text or a list"
    assert expected(Input) == "an object"
