"""What breaks a rule of IoTtalk is counted and answered by rule, and stops nothing."""

import json
import queue

import pytest

from tests.brokers import connected
from tests.gateways.iottalk.programs import Device, Program, ask, gateway, network
from tests.helpers import eventually

LARGE = b"x" * 900_000  # nats-server takes no more than a million
DEEP = 10_000
NO_OBJECT = [
    *(b"nonsense", b"\xff\xfe", b"{", b"[", b"[1", b'"', b"\0", b"\xef\xbb\xbf{}", LARGE),
    *(b"[" * DEEP, b'{"a":' * DEEP, b"null", b"1", b"true", b'"text"', b"[]", b"[{}]"),
    *(b'{"op": NaN}', b'{"op": Infinity}', b'{"op": ' + b"9" * 5000 + b"}"),
]
WRONG = [None, 1, 1.5, True, "", "x", "x" * 300, [], {}, [1], {"a": 1}, ["x"], "\0", "é", "+", "#"]
LINK = {"op": "add_link", "da_id": "…", "odf": "free", "func": None}
REQUESTS = [
    {},
    *({"op": op} for op in (None, 1, [], {}, "unknown", "x" * 10_000)),
    *({"op": "add_funcs", "codes": codes, "digests": ["x"]} for codes in WRONG),
    *({"op": "add_funcs", "codes": ["x"], "digests": digests} for digests in WRONG),
    *({"op": "rm_funcs", "digests": digests} for digests in (None, 1, "x", {}, [1], ["x"])),
    *({**LINK, "da_id": given} for given in WRONG),
    *({**LINK, "odf": given} for given in WRONG),
    *({**LINK, "func": given} for given in WRONG if given not in (None, "")),
    *({**LINK, "depends": given} for given in (1, "x", [1], {"a": 1}, {"a b": "x"})),
    *({**LINK, "input_type": given} for given in (1, "x", [1], {"a": 1})),
    *({**LINK, "param_no": given} for given in (-1, 1.5, True, "1", [], {}, 10**9)),
    *({**LINK, "tag_param_no": given} for given in (-1, 1.5, True, "1", [], {}, 10**9)),
    {**LINK, "idf": "in", "param_no": 2},
    {**LINK, "odf": "out", "param_no": 2},
    {"op": "add_link", "da_id": "…"},
    {"op": "rm_link", "da_id": "…", "idf": "unknown"},
    *({"op": "set_join", "prev": None, "new": given} for given in WRONG if given not in (None, "")),
    *({"op": "set_join", "prev": given, "new": None} for given in WRONG if given not in (None, "")),
    {"op": "set_df_func", "da_id": "…", "idf": "in", "prev": "x", "new": None},
    {"op": "set_df_func", "da_id": "…", "idf": "unknown", "prev": None, "new": None},
    {"op": "set_df_func", "da_id": "…", "idf": "in", "prev": None, "new": None, "input_type": "x"},
]


@pytest.fixture
def rig(mqtt_broker, tmp_path):
    """Yield a gateway, a device with both ends, and a program with a graph between them."""
    with (
        gateway(network(mqtt_broker), tmp_path) as (_, component),
        connected(mqtt_broker.port, "device") as of_device,
        connected(mqtt_broker.port, "gui") as of_gui,
    ):
        odf = [("out", [None]), ("free", [None])]
        device = Device(of_device, component, [("in", [None])], odf)
        device.register()
        program = Program(of_gui)
        program.must("attach")
        program.must("add_link", da_id=device.id, idf="in", func=None)
        program.must("add_link", da_id=device.id, odf="out", func=None)
        assert {device.signal(), device.signal()} == {("CONNECT", "in"), ("CONNECT", "out")}
        goes_on(device)
        yield component, device, program


def goes_on(device) -> None:
    """Check that a value goes through the graph, and no other has."""
    device.push("in", [7])
    assert device.value() == ("out", [7])
    with pytest.raises(queue.Empty):
        device.values.get(timeout=0.05)


def refused(component) -> int:
    return component._counts()["refused"]


def test_every_request_with_a_mistake_is_answered_and_changes_nothing(rig):
    component, device, program = rig
    register = component._register
    eventually(lambda: not register.known.devices[device.id].unanswered, what="all is answered")
    before = register.known

    for request in REQUESTS:
        text = json.dumps(request).replace("\\u2026", device.id)
        program.send("/graph/1", text.encode())
    for request in REQUESTS:
        topic, answer = program.answers.get(timeout=30)
        assert topic == "iottalk/api/res/gui/graph/1"
        assert answer["state"] == "error", (request, answer)
        assert answer["reason"], request
    # What is wrong is each time the one thing.
    assert program.ask("add_link", da_id=device.id, odf="free", param_no=4096)["state"] == "ok"
    assert program.ask("rm_link", da_id=device.id, odf="free")["state"] == "ok"
    assert register.known.graphs == before.graphs
    eventually(lambda: register.known.devices == before.devices, what="all is as it was")
    assert refused(component) == len(REQUESTS)
    goes_on(device)


def test_every_request_that_is_no_object_is_answered(rig):
    component, device, program = rig

    for payload in NO_OBJECT:
        program.send("/graph/1", payload)
        _, answer = program.answers.get(timeout=30)
        assert answer["state"] == "error" and answer["reason"]
    goes_on(device)
    assert refused(component) >= len(NO_OBJECT)


