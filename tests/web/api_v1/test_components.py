import json

import pytest

from tests.web.api_v1.program import Program
from tests.web.bus import SENDER, component, control, group_status, obey, reading, source
from web.people.access import Role


@pytest.fixture
def web(make_web):
    return make_web(
        component("C1", name="Nörd", area="House/North", labels=("wet",), symbol="°C"),
        component("A1", name="Load", area="House", data_type="double"),
        component("B1", data_type="json", type="Proxy", sensor_interval_s=None),
        component("SP", type="SetPoint", control_enabled=True),
        component("W1", type="Web", sensor_interval_s=None),
    )


def codifiers(answer):
    assert answer.status == 200, answer.text
    return [item["codifier"] for item in answer.json["items"]]


def test_components_come_by_codifier_with_their_states(web, program):
    web.channel.data_sources["A1"] = source("A1", lost=3)
    web.on_batch([reading("A1", 21.5, timestamp_ms=1234)])
    web.on_control(control("N", "A1", number=99.0), SENDER)
    answer = program.get("/components")
    assert answer.headers["Content-Type"] == "application/json"
    assert codifiers(answer) == ["A1", "B1", "C1", "SP", "W1"]
    first = answer.json["items"][0]
    assert (first["name"], first["area"], first["data_type"]) == ("Load", "House", "double")
    state = first["state"]
    assert (state["value"], state["time"], state["text"]) == (21.5, 1234, "21.5")
    assert (state["status"], state["readings_lost"], state["loaded"]) == ("active", 3, 99)
    alone = program.get("/components/A1").json
    heard_ms = state.pop("heard")
    states = [
        alone["state"],
        program.get("/states/A1").json,
        program.get("/states").json["items"][0],
    ]
    # It is made of an age, in steps of 0.1 s.
    assert [each.pop("heard") for each in states] == pytest.approx([heard_ms] * 3, abs=200)
    assert states == [state] * 3
    assert alone == first


def test_a_change_is_seen_at_once(web, program):
    for number in range(3):
        web.on_batch([reading("A1", float(number), sequence=number)])
        assert program.get("/components").json["items"][0]["state"]["value"] == number
        assert program.get("/states").json["items"][0]["value"] == number


def test_an_object_and_half_a_surrogate_pair_are_json(web, program):
    web.on_batch([reading("B1", {"value": -5, "note": "\ud800", "odd": [1, None]})])
    assert program.get("/states/B1").json["value"] == {
        "value": -5,
        "note": "\ud800",
        "odd": [1, None],
    }


def test_components_are_chosen(program):
    assert codifiers(program.get("/components", area="House")) == ["A1", "C1"]
    assert codifiers(program.get("/components", area="House/North")) == ["C1"]
    assert codifiers(program.get("/components", label=["wet", "dry"])) == ["C1"]
    assert codifiers(program.get("/components", type=["Web", "Proxy"])) == ["B1", "W1"]
    assert codifiers(program.get("/states", codifier=["SP", "A1", "zz"])) == ["A1", "SP"]
    assert codifiers(program.get("/states", status="unseen", type="Proxy")) == ["B1"]
    assert codifiers(program.get("/states", status="active")) == []


def test_pages_go_by_key(program):
    found, query = [], {"limit": 2}
    while True:
        answer = program.get("/components", **query)
        found.append(codifiers(answer))
        if answer.json["next"] is None:
            break
        query["after"] = answer.json["next"]
    assert found == [["A1", "B1"], ["C1", "SP"], ["W1"]]
    assert codifiers(program.get("/components", after="Bz")) == ["C1", "SP", "W1"]


def test_the_network_as_a_whole(web, program):
    web.on_batch([reading("A1", 1.0), reading("Q9", 1.0)])
    web.channel.process.bus.data = group_status(joined=False)
    answer = program.get("/network").json
    assert answer["components"] == {
        "active": 1,
        "failing": 0,
        "silent": 0,
        "halted": 0,
        "unseen": 4,
    }
    assert answer["unknown"] == ["Q9"]


