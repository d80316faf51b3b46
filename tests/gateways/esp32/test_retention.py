"""How long values are kept."""

from gateways.esp32 import retention, tables
from gateways.esp32.ingest import Ingest
from gateways.esp32.protocol import Join
from gateways.esp32.tables import Reading

DAY_MS = retention.DAY_MS


def test_old_values_and_those_of_forgotten_boards_go_in_pieces(store, monkeypatch):
    monkeypatch.setattr(retention, "PIECE", 10)
    ingest = Ingest(store, "EG")
    for mac in ("02:00:00:00:00:01", "02:00:00:00:00:02"):
        ingest.change(lambda draft, mac=mac: draft.join(Join(mac), 1_000_000))
    with store.writing() as connection:
        numbers = tables.numbers(connection, "EG")
        rows = [
            Reading(mac, "photoresistor", day * DAY_MS, day)
            for mac in numbers
            for day in range(40)
            for _ in range(2)
        ]
        tables.add_readings(connection, rows, numbers)
    assert retention.apply(store, None, 40 * DAY_MS) == 0
    assert retention.apply(store, 30, 40 * DAY_MS) == 2 * 2 * 10
    ingest.change(lambda draft: draft.forget("capteur02"))
    assert retention.apply(store, None, 40 * DAY_MS) == 60
    assert retention.apply(store, 30, 40 * DAY_MS) == 0
    with store.reading() as connection:
        kept = tables.last_values(connection, "EG", "02:00:00:00:00:01")["photoresistor"]
    assert [value for _, value in kept] == [35, 35, 36, 36, 37, 37, 38, 38, 39, 39]


def test_it_ends_between_two_pieces(store):
    ingest = Ingest(store, "EG")
    ingest.change(lambda draft: draft.join(Join("02:00:00:00:00:01"), 1_000_000))
    assert retention.apply(store, 1, 40 * DAY_MS, lambda: False) == 0