def test_requests_at_other_places_stop_nothing(rig):
    component, device, program = rig
    places = ["", "/", "/graph", "/graph/", "/graph/1/2", "/graph//", "/device", "/device/1", "/x"]
    places += ["/graph/" + "x" * 1000, "/graph/é", "//graph/1", "/graph/unknown"]

    for place in places:
        program.send(place, {"op": "add_link"})
    program.client.publish("iottalk/api/req", b'{"op": "detach"}', 1)
    program.send("/graph/last", {"op": "attach"})
    answers = {}
    while "iottalk/api/res/gui/graph/last" not in answers:
        topic, answer = program.answers.get(timeout=30)
        answers[topic] = answer["state"]
    assert answers["iottalk/api/res/gui/graph/last"] == "ok"
    goes_on(device)
    assert "gui/1" in component._register.known.graphs


def test_what_devices_say_wrongly_stops_nothing(rig):
    component, device, _ = rig
    said = [
        *NO_OBJECT,
        *(json.dumps({"state": state, "rev": device.rev}).encode() for state in WRONG),
        *(json.dumps({"state": "offline", "rev": rev}).encode() for rev in WRONG),
        b'{"state": "offline"}',
        *(json.dumps({"msg_id": given, "state": "ok"}).encode() for given in WRONG),
    ]
    # An answer to what was not asked is none of these.
    fewest = len(said) - len(WRONG)
    for payload in said:
        device.client.publish(device.up, payload, 1)
    for topic in ("x/ctrl/i", "/ctrl/i", f"{device.id.upper()}/ctrl/i"):
        device.client.publish(topic, b'{"state": "online", "rev": "x"}', 1)
    retained = json.dumps({"state": "offline", "rev": "of another time"})
    device.client.publish(device.up, retained, 1, retain=True)

    eventually(lambda: refused(component) >= fewest + 3, 60, "all are counted")
    assert component._register.known.devices[device.id].online
    goes_on(device)


def test_values_that_are_none_are_counted_and_the_others_go_on(rig):
    component, device, _ = rig
    values = [
        *(payload for payload in NO_OBJECT if payload[:1] not in (b'"', b"1", b"t", b"n")),
        *(b"", b"[NaN]", b"[1e999]", b"[1, 2]", b"[]", LARGE),
    ]
    for payload in values:
        device.client.publish(device.topics["in"], payload, 1)
    device.client.publish(device.topics["in"], b"[5]", 1, retain=True)
    device.client.publish("iottalk/esm/unknown", b"[5]", 1)
    device.client.publish("iottalk/esm/", b"[5]", 1)
    eventually(lambda: refused(component) >= 10, 60, "they are counted")
    while not device.values.empty():
        device.values.get()
    device.push("in", [8])
    eventually(lambda: device.value() == ("out", [8]))


@pytest.mark.parametrize("body", [None, [], 1, "x", {}, {"accept_protos": ["mqtt"]}])
def test_a_registration_that_is_none_is_refused_by_rule(rig, body):
    component, device, _ = rig

    status, answer = ask(component, "PUT", f"/{device.id}", body)

    assert status == (400 if body is None else 403)
    assert (answer["id"], answer["state"]) == (device.id, "error") and answer["reason"]
    goes_on(device)


def test_registrations_of_every_wrong_kind(rig):
    component, device, _ = rig
    good = {"accept_protos": ["mqtt"], "idf_list": [["in", [None]]], "name": "N"}
    path = "/00000000-0000-4000-8000-000000000001"
    bodies = [
        *({**good, "idf_list": given} for given in WRONG if given not in (None, [], ["x"])),
        *({**good, "idf_list": [given]} for given in WRONG if not isinstance(given, str)),
        *({**good, "accept_protos": given} for given in (1, "mqtt", {}, [1])),
        *({**good, "name": given} for given in (1, "", [], {}, "x" * 201)),
        *({**good, "profile": given} for given in (1, "x", [1])),
        {**good, "idf_list": [["in", [None]], ["in", [None]]]},
    ]
    for body in bodies:
        status, answer = ask(component, "PUT", path, body)
        assert (status, answer["state"]) == (403, "error"), (body, answer)
    assert ask(component, "PUT", path, {**good, "accept_protos": ["ws"]})[0] == 510
    assert ask(component, "PUT", path, good, kind="text/plain")[0] == 400
    assert ask(component, "GET", path)[0] == 404
    assert ask(component, "DELETE", path, {"rev": "x"})[0] == 404
    assert ask(component, "DELETE", f"/{device.id}", {"rev": "x"})[0] == 400
    assert ask(component, "GET", "/no-uuid")[0] == 404
    goes_on(device)


def test_a_device_that_says_it_is_offline_just_after_it_left_breaks_no_rule(mqtt_broker, tmp_path):
    with (
        gateway(network(mqtt_broker), tmp_path) as (_, component),
        connected(mqtt_broker.port, "device") as client,
    ):
        device = Device(client, component, [("a", [None])])
        device.register()
        known = component._register
        eventually(lambda: known.known.devices[device.id].online)
        assert ask(component, "DELETE", f"/{device.id}", {"rev": device.rev})[0] == 200
        device.say("offline")
        device.say("online")
        eventually(lambda: component._counts()["refused"])
        assert component._counts()["refused"] == 1  # only who says that it is there


@pytest.mark.parametrize("name", ["+", "%23", "a%00", "x" * 201])
def test_our_pages_name_no_graph_that_has_no_topic(mosquitto, tmp_path, name):
    with gateway(network(mosquitto), tmp_path) as (_, component):
        token = (tmp_path / "gateways" / "token").read_text().strip()
        asked = {"request": {"op": "attach"}}
        status, answer = ask(component, "POST", f"/jph/graphs/jph/{name}", asked, token)
        assert (status, answer["state"]) == (200, "error"), answer
        assert "at most 200 characters" in answer["reason"]
        assert not component.state()["waiting_for_the_broker"]
        assert not component._register.known.graphs