@pytest.mark.parametrize(
    "path, code, words",
    [
        ("/components/zz", 404, "There is no component zz."),
        ("/nowhere", 404, "openapi.json"),
        ("/", 404, "openapi.json"),
        ("/components?limit=0", 422, "limit"),
        ("/components?limit=1&limit=2", 422, "more than once"),
        ("/components?colour=red", 422, "colour"),
        ("/components?status=dead", 422, "status"),
    ],
)
def test_errors_have_one_shape(program, path, code, words):
    answer = program.ask("GET", path)
    assert answer.status == code
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == code
    assert words in answer.json["detail"]


def test_other_methods_are_refused_with_those_that_are_allowed(program):
    answer = program.ask("DELETE", "/components/A1")
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert answer.json["detail"] == "Allowed here: GET, HEAD."
    assert program.ask("OPTIONS", "/components/A1").headers["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("token", ["", "jph_wrong", "wrong"])
def test_a_stranger_and_a_wrong_token_are_refused(make_web, token):
    stranger = Program(make_web(anonymous_read=False), token=token)
    for answer in (
        stranger.get("/components"),
        stranger.get("/openapi.json"),
        stranger.get("/nowhere") if token == "jph_wrong" else stranger.get("/states/A1"),
        stranger.post("/components/A1/commands", {"command": "ping"}),
    ):
        assert answer.status == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_command_ends_in_what_happened(web, program):
    obey(web)
    path = "/components/SP/commands"
    answer = program.post(path, {"command": "set", "number": 21})
    assert answer.status == 200
    assert answer.json["done"] is True
    assert (answer.json["codifier"], answer.json["command"]) == ("SP", "set")
    assert ("A", "SP", 21.0) in web.channel.told
    assert program.post("/components/A1/commands", {"command": "halt"}).json["done"] is True
    assert program.get("/states/A1").json["status"] == "halted"
    assert program.post("/components/A1/commands", {"command": "start"}).json["done"] is True
    trip = program.post("/components/A1/commands", {"command": "ping"}).json
    assert trip["round_trip_ms"] >= 0


@pytest.mark.parametrize(
    "codifier, body, code",
    [
        ("zz", {"command": "ping"}, 404),
        ("A1", {"command": "set", "number": 3}, 409),
        ("W1", {"command": "halt"}, 409),
        ("SP", {"command": "set"}, 422),
        ("SP", {"command": "set", "number": "3"}, 422),
        ("SP", {"command": "ping", "number": 3}, 422),
        ("SP", {"command": "explode"}, 422),
        ("SP", [], 422),
        ("SP", "{", 422),
        ("SP", '{"command": "set", "number": 1e999}', 422),
        ("SP", json.dumps({"command": "x" * 20_000}), 413),
    ],
)
def test_a_command_that_cannot_be_is_refused(web, program, codifier, body, code):
    answer = program.post(f"/components/{codifier}/commands", body)
    assert (answer.status, answer.json["status"]) == (code, code)
    assert web.channel.told == []


def test_a_command_needs_json(program):
    answer = program.ask(
        "POST", "/components/SP/commands", "command=ping", Content_Type="text/plain"
    )
    assert answer.status == 415


def test_a_viewer_commands_nothing_and_an_operator_does(web):
    obey(web)
    path, body = "/components/A1/commands", {"command": "ping"}
    viewer, operator = Program(web, Role.VIEWER), Program(web, Role.OPERATOR)
    answer = viewer.post(path, body)
    assert (answer.status, web.channel.sent) == (403, [])
    assert "operator" in answer.json["detail"]
    assert viewer.get("/components/A1").status == 200
    assert operator.post(path, body).status == 200


def test_commands_are_in_the_audit_list(web, program):
    from web.app import Application
    from web.people import audit

    obey(web)
    program.post("/components/A1/commands", {"command": "halt"})
    with Application(web.home).app_context():
        (entry, *_) = [one for one in audit.entries() if one.action == "halt"]
    assert (entry.subject, entry.who.startswith("token test")) == ("A1", True)
