"""What our own pages and tools ask a gateway of Tenta."""

import time

import pytest

from gateways import schema
from gateways.tenta.writing import Batch, write
from tests.gateways.tenta.client import HOME_TOKEN

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def home(serve, store):
    """Return a client with the token of the home directory, of a gateway with one sensor."""
    mapped = {("ada-net/bed-3", "t"): "t1"}
    client = serve(state=lambda: {"rate": 7}, codifiers=lambda: mapped).begin(store)
    client.token = HOME_TOKEN
    return client


def test_only_programs_of_this_home_may_ask(home):
    for token in (None, "b" * 64, "ä"):
        answer = home.get("/jph/devices", token=token)
        assert answer.status == 401
        assert "gateways/token" in answer.json["details"]


def test_the_state_of_the_gateway(home, store):
    with store.writing() as connection:
        refusals = [schema.Refusal(5_000, "measurements/x", "not JSON", b"\xff{")] * 2
        schema.note_refusals(connection, "TG", refusals)
    answer = home.get("/jph/state")
    assert answer.json == {"store": store.name, "refused": {"not JSON": 2}, "rate": 7}
    assert home.get("/jph/refusals").json == 2 * [
        {"at_ms": 5, "topic": "measurements/x", "reason": "not JSON", "payload": "�{"}
    ]


def test_devices_with_what_they_sent_last(home, store):
    at_us = time.time_ns() // 1000
    with store.writing() as connection:
        rows = [(home.sensor, at_us, None, 0, {"t": 1.5, "h": 2.0})]
        write(connection, Batch(measurements=rows))
        schema.note_seen(connection, "TG", {str(home.sensor): 3}, at_us)
    assert home.get("/jph/devices").json == [
        {
            **{"identifier": str(home.sensor), "name": "bed-3"},
            **{"network": "ada-net", "network_identifier": str(home.network)},
            "seen_ms": at_us // 1000,
            "attributes": [
                {"attribute": "h", "value": 2.0, "at_ms": at_us // 1000, "codifier": None},
                {"attribute": "t", "value": 1.5, "at_ms": at_us // 1000, "codifier": "t1"},
            ],
        }
    ]
    assert home.get("/jph/networks").json == [{"identifier": str(home.network), "name": "ada-net"}]


def test_a_log_newest_first(home, store):
    rows = [(home.sensor, n * 1_000_000, None, 0, "info", f"{n}", None, None) for n in range(5)]
    with store.writing() as connection:
        write(connection, Batch(logs=rows))
    path = f"/jph/devices/{home.sensor}/logs"
    assert [row["message"] for row in home.get(path).json] == ["4", "3", "2", "1", "0"]
    assert [row["message"] for row in home.get(f"{path}?before_ms=2000").json] == ["1", "0"]
    assert home.get(f"/jph/devices/{UNKNOWN}/logs").status == 404


def test_a_configuration_follows_its_schema(home):
    path = f"/jph/devices/{home.sensor}"
    document = {"properties": {"interval": {"type": "number", "minimum": 1}}}
    for owner in (home.network, home.sensor):
        assert home.put(f"/jph/schemas/{owner}", {"document": document}).status == 200
    assert home.get(f"/jph/schemas/{home.network}").json == {"document": document}
    answer = home.post(f"{path}/configurations", {"configuration": {"interval": 0}})
    assert answer.status == 409
    assert answer.json["mistakes"] == ["interval: 0 is less than the minimum of 1"]
    answer = home.post(f"{path}/configurations", {"configuration": {"interval": 1}})
    assert (answer.status, answer.json) == (201, {"revision": 0})
    (revision,) = home.get(f"{path}/revisions").json
    assert (revision["revision"], revision["progress"]) == (0, "waiting")
    assert revision["configuration"] == {"interval": 1}
    wrong = home.put(f"/jph/schemas/{home.network}", {"document": {"type": 1}})
    assert wrong.status == 409
    assert "no JSON Schema" in wrong.json["details"]
    assert home.put(f"/jph/schemas/{UNKNOWN}", {"document": None}).status == 404


def test_a_network_step_by_step(home, store):
    other = home.post(f"/jph/devices/{UNKNOWN}/configurations", {"configuration": {}})
    assert other.status == 404
    path = f"/jph/devices/{home.sensor}"
    assert home.post(f"{path}/configurations", {"configuration": {"a": 1}}).status == 201
    early = home.post(f"{path}/revisions/0/spread")
    assert early.status == 409
    assert "has not taken" in early.json["details"]
    with store.writing() as connection:
        write(connection, Batch(acknowledgments=[(home.sensor, 0, 1, True, 2)]))
    assert home.post(f"{path}/revisions/0/spread").json == {"revisions": {}}
    assert home.post(f"{path}/configurations", {"configuration": {"a": 2}}).status == 201
    assert home.get(f"/jph/networks/{home.network}/configurations").json == [
        {
            **{"identifier": str(home.sensor), "name": "bed-3"},
            **{"revision": 1, "progress": "waiting", "taken": 0},
        }
    ]
    assert home.post(f"{path}/configurations/back", {}).json == {"revision": 2}
    assert home.post(f"{path}/configurations/back", {"revision": 1}).json == {"revision": 3}
    values = [row["configuration"] for row in home.get(f"{path}/revisions").json]
    assert values == [{"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}]
    assert home.post(f"{path}/configurations/back", {"revision": 9}).status == 404


def test_mistakes_in_a_request_are_told(home):
    answer = home.post(f"/jph/devices/{home.sensor}/configurations", {"configuratio": {}})
    assert answer.status == 400
    assert "configuration: Field required" in answer.json["details"]
