"""The states in memory leave a copy on disk, which the next process begins with."""

import json
import os

import pytest

from jph.state import LastStates
from jph.stores import memory
from jph.stores.memory import open_memory
from tests.web.bus import control, reading


@pytest.fixture
def store(tmp_path):
    """Return what opens a store on states that heard some readings; `store.states` has them."""

    def open_one(*readings, url="memory:"):
        states = LastStates()
        states.on_readings(readings, {})
        one = open_memory(url, tmp_path, None, states)
        one.states = states
        return one

    return open_one


VALUES = [21.5, -3, 2**60, "open", {"value": 1.25, "voltage": 3.1}, {"value": None}]


@pytest.mark.parametrize("value", VALUES)
def test_a_state_comes_back_as_it_was(store, value):
    before = store(reading("A1", value, timestamp_ms=1_700_000_000_000))
    sign = control("I", "A1", is_active=False)
    before.states.on_control(sign, 1, {})
    before.close()
    fields = store().recall()["A1"]
    assert (fields["Value"], fields["DTimestamp"]) == (value, 1_700_000_000_000)
    assert (fields["IsActive"], fields["ITimestamp"]) == (False, sign.timestamp_ms)
    assert "TTimestamp" not in fields  # what is not known has no field


def test_what_was_not_heard_again_is_kept_over_many_starts(store):
    store(reading("A1", 1.0), reading("A2", 2.0)).close()
    again = store(reading("A2", 3.0))
    again.states.on_control(control("I", "A1"), 1, {})
    again.close()
    store(reading("A3", 4.0)).close()
    values = {code: fields["Value"] for code, fields in store().recall().items()}
    assert values == {"A1": 1.0, "A2": 3.0, "A3": 4.0}


def test_it_is_written_seldom_and_only_if_something_changed(store, tmp_path, monkeypatch):
    now_s = 1000.0
    monkeypatch.setattr(memory.time, "monotonic", lambda: now_s)
    written = []

    def rewrite_file(path, data):
        written.append(now_s)
        path.write_bytes(data)

    monkeypatch.setattr(memory, "rewrite_file", rewrite_file)
    one = store(reading("A1", 1.0))
    for step in range(1000):
        now_s = 1000.0 + step
        one.states.on_readings([reading("A1", float(step), sequence=step)], {})
        one.wake()
    assert written == [1060.0, 1660.0]
    one.close()
    one.close()
    assert written == [1060.0, 1660.0, 1999.0]


def test_a_copy_that_is_deleted_is_written_again_within_seconds(store, tmp_path, monkeypatch):
    now_s = 1000.0
    monkeypatch.setattr(memory.time, "monotonic", lambda: now_s)
    one = store(reading("A1", 1.0))
    now_s += memory.FIRST_S
    one.wake()
    (tmp_path / "states.json").unlink()
    now_s += memory.LOOK_S
    one.wake()
    assert store().recall()["A1"]["Value"] == 1.0


def test_a_flood_of_long_texts_does_not_fill_the_disk(store, tmp_path):
    codes = [f"{chr(65 + n // 90)}{chr(33 + n % 90)}" for n in range(2000)]
    one = store(*(reading(code, "x" * 1440) for code in codes))
    one.states.on_readings([reading("zz", 1.0)], {})
    one.close()
    assert (tmp_path / "states.json").stat().st_size < 1.1 * memory.MOST_BYTES
    kept = store().recall()
    assert len(kept) > 1000
    assert "zz" in kept  # the last one that was heard


@pytest.mark.parametrize("text", ["", "{", "[]", '{"states": [1]}', '{"states": {"A1": 5}}', "\0"])
def test_a_damaged_copy_is_replaced(store, tmp_path, caplog, text):
    (tmp_path / "states.json").write_text(text)
    assert store().recall() == {}
    assert "states.json" in caplog.text
    store(reading("A1", 1.0)).close()
    assert store().recall()["A1"]["Value"] == 1.0


def test_fields_of_another_version_are_left_out(store, tmp_path):
    fields = {"Codifier": "A1", "Value": 1.0, "Colour": "red"}
    (tmp_path / "states.json").write_text(json.dumps({"states": {"A1": fields}}))
    assert store().recall() == {"A1": {"Codifier": "A1", "Value": 1.0}}


def test_a_folder_that_cannot_be_written_is_told_until_it_can(store, tmp_path, monkeypatch):
    told = []
    one = store(reading("A1", 1.0))
    one.watch(told.append)
    (tmp_path / "states.json").mkdir()
    one.close()
    assert "states.json" in told[-1]
    os.rmdir(tmp_path / "states.json")
    one.close()
    assert told[-1] is None


def test_each_name_has_a_file_of_its_own(store):
    store(reading("A1", 1.0), url="memory:one").close()
    assert store(url="memory:two").recall() == {}
    assert store(url="memory:one").recall()["A1"]["Value"] == 1.0
