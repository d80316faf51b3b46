"""Last states as the text that Redis holds, there and back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph.state import FIELDS
from jph.stores.redis.hashes import commands_of, fields_of


def state(**known):
    return {**dict.fromkeys(FIELDS), "Codifier": "C1", **known}


def stored_by(fields) -> dict[bytes, bytes]:
    """Return the hash as Redis has it; redis-py writes numbers as `str` does."""
    (command, key, *words), *_ = commands_of("C1", fields)
    assert (command, key) == ("HSET", "C1")
    texts = [str(word).encode() for word in words]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def there_and_back(fields):
    return fields_of("C1", stored_by(fields))


def test_a_command_in_full():
    assert commands_of("C1", state(Value=21.5, TTimestamp=1000, IsActive=True)) == [
        ["HSET", "C1", *("Codifier", "C1", "Value", 21.5, "TTimestamp", 1000, "IsActive", "True")],
        ["HDEL", "C1", "TRequest", "TDuration"],
    ]
    fields = state(Value=21.5, DTimestamp=1)
    assert commands_of("C1", fields)[1:] == [["HDEL", "C1", "Object"]]
    assert commands_of("C1", fields, had_object=False)[1:] == []


@pytest.mark.parametrize(
    "value, text",
    [
        (21.5, "21.5"),
        (-0.0, "-0.0"),
        (1e-7, "1e-07"),
        (1e300, "1e+300"),
        (4_294_967_295, "4294967295"),
        ("auf & zu", "auf & zu"),
        ("größer", "größer"),
        ("", ""),
        ("line\r\nbreak", "line\r\nbreak"),
    ],
)
def test_values_are_text_and_come_back(value, text):
    fields = state(Value=value, DTimestamp=1)
    assert stored_by(fields)[b"Value"].decode() == text
    assert b"Object" not in stored_by(fields)
    assert there_and_back(fields) == fields


@pytest.mark.parametrize(
    "value, number, text",
    [
        ({"value": 3, "voltage": 2.9}, "3", '{"value": 3, "voltage": 2.9}'),
        ({"value": -5.0}, "-5.0", '{"value": -5.0}'),
        ({"value": "größer"}, "größer", '{"value": "größer"}'),
        ({"value": "12"}, "12", '{"value": "12"}'),
        ({"value": True}, "True", '{"value": true}'),
        ({"value": [1]}, "[1]", '{"value": [1]}'),
        ({"value": "\ud800"}, "\\ud800", '{"value": "\\ud800"}'),
        ({"value": None}, None, '{"value": null}'),
    ],
)
def test_an_object_stands_beside_its_value_and_comes_back(value, number, text):
    fields = state(Value=value, DTimestamp=1)
    stored = stored_by(fields)
    assert stored[b"Object"].decode() == text
    assert stored.get(b"Value") == (None if number is None else number.encode())
    assert there_and_back(fields) == fields


def test_an_object_of_another_reading_is_none_of_this_one():
    stored = stored_by(state(Value={"value": 3, "fault": "away"}, DTimestamp=1))
    assert fields_of("C1", stored | {b"Value": b"4"})["Value"] == 4
    older = {b"Value": b'{"value": 3, "fault": "away"}'}  # as it was written once
    assert fields_of("C1", older)["Value"] == {"value": 3, "fault": "away"}


@given(
    st.fixed_dictionaries(
        {
            "Value": st.none()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.integers(-(1 << 64), 1 << 64)
            | st.dictionaries(st.text(), st.integers() | st.text(max_size=5)).map(
                lambda it: {**it, "value": 1}
            ),
            "DTimestamp": st.none() | st.integers(0, (1 << 48)),
            "PRequest": st.none() | st.floats(0, 1e15),
            "IsActive": st.none() | st.booleans(),
            "CPacketsLost": st.integers(0, 1 << 32),
        }
    )
)
def test_a_state_comes_back_as_it_was(known):
    assert there_and_back(state(**known)) == state(**known)


@given(st.dictionaries(st.binary(), st.binary(), max_size=10) | st.none() | st.integers())
def test_any_hash_is_a_state_or_none(stored):
    fields = fields_of("C1", stored)
    assert fields is None or (set(fields) == set(FIELDS) and fields["Codifier"] == "C1")


@given(st.sampled_from(FIELDS), st.text() | st.sampled_from(["nan", "1e999", "1_000", "{}", "[]"]))
def test_any_text_in_a_field_is_a_value_that_a_page_can_show(name, text):
    fields = fields_of("C1", {name.encode(): text.encode("utf-8", "replace")})
    if fields is not None:
        value = fields[name]
        assert isinstance(value, str | bool | int | float | dict | None)
        assert not isinstance(value, float) or math.isfinite(value)
        assert not isinstance(value, dict) or "value" in value


def test_what_an_older_program_wrote_is_read():
    written = {"Value": "21.5", "IsActive": "1", "TDuration": "None", "Other": "x"}
    stored = {name.encode(): text.encode() for name, text in written.items()}
    assert fields_of("C1", stored) == state(Value=21.5, IsActive=True)


def test_a_hash_of_another_program_is_no_state():
    assert fields_of("C1", {b"user": b"1", b"TDuration": b"None"}) is None


def test_what_an_answer_does_not_say_is_not_kept_from_the_one_before():
    assert commands_of("C1", state(TTimestamp=5, TRequest=1, TDuration=2)) == [
        ["HSET", "C1", *("Codifier", "C1", "TTimestamp", 5, "TRequest", 1.0, "TDuration", 2.0)]
    ]
    assert len(commands_of("C1", state())) == 1
    _, removal = commands_of("C1", state(TTimestamp=5, TRequest=1))
    assert removal == ["HDEL", "C1", "TDuration"]
