"""The text of the configuration changes where its values change."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph.config import document
from jph.paths import shipped_config
from web.configuration.text import is_same, merged, position_of

SHIPPED = shipped_config().read_text()
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=4)
        | st.lists(
            st.fixed_dictionaries({"Codifier": st.sampled_from(["A1", "A2", "A3"]), "x": inner}),
            max_size=3,
        )
    ),
    max_leaves=20,
)


def changed(text, old, new):
    """Return the lines that differ."""
    before, after = text.splitlines(), merged(text, new).splitlines()
    assert json.loads(merged(text, new)) == new
    return [line for line in before if line not in after], [
        line for line in after if line not in before
    ]


@given(VALUES, VALUES, st.sampled_from([None, 1, "\t"]))
def test_the_text_of_any_document_becomes_that_of_any_other(old, new, indent):
    text = json.dumps(old, indent=indent)
    assert merged(text, old) == text
    assert is_same(document.parse(merged(text, new).encode()), new)


def test_one_value_changes_one_line_and_comments_stay():
    old, new = json.loads(SHIPPED), json.loads(SHIPPED)
    new["Sensors"][3]["Sensor"]["Scale"] = 0.5
    gone, come = changed(SHIPPED, old, new)
    assert len(gone) == len(come) == 1
    assert come[0] == gone[0].replace("0.001024", "0.5")
    assert "__comment" in come[0]


def test_a_new_key_stands_behind_its_neighbour_and_one_that_goes_takes_its_comma():
    text = '{\n  "a": 1, "b": 2,\n  "c": {"d": 3}\n}\n'
    assert merged(text, {"a": 1, "n": 9, "b": 2, "c": {"d": 3}}) == text.replace(
        '"a": 1,', '"a": 1, "n": 9,'
    )
    assert merged(text, {"b": 2, "c": {"d": 3}}) == '{\n  "b": 2,\n  "c": {"d": 3}\n}\n'
    assert merged(text, {"a": 1, "b": 2}) == '{\n  "a": 1, "b": 2\n}\n'
    assert merged(text, {"a": 1, "b": 2, "c": {}}) == text.replace('{"d": 3}', "{}")


def test_a_component_comes_and_goes_and_the_others_keep_their_text():
    old, new = json.loads(SHIPPED), json.loads(SHIPPED)
    new["Sensors"].insert(2, {"Codifier": "N1", "Type": "Simulated"})
    text = merged(SHIPPED, new)
    assert json.loads(text) == new
    assert '    },\n    {"Codifier": "N1", "Type": "Simulated"},\n    {' in text
    assert merged(text, old) == SHIPPED


def test_a_component_that_takes_another_place_is_kept_whole():
    new = json.loads(SHIPPED)
    new["Sensors"].reverse()
    assert json.loads(merged(SHIPPED, new)) == new


def test_a_whole_number_is_not_written_anew_because_a_browser_knows_only_one_kind():
    assert merged('{"a": 1.0, "b": 2}', {"a": 1, "b": 2.0}) == '{"a": 1.0, "b": 2}'
    assert merged('{"a": 1}', {"a": True}) == '{"a": true}'


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", (1, 1)),
        ("Sensors", (1, 2)),
        ("Sensors[1].Codifier", (3, 3)),
        ("Sensors[1].Sensor.Pipe", (3, 32)),
        ("Sensors[1].Sensor.Nothing", (3, 22)),
        ("Sensors[10].Codifier", (1, 2)),
    ],
)
def test_a_path_has_a_place_in_the_text(path, found):
    text = '{"Sensors": [\n {"Codifier": "A1"},\n {"Codifier": "A2",  "Sensor":{"Pipe": 1}}]}'
    assert position_of(text, path) == found
