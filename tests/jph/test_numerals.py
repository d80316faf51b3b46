"""Numbers in text: what is read, and what is refused because it may be another number."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph import numerals
from tests.helpers import naming

READ = [
    ("42137", 42137),
    ("-5.46", -5.46),
    ("+.5", 0.5),
    ("5.", 5.0),
    ("1e3", 1000.0),
    ("-1.5E-3", -0.0015),
    ("0x50005", 327685),
    ("0X1f", 31),
    ("-0x10", -16),
    ("0b101", 5),
    ("0o17", 15),
    ("007", 7),
    ("\u22125.46", -5.46),
    ("\uff0d3", -3),
    ("18446744073709551615", 18446744073709551615),
]
REFUSED_WHOLE = [
    "",
    " ",
    "unavailable",
    "N/A",
    "nan",
    "inf",
    "-inf",
    "Infinity",
    "1e999",
    "9" * 400,
    "23,5",
    "1,234.5",
    "1'234",
    "1_000",
    "1.2.3",
    "12:30",
    "2024-01-05",
    "21.5 °C",
    "5 7",
    "0xZZ",
    "0x5_0g",
    "--5",
    "- 5",
    "\u20135",
    "1e5e5",
]


@pytest.mark.parametrize(("text", "number"), READ)
def test_a_text_that_is_a_number(text, number):
    for written in (text, f"  {text}\r\n"):
        found = numerals.parse(written)
        assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize("text", REFUSED_WHOLE)
def test_a_text_that_is_no_number(text):
    with pytest.raises(ValueError, match="number"):
        numerals.parse(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *READ,
        ("temp=47.2'C", 47.2),
        ("+100.0°C", 100.0),
        ("60kB", 60),
        ("eth0 eth1 7", 7),
        ("throttled=0x50005", 327685),
        ("0B free", 0),
        ("0 xyz", 0),
        ("1/467", 1),
        ("12:34", 12),
        ("2024-01-05", 2024),
        ("It is 5.", 5.0),
        ("5, then 7", 5),
        ("5 , 7", 5),
        ("21,55,1013", 21),  # no number is written so: a list
        ("21.5,55", 21.5),
        ("21.5,55,1013.2", 21.5),
        ("-1,-2", -1),
        ("info 5", 5),
        ("inf: 5", 5),
        ("nan=5", 5),
        ("5\u20137", 5),
        ("temperature \u22125", -5),
        ("30'20\"", 30),
    ],
)
def test_the_first_number_in_a_text(text, number):
    assert numerals.find(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "23,5",
        "-23,50 °C",
        "1,234.5",
        "1,234",
        "1,234,567",
        "1.234,5",
        "1.234.567,89",
        "1'234.5",
        "1\u2019234",
        "1\u202f234",
        "1\u00a0234,5",
        "1_000",
        "1.2.3",
        "192.168.1.1",
        "at \u20135 °C",
        "n/a 5",
        "N/A (crit = +100.0°C)",
        "nan 5",
        "-nan 5",
        "-INF",
        "0xZZ 5",
        "1e999",
    ],
)
def test_what_may_be_another_number_is_refused(text):
    with pytest.raises(ValueError, match="number"):
        numerals.find(text)


def test_a_refusal_shows_what_it_means_and_what_to_do():
    with pytest.raises(ValueError, match=naming("'1,234.5'", "decimal point", "separators")):
        numerals.find("power 1,234.5 W")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("21,55,1013", [21, 55, 1013]),
        ("23,5", [23, 5]),
        ("1,234.5", [1, 234.5]),
        ("0.52 0.58 0.59 1/467 12345", [0.52, 0.58, 0.59, 1, 467, 12345]),
        ("a 1;2\t-3", [1, 2, -3]),
        ("5", [5]),
        ("none", []),
    ],
)
def test_a_place_in_a_list(text, numbers):
    assert [numerals.find(text, 0, place) for place in range(len(numbers))] == numbers
    assert numerals.find(text, 0, len(numbers)) is None


def test_a_number_that_is_not_there_keeps_its_place_in_a_list():
    assert [numerals.find("nan 45 N/A 50", 0, place) for place in (1, 3)] == [45, 50]
    for place in (0, 2):
        with pytest.raises(ValueError, match="no number"):
            numerals.find("nan 45 N/A 50", 0, place)


def test_only_the_number_at_a_place():
    assert numerals.next_one("t: 5", 3) == 5
    assert numerals.next_one("t: N 5", 3) is None
    with pytest.raises(ValueError, match="23,5"):
        numerals.next_one("t: 23,5", 3)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**300), 10**300))
def test_what_a_program_writes_is_read_as_it_was(number):
    assert numerals.parse(str(number)) == number
    assert numerals.find(f"value {number} °C") == number
    assert numerals.find(f"a;{number};{number}", 0, 1) == number


@given(st.text("0123456789.,'_-+eExnaif/ \u2212\u2013\u00a0", max_size=30))
def test_any_text_is_a_finite_number_or_refused(text):
    for read in (numerals.parse, numerals.find, lambda it: numerals.find(it, 0, 1)):
        try:
            number = read(text)
        except ValueError:
            continue
        assert number is None or math.isfinite(number)


@given(st.integers(0, 999), st.integers(0, 99))
def test_a_decimal_comma_is_never_cut_off(whole, part):
    with pytest.raises(ValueError, match="another number"):
        numerals.find(f"{whole},{part}")


@pytest.mark.parametrize("piece", ["23,", "1.", "0xg", "9"])
def test_a_megabyte_without_a_number_is_refused_in_a_few_words(piece):
    text = piece * (1_000_000 // len(piece)) + "5"
    for read in (numerals.parse, lambda it: numerals.find(it)):
        try:
            assert read(text) == 23  # the beginning of a list
        except ValueError as error:
            assert len(str(error)) < 300
