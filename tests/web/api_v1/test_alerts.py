from types import SimpleNamespace

import pytest

from tests.helpers import eventually
from tests.web.alerts.conftest import start  # noqa: F401
from tests.web.api_v1.program import Program
from web.people.access import Role

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


def test_rules_are_read_added_changed_and_removed_as_revisions(network):
    program = program_of(network, Role.ADMIN)
    assert program.get("/alerts/rules").json["items"] == [{"component": "AL", "rule": WARM}]
    cold = {"Name": "Too cold / 1", "Kind": "below", "Limit": 5, "Sensors": ["A2"]}
    answer = program.put("/alerts/rules", {"component": "AL", "rule": cold})
    assert answer.status == 200, answer.text
    assert answer.json["why"] == "add the alert rule Too cold / 1"
    changed = {**cold, "Limit": 3}
    body = {"component": "AL", "rule": changed, "replaces": "Too cold / 1"}
    eventually(lambda: program.put("/alerts/rules", body).status == 200)
    eventually(
        lambda: [it["rule"] for it in program.get("/alerts/rules").json["items"]] == [WARM, changed]
    )
    eventually(
        lambda: program.delete("/alerts/rules", component="AL", name="Too cold / 1").status == 200
    )
    eventually(lambda: [it["rule"] for it in program.get("/alerts/rules").json["items"]] == [WARM])


@pytest.mark.parametrize(
    "rule, replaces, code",
    [
        ({"Name": "x", "Kind": "above"}, None, 422),
        ({"Name": "x", "Kind": "warmer", "Limit": 3}, None, 422),
        ({}, None, 422),
        ({**WARM, "Sensors": ["QQ"], "Name": "y"}, None, 422),
        (WARM, None, 422),  # its name is taken
        (WARM, "no such rule", 404),
    ],
)
def test_a_rule_with_mistakes_changes_nothing(network, rule, replaces, code):
    program = program_of(network, Role.ADMIN)
    body = {"component": "AL", "rule": rule, "replaces": replaces}
    answer = program.put("/alerts/rules", body)
    assert answer.status == code, answer.text
    assert program.get("/alerts/rules").json["items"] == [{"component": "AL", "rule": WARM}]


def test_rules_are_for_admins_and_maintenance_is_for_operators(network):
    program = program_of(network)
    assert program.put("/alerts/rules", {"component": "AL", "rule": WARM}).status == 403
    assert program.delete("/alerts/rules", component="AL", name="Too warm").status == 403
    body = {"component": "AL", "of": "codifier", "name": "A1", "seconds": 600}
    assert program_of(network, Role.VIEWER).post("/alerts/maintenance", body).status == 403
    assert program.post("/alerts/maintenance", {**body, "name": "QQ"}).status == 404
    assert program.post("/alerts/maintenance", body).status == 200
    eventually(lambda: [it["name"] for it in program.get("/alerts").json["maintenance"]] == ["A1"])
    assert program.post("/alerts/maintenance", {**body, "seconds": 0}).status == 200
    eventually(lambda: program.get("/alerts").json["maintenance"] == [])
