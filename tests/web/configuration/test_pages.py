"""What the pages of the configuration answer, without a browser."""

import json

import pytest

from tests.helpers import eventually, free_tcp_port
from web.configuration import store


class Admin:
    """Somebody who may change the configuration."""

    def __init__(self, network):
        self.client = network.client()

    def post(self, path, **body):
        headers = {
            "Content-Type": "application/json",
            "X-CSRF-Token": self.client.token("/"),
        }
        return self.client.ask("POST", path, json.dumps(body), headers)

    def get(self, path):
        return self.client.get(path)


@pytest.fixture
def admin(network):
    network.keeper.look()
    return Admin(network)


def test_strangers_see_and_change_nothing_of_it(network):
    client = network.client()
    client.cookies.clear()
    for path in ("/settings", "/settings/text", "/settings/revisions", "/settings/revisions/1"):
        assert client.get(path).status == 303
    assert client.post("/settings/save", text="{}").status == 403


def test_each_page_answers(network, admin):
    for path in (
        *("", "/text", "/add", "/add?type=Pipe", "/add?copy=A1", "/component/A1", "/revisions"),
        *("/revisions/1", "/revisions/1/config.json", "/schema/Pipe"),
    ):
        answer = admin.get(f"/settings{path}")
        assert answer.status == 200, path
    assert admin.get("/settings/component/ZZ").status == 404
    assert admin.get("/settings/accept/ZZ").status == 404
    assert admin.get("/settings/revisions/99").status == 404
    downloaded = admin.get("/settings/revisions/1/config.json")
    assert downloaded.body == network.path.read_bytes()


def test_a_new_calculation_is_confined_from_the_start(admin):
    added, copied = (
        admin.get(f"/settings/add?type={name}").text.partition('id="entry"')[2]
        for name in ("Python", "Pipe")
    )
    assert "Sandbox" in added and "confine" in added
    assert "Sandbox" not in copied


def test_an_entry_is_saved_by_name_and_its_comment_stays(network, admin, document):
    entry = {**document["Sensors"][0], "Name": "Hall"}
    answer = admin.post("/settings/save", base=1, codifier="A1", entry=entry, why="it  moved ")
    assert (answer.status, answer.json) == (200, {"number": 2, "moves_to": ""})
    found = store.find(network.home, 2)
    assert (found.who, found.why) == ("owner", "it moved")
    assert json.loads(network.path.read_text())["Sensors"][0]["__comment"] == "on the shelf"
    network.in_force()
    outcome = admin.get("/settings/outcome/2").json
    assert outcome["state"] == "in force"
    assert {it["codifier"] for it in outcome["components"]} == {"A1", "A2", "W1"}
    page = admin.get("/settings/revisions/2").text
    assert "Sensors[A1].Name" in page
    assert "Kitchen" in page


def test_a_mistake_is_told_with_its_key_or_its_line(network, admin):
    entry = {"Codifier": "N1", "Type": "Pipe", "SensorInterval": 0}
    answer = admin.post("/settings/check", base=1, codifier="", entry=entry)
    keys = {it["key"] for it in answer.json["mistakes"]}
    assert keys == {"SensorInterval", "Sensor.Pipe"}
    text = network.path.read_text().replace('"Simulated"', '"Simulatid"', 1)
    (mistake,) = admin.post("/settings/check", base=1, text=text).json["mistakes"]
    assert text.splitlines()[mistake["line"] - 1].strip() == '"Type": "Simulatid",'
    refused = admin.post("/settings/save", base=1, text=text)
    assert refused.json == {"mistakes": [mistake]}
    (mistake,) = admin.post("/settings/check", base=1, text='{\n"a" 1}').json["mistakes"]
    assert (mistake["line"], mistake["column"]) == (2, 5)


