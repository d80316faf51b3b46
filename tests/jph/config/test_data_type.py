"""Readings become what DataType declares, or are refused; digits that float32 would lose."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph.config.data_type import loses_digits, typed
from tests.helpers import naming

NUMBERS = ("float", "double", "integer", "bool")


@pytest.mark.parametrize("data_type", NUMBERS)
def test_text_becomes_the_number_that_it_is(data_type):
    assert typed("-5.46", data_type) == -5.46
    assert typed(" 21 ", data_type) == 21
    assert typed({"value": "21.5", "unit": "C"}, data_type) == {"value": 21.5, "unit": "C"}
    assert typed("\u22125", data_type) == -5


@pytest.mark.parametrize("data_type", NUMBERS)
@pytest.mark.parametrize(
    "text", ["unavailable", "unknown", "", "nan", "N/A", "23,5", "21.5 °C", "1e999", "None"]
)
def test_other_text_is_refused_with_what_to_do(data_type, text):
    with pytest.raises(ValueError, match=naming("number", data_type, '"string"')):
        typed(text, data_type)
    with pytest.raises(ValueError, match="number"):
        typed({"value": text}, data_type)


@pytest.mark.parametrize("value", [5, -5, 21.5, 0, True, 1 << 40])
@pytest.mark.parametrize("data_type", NUMBERS)
def test_numbers_stay_as_they_are(value, data_type):
    assert typed(value, data_type) is value


@pytest.mark.parametrize("data_type", [*NUMBERS, "string"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, [1], {"value": None}])
def test_what_is_no_value_is_refused(value, data_type):
    with pytest.raises(ValueError, match=r"cannot be sent|no value"):
        typed(value, data_type)


@pytest.mark.parametrize(
    ("text", "number"),
    [("on", 1), ("OFF", 0), ("True", 1), ("false", 0), ("yes", 1), ("No ", 0), ("1", 1), ("0", 0)],
)
def test_words_of_a_bool(text, number):
    assert typed(text, "bool") == number
    if text.strip().isalpha():
        with pytest.raises(ValueError, match="no number"):
            typed(text, "float")


def test_text_stays_text_where_it_is_declared():
    for text in ("unavailable", "-5.46", ""):
        assert typed(text, "string") == typed(text, "json") == text
    assert typed(5, "string") == "5"
    assert typed({"value": 21.5, "x": 1}, "string") == {"value": "21.5", "x": 1}


def test_json_stays_as_it_is():
    for value in (5, 2.5, {"value": None, "x": "unavailable"}, {"value": [1, "2"]}):
        assert typed(value, "json") == value


@pytest.mark.parametrize(
    "value",
    [123456789.0, 1234567.89, -1234567.89, 16777217.0, 99999999.999, 52.5200066, 0.123456789],
)
def test_numbers_that_lose_digits(value):
    assert loses_digits(value)


@pytest.mark.parametrize(
    "value",
    [
        0.0,
        21.3,
        -5.46,
        1013.25,
        999.999,
        16777216.0,
        48312 * 0.001,  # 48.312000000000005: more digits, but of arithmetic
        1 / 3,
        math.pi,
        6.02214e23,
        1e-30,
        1.7e308,
        2.0**60,
    ],
)
def test_numbers_that_keep_what_their_source_wrote(value):
    assert not loses_digits(value)


@given(st.decimals(-(10**8), 10**8, places=3))
def test_digits_are_lost_exactly_where_float32_rounds_to_another_decimal(decimal):
    value = float(decimal)
    (nearest,) = struct.unpack("<f", struct.pack("<f", value))
    digits = len(str(decimal.copy_abs().normalize()).replace(".", "").lstrip("0"))
    if digits <= 11 and not value.is_integer():
        assert loses_digits(value) == (float(f"{nearest:.{digits}g}") != value)


@given(st.floats(-1e6, 1e6).map(lambda x: round(x, 5)).map(lambda x: float(f"{x:.6g}")))
def test_six_digits_are_never_lost(value):
    assert not loses_digits(value)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_any_float_is_judged(value):
    assert loses_digits(value) in (True, False)
