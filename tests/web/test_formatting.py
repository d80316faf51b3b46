import pytest

from web.formatting import display

THIN = "\u202f"


@pytest.mark.parametrize(
    ("value", "symbol", "data_type", "shown"),
    [
        (0.0, "", "float", ("0", "")),
        (0.98765, "", "float", ("0.988", "")),
        (5.8349, "V", "float", ("5.83", "V")),
        (21.449, "°C", "float", ("21.4", "°C")),
        (-21.449, "°C", "float", ("\u221221.4", "°C")),
        (-0.0001, "°C", "float", ("\u22120.0001", "°C")),
        (230.14, "V", "float", ("230.1", "V")),
        (1420.0, "/min", "float", ("1420", "/min")),
        (123456.7, "ppm", "float", (f"123{THIN}457", "ppm")),
        (1e-7, "A", "float", ("1e\u221207", "A")),
        (17, "", "integer", ("17", "")),
        (1234567, "", "integer", (f"1{THIN}234{THIN}567", "")),
        (512, "B", "integer", ("512", "B")),
        (1500, "B", "integer", ("1.50", "kB")),
        (999_600, "B", "integer", ("1.00", "MB")),
        (5_834_900_000, "B", "integer", ("5.83", "GB")),
        (449_000.0, "B/s", "float", ("449", "kB/s")),
        (1850.0, "W", "float", ("1850", "W")),
        (18500.0, "W", "float", ("18.5", "kW")),
        (90.0, "s", "float", ("90.0", "s")),
        (3600.0 * 5, "s", "float", ("5.00", "h")),
        (86400.0 * 37.4, "s", "float", ("37.4", "d")),
        (1, "", "bool", ("on", "")),
        (False, "", "bool", ("off", "")),
        ("heating", "", "string", ("heating", "")),
        ({"value": 3.5, "voltage": 1.2}, "°C", "json", ("3.50", "°C")),
        ({"value": 4, "alert": {}}, "", "json", ("4", "")),
        ({"value": None}, "", "json", ("\u2013", "")),
        ({"value": [1, 2]}, "", "json", ("[1, 2]", "")),
        (None, "V", "float", ("\u2013", "")),
        (float("nan"), "V", "float", ("\u2013", "")),
        (float("inf"), "V", "float", ("\u2013", "")),
        (10**400, "", "integer", ("1" + "0" * 78 + "\u2026", "")),
    ],
)
def test_a_value_is_shown_with_sensible_digits(value, symbol, data_type, shown):
    assert display(value, symbol, data_type) == shown


def test_a_long_text_is_cut_and_kept_on_one_line():
    text, _ = display("a\n b" * 100, "", "string")
    assert len(text) == 80
    assert "\n" not in text