def test_two_people_at_once_see_what_each_changed_and_may_keep_both(network, admin, document):
    hall = {**document["Sensors"][0], "Name": "Hall"}
    assert admin.post("/settings/save", base=1, codifier="A1", entry=hall).status == 200
    network.in_force()
    attic = {**document["Sensors"][1], "Name": "Attic"}
    conflict = admin.post("/settings/save", base=1, codifier="A2", entry=attic)
    assert "number" not in conflict.json
    assert [it["path"] for it in conflict.json["mine"]] == ["Sensors[A2].Name"]
    assert conflict.json["theirs"] == [
        {"path": "Sensors[A1].Name", "before": '"Kitchen"', "after": '"Hall"'}
    ]
    assert conflict.json["overlaps"] == []
    both = admin.post("/settings/save", base=1, codifier="A2", entry=attic, how="merge")
    assert both.status == 200
    names = [it.get("Name") for it in json.loads(network.path.read_text())["Sensors"]]
    assert names == ["Hall", "Attic", None]
    network.in_force()


def test_both_changed_the_same_value(network, admin, document):
    text = network.path.read_text()
    network.path.write_text(text.replace("Kitchen", "By hand"))
    mine = text.replace("Kitchen", "Mine")
    conflict = admin.post("/settings/save", base=1, text=mine).json
    assert conflict["kind"] == "by hand"
    assert conflict["overlaps"] == ["Sensors[A1].Name"]
    assert admin.post("/settings/save", base=1, text=mine, how="over").status == 200
    assert network.path.read_text() == mine
    network.in_force()


def test_an_earlier_revision_comes_back_letter_by_letter_as_a_new_one(network, admin, document):
    text = network.path.read_text()
    hall = {**document["Sensors"][0], "Name": "Hall"}
    admin.post("/settings/save", base=1, codifier="A1", entry=hall)
    network.in_force()
    answer = admin.post("/settings/save", base=2, revision=1, why="back to revision 1")
    assert answer.json["number"] == 3
    assert network.path.read_text() == text
    network.in_force()
    assert network.node.config.components["A1"].name == "Kitchen"


def test_a_component_is_removed_and_another_added(network, admin):
    admin.post("/settings/save", base=1, codifier="A2", entry=None)
    network.in_force()
    assert "A2" not in network.node.config.components
    entry = {"Codifier": "N1", "Name": "New", "Type": "Simulated", "SensorInterval": 1}
    assert admin.post("/settings/save", base=2, codifier="", entry=entry).status == 200
    network.in_force()
    eventually(lambda: "N1" in network.node.runners)


def test_what_is_no_edit_is_refused(network, admin):
    for body in ({"base": "1"}, {"base": 1, "text": 5}, {"what": 1}, {"how": "never"}):
        assert admin.post("/settings/save", **body).status == 400
    assert admin.post("/settings/save", base=99, codifier="A1", entry={}).status == 503


def test_a_document_of_megabytes_is_taken(network, admin):
    text = network.path.read_text().replace("on the shelf", "x" * 2_000_000)
    assert admin.post("/settings/save", base=1, text=text).status == 200
    network.in_force()


def test_who_saved_it_is_in_the_audit_list(network, admin, document):
    hall = {**document["Sensors"][0], "Name": "Hall"}
    admin.post("/settings/save", base=1, codifier="A1", entry=hall, why="it moved")
    network.in_force()
    from web.history.events import between

    (event,) = [it for it in between(network.home, 0, 2**60) if it.text == "it moved"]
    assert (event.codifier, event.kind, event.who) == ("A1", "configuration", "owner")


def test_a_port_of_the_command_line_is_told_and_counts_more(make_network, path):
    port = free_tcp_port()
    network = make_network(path, port=port)
    admin = Admin(network)
    assert f"--port {port}" in admin.get("/settings/component/W1").text
    network.keeper.change(lambda document: document["Sensors"][0].update(Name="Hall"), "anna", "")
    assert network.in_force().state == "in force"
    assert network.web.bound_port == port
    assert "--port" not in path.read_text()
    assert str(port) not in path.read_text()
