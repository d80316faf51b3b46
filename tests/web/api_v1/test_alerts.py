from types import SimpleNamespace

import pytest

from tests.helpers import eventually
from tests.web.alerts.conftest import start  # noqa: F401
from tests.web.api_v1.program import Program
from web.access import Role

WARM = {"Name": "Too warm", "Kind": "above", "Limit": 30, "Sensors": ["A1"]}


@pytest.fixture
def network(start):  # noqa: F811
    """Return a network in which one rule fires."""
    network = start(rules=[WARM])
    network.sensors.values.update(A1=40.0, A2=1.0)
    return network


def program_of(network, role=Role.OPERATOR):
    port = int(network.address.rstrip("/").rpartition(":")[2])
    return Program(SimpleNamespace(home=network.home, bound_port=port), role)


def test_alerts_are_read_acknowledged_snoozed_and_reopened(network):
    program = program_of(network)
    eventually(lambda: program.get("/alerts").json["firing"] == 1)
    (alert,) = program.get("/alerts").json["items"]
    assert (alert["component"], alert["codifier"], alert["rule"]) == ("AL", "A1", "Too warm")
    assert (alert["state"], alert["value"], alert["until"]) == ("firing", 40.0, None)
    assert program.get("/alerts", codifier="A2").json["items"] == []
    assert program.get("/alerts", codifier=["A1", "A2"]).json["items"] != []
    path = f"/alerts/AL/{alert['number']}"

    def shown():
        (alert,) = program.get("/alerts").json["items"]
        return alert

    for body, state in (
        ({"action": "acknowledge"}, "acknowledged"),
        ({"action": "snooze", "seconds": 600}, "snoozed"),
        ({"action": "reopen"}, "firing"),
    ):
        answer = program.post(path, body)
        assert answer.status == 200, answer.text
        # A busy machine may answer later than the request waits; it says so, and obeys.
        late = "did not answer" in answer.json["outcome"]
        assert answer.json["done"] is not late
        eventually(lambda state=state: shown()["state"] == state)
        assert (shown()["until"] is not None) == (state == "snoozed")
    network.sensors.values["A1"] = 1.0
    eventually(lambda: program.get("/alerts").json["ended"], 100)
    assert program.get("/alerts").json["items"] == []
    assert program.post(path, {"action": "acknowledge"}).status == 404


@pytest.mark.parametrize(
    "path, body, code",
    [
        ("AL/999", {"action": "acknowledge"}, 404),
        ("A1/1", {"action": "acknowledge"}, 404),
        ("AL/1", {"action": "snooze"}, 422),
        ("AL/1", {"action": "snooze", "seconds": 0}, 422),
        ("AL/1", {"action": "forget"}, 422),
    ],
)
def test_what_cannot_be_is_refused(network, path, body, code):
    assert program_of(network).post(f"/alerts/{path}", body).status == code


def test_a_viewer_only_looks(network):
    viewer = program_of(network, Role.VIEWER)
    assert viewer.get("/alerts").status == 200
    assert viewer.post("/alerts/AL/1", {"action": "acknowledge"}).status == 403
