import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph.errors import ConfigError
from jph.state import LastStates
from jph.stores import open_history, open_state, row_of

SENDER = ("127.0.0.1", 7602)


def opened_state(url, home):
    return open_state(url, home, None, LastStates())


def row(value, flag="f"):
    return row_of(("C1", 1000, 7, value, flag, 4, SENDER))


@pytest.mark.parametrize(
    "value, number, text",
    [
        (21.5, 21.5, None),
        (4_294_967_295, 4_294_967_295.0, None),
        ("on", None, "on"),
        ("", None, ""),
        ({"value": 1.25}, 1.25, None),
        ({"value": True}, 1.0, '{"value":true}'),
        ({"value": 1 << 53}, float(1 << 53), None),
        ({"value": (1 << 53) + 1}, float(1 << 53), '{"value":9007199254740993}'),
        ({"value": 10**400}, None, '{"value":1' + "0" * 400 + "}"),
        ({"value": 3, "voltage": 2.9}, 3.0, '{"value":3,"voltage":2.9}'),
        ({"value": "auf"}, None, '{"value":"auf"}'),
        ({"value": "größer"}, None, '{"value":"größer"}'),
        ({"value": None, "error": "no probe"}, None, '{"value":null,"error":"no probe"}'),
        ((1 << 53) + 1, float(1 << 53), "9007199254740993"),
        (-(1 << 60), float(-(1 << 60)), "-1152921504606846976"),
    ],
)
def test_a_row_has_the_number_and_the_text_where_the_number_does_not_say_all(value, number, text):
    assert row(value) == (1000, "C1", 7, number, text)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        {"value": float("nan")},
        {"value": 1, "noise": float("inf")},
    ],
)
def test_a_number_that_is_not_finite_is_refused(value):
    assert row(value) is None


@pytest.mark.parametrize("opener", [opened_state, open_history])
@pytest.mark.parametrize(
    "url", ["", "memory", "mysql://host/base", "http:", "://", "sqlite", "/a/path", "memory.db:"]
)
def test_an_unknown_store_is_a_mistake_that_names_the_known_ones(opener, url, tmp_path):
    with pytest.raises(ConfigError, match=r"known: (memory|sqlite):"):
        opener(url, tmp_path)


@pytest.mark.parametrize("opener", [opened_state, open_history])
@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@127.0.0.1/0",
        "redis://user:hunter2@host:6379",
        "postgresql://user:hun:ter2@host/base",
        "postgresql://host/base?user=me&password=hunter2",
        "sqlite://user:hunter2@/file",
        "redis://:hunter2@[broken",
        "memory://a:hunter2@b",
    ],
)
def test_a_url_with_a_password_is_refused_without_repeating_it(opener, url, tmp_path):
    with pytest.raises(ConfigError, match="password") as caught:
        opener(url, tmp_path)
    assert "ter2" not in str(caught.value)
    assert caught.value.__context__ is None


@given(st.text())
def test_any_text_as_url_is_opened_or_a_mistake(url):
    for stores in (opened_state, open_history):
        if url.lower().startswith(("sqlite:///", "memory:")):
            continue
        with pytest.raises(ConfigError):
            stores(url, None)


def test_a_store_whose_package_is_missing_says_what_to_type():
    program = """
import sys
from pathlib import Path
sys.modules["redis"] = None
from jph.errors import ConfigError
from jph.stores import open_state
open_state("memory:", Path("."), None, None)
for url in ("redis://", "unix:///socket"):
    try:
        open_state(url, None, None, None)
    except ConfigError as error:
        print(error)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    needed = "needs redis, which is not installed: pip install 'jph[redis]'"
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [f"redis: {needed}", f"unix: {needed}"]


def test_memory_has_a_name_in_letters(tmp_path):
    for url in ("memory:", "memory:other"):
        store = open_state(url, tmp_path, None, LastStates())
        assert store.recall() == {}
    with pytest.raises(ConfigError, match="letters and digits"):
        open_state("memory://", tmp_path, None, LastStates())
