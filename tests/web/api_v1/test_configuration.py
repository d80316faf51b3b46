import json
from types import SimpleNamespace

import pytest

from tests.helpers import eventually
from tests.web.api_v1.program import Program
from tests.web.configuration.conftest import (  # noqa: F401
    document,
    make_network,
    network,
    path,
)
from web.people.access import Role


@pytest.fixture
def program(network):  # noqa: F811
    return programs(network)(Role.ADMIN)


def programs(network):  # noqa: F811
    """Return what makes programs that ask the pages of a network, also after a change."""

    def make(role):
        web = network.web
        program = Program(SimpleNamespace(home=network.home, bound_port=web.bound_port), role)
        return program

    return make


def test_the_configuration_is_read_changed_and_taken_back(network, program, path):  # noqa: F811
    found = program.get("/configuration").json
    before = found["revision"]["number"]
    assert found["document"] == json.loads(path.read_text())
    changed = found["document"]
    changed["Sensors"][0]["Name"] = "Attic"
    answer = program.ask(
        "PUT", "/configuration", {"document": changed, "why": "moved", "base": before}
    )
    assert answer.status == 200, answer.text
    saved = answer.json
    assert (saved["number"], saved["why"]) == (before + 1, "moved")
    assert saved["who"].startswith("token test")
    assert json.loads(path.read_text())["Sensors"][0]["Name"] == "Attic"
    assert "__comment" in path.read_text()
    network.in_force()
    eventually(lambda: program.get("/components/A1").json["name"] == "Attic")
    revision = f"/configuration/revisions/{before + 1}"
    eventually(lambda: program.get(revision).json["revision"]["outcome"])
    page = program.get("/configuration/revisions", limit=1).json
    assert [one["number"] for one in page["items"]] == [before + 1]
    rest = program.get("/configuration/revisions", before=page["next"]).json
    assert [one["number"] for one in rest["items"]] == [before]
    assert rest["next"] is None
    earlier = program.get(f"/configuration/revisions/{before}").json
    assert earlier["document"]["Sensors"][0]["Name"] == "Kitchen"
    answer = program.post(f"/configuration/revisions/{before}/restore", {})
    assert (answer.status, answer.json["number"]) == (200, before + 2)
    assert answer.json["why"] == f"back to revision {before}"
    network.in_force()
    eventually(lambda: program.get("/components/A1").json["name"] == "Kitchen")


def test_mistakes_are_told_with_their_paths(program, path):  # noqa: F811
    before = path.read_text()
    changed = json.loads(before)
    changed["Sensors"][1]["SensorInterval"] = -5
    answer = program.ask("PUT", "/configuration", {"document": changed})
    assert answer.status == 422
    assert {"where": "Sensors[1].SensorInterval", "what": "must be > 0"} in answer.json["mistakes"]
    assert path.read_text() == before


def test_a_change_of_something_older_is_refused(program, path):  # noqa: F811
    found = program.get("/configuration").json
    by_hand = json.loads(path.read_text())
    by_hand["Sensors"][1]["Name"] = "Garden"
    path.write_text(json.dumps(by_hand))
    body = {"document": found["document"], "base": found["revision"]["number"]}
    answer = program.ask("PUT", "/configuration", body)
    assert answer.status == 409
    assert program.get("/configuration").json["revision"]["kind"] == "by hand"
    assert json.loads(path.read_text())["Sensors"][1]["Name"] == "Garden"


def test_only_an_admin_changes_it(network, path):  # noqa: F811
    before = path.read_text()
    for role in (Role.VIEWER, Role.OPERATOR):
        program = programs(network)(role)
        found = program.get("/configuration").json
        assert program.ask("PUT", "/configuration", {"document": found["document"]}).status == 403
        number = found["revision"]["number"]
        assert program.post(f"/configuration/revisions/{number}/restore", {}).status == 403
    assert path.read_text() == before


def test_what_is_not_kept_is_not_found(program):
    for number in (999, 1 << 80):
        assert program.get(f"/configuration/revisions/{number}").status == 404
        assert program.post(f"/configuration/revisions/{number}/restore", {}).status == 404
