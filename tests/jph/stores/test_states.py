"""What a state store does for those who open it, in a real Redis."""

import pytest

from jph.bus.sequence import SequenceTracker
from jph.bus.wire import Control
from jph.state import FIELDS
from tests.helpers import eventually
from tests.jph.stores.kept import KeptStates

SENDER = ("127.0.0.1", 7602)


@pytest.fixture
def opened(redis_server):
    """Return what opens the store once more; all are closed at the end."""
    stores = []

    def open_one():
        stores.append(KeptStates(redis_server.url))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def reading(codifier, value, time_ms=1000, sequence=7):
    return (codifier, time_ms, sequence, value, "f", 4, SENDER)


def recalled(store, codifier, name, value):
    """Return a state as it is read back, once a field has this value."""

    def found():
        fields = store.recall().get(codifier)
        return fields if fields is not None and fields[name] == value else None

    return eventually(found)


@pytest.mark.parametrize("value", [21.5, -3, "größer", {"value": 1, "voltage": 2.9}])
def test_another_user_of_the_store_finds_the_last_reading(opened, value):
    opened().on_readings([reading("C1", 1.0), reading("C1", value, 2000, 8)], {})
    fields = recalled(opened(), "C1", "Value", value)
    assert fields["DTimestamp"] == 2000
    assert set(fields) == set(FIELDS)


def test_every_field_is_kept(opened):
    store = opened()
    data = {"C1": SequenceTracker("C1", 8, 500, lost=3)}
    control = {"C1": SequenceTracker("C1", 9, 600, lost=4)}
    store.on_readings([reading("C1", 21.5)], data)
    for flag, source, to, number in (
        ("P", "WB", "C1", 77.0),
        *((flag, "C1", "WB", 5.0) for flag in "PHSC"),
        ("H", "WB", "C1", 0.0),
        ("T", "C1", "WB", 77.0),
        ("S", "WB", "@@", 0.0),
        ("I", "C1", "@@", 900.0),
    ):
        store.on_control(Control(1, 1100, flag, source, to, number, True), 1200, control)
    fields = recalled(opened(), "C1", "LoadedTime", 900)
    assert fields == store.get("C1")
    assert [name for name, value in fields.items() if value is None] == []
    assert (fields["DPacketsLost"], fields["CPacketsLost"], fields["TDuration"]) == (3, 4, 0)
    assert fields["IsActive"] is True


def test_what_this_process_heard_is_there_at_once(opened):
    store = opened()
    before, _ = store.changed_since(0)
    store.on_readings([reading("C1", 21.5)], {})
    assert store.get("C1")["Value"] == 21.5
    assert set(store.changed_since(before)[1]) == {"C1"}


def test_states_outlive_who_wrote_them(opened):
    first = opened()
    first.on_readings([reading("C1", 1.0), reading("C2", 2.0)], {})
    first.close()
    second = opened()
    second.on_readings([reading("C1", 3.0, 2000, 8)], {})
    recalled(second, "C1", "Value", 3.0)
    assert second.recall()["C2"]["Value"] == 2.0


def test_nothing_is_recalled_of_an_empty_store(opened):
    assert opened().recall() == {}


def test_a_store_that_is_well_has_no_fault(opened):
    store, faults = opened(), []
    store.watch(faults.append)
    store.on_readings([reading("C1", 21.5)], {})
    recalled(store, "C1", "Value", 21.5)
    store.close()
    assert faults == []
