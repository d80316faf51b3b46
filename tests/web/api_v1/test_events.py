import pytest

from jph.clock import time_now_ms
from tests.helpers import eventually
from tests.web.api_v1.program import Program
from tests.web.bus import SENDER, control
from web.history import events
from web.people.access import Role


def add(web, *given):
    return events.add(web.home, [events.Event(*one) for one in given])


def test_events_come_newest_first_page_by_page(web, program):
    now_ms = time_now_ms()
    add(web, *((now_ms - 1000 + n // 3, "A1", "silent", str(n)) for n in range(10)))
    found, query = [], {"limit": 4, "codifier": "A1"}
    while True:
        answer = program.get("/events", **query).json
        found += [item["text"] for item in answer["items"]]
        if answer["next"] is None:
            break
        query["before"] = answer["next"]
    assert found == [str(n) for n in reversed(range(10))]


def test_events_of_a_span_and_of_some(web, program):
    now_ms = time_now_ms()
    add(web, (now_ms - 9, "A1", "silent"), (now_ms - 5, "A2", "active"), (now_ms - 4, "", "note"))
    both = program.get("/events", codifier="A1", **{"from": now_ms - 9, "to": now_ms - 4}).json
    assert [item["kind"] for item in both["items"]] == ["silent"]
    whole = program.get("/events", codifier=["A2"], **{"from": now_ms - 9}).json
    assert [item["codifier"] for item in whole["items"]] == ["", "A2"]


def test_what_happens_on_the_bus_is_an_event(web, program):
    web.on_control(control("I", "A1"), SENDER)
    web.on_control(control("I", "A1", is_active=False), SENDER)

    def kinds():
        items = program.get("/events", codifier="A1").json["items"]
        return [item["kind"] for item in items]

    eventually(lambda: "halted" in kinds())


def test_a_note_is_written_and_removed(web, program):
    answer = program.post("/events", {"text": "Pump <b>exchanged</b>", "codifier": "A1"})
    assert answer.status == 201
    note = answer.json
    assert (note["kind"], note["codifier"]) == ("note", "A1")
    assert note["who"].startswith("token test")
    assert program.get("/events").json["items"][0] == note
    assert program.ask("DELETE", f"/events/{note['number']}").status == 204
    assert program.ask("DELETE", f"/events/{note['number']}").status == 404


def test_other_events_cannot_be_removed(web, program):
    (number,) = add(web, (time_now_ms(), "A1", "silent"))
    assert program.ask("DELETE", f"/events/{number}").status == 404


def test_a_note_about_a_time_to_come_removes_nothing(web, program):
    program.post("/events", {"text": "today"})
    assert program.post("/events", {"text": "one day", "time": (1 << 48) - 1}).status == 201
    assert [one["text"] for one in program.get("/events").json["items"]] == ["one day", "today"]


@pytest.mark.parametrize(
    "body, code",
    [
        ({"text": ""}, 422),
        ({"text": "x" * 501}, 422),
        ({"text": "x", "codifier": "zz"}, 404),
        ({"text": "x", "time": -1}, 422),
        ({}, 422),
    ],
)
def test_a_note_that_cannot_be_is_refused(program, body, code):
    assert program.post("/events", body).status == code


def test_a_viewer_writes_no_notes(web):
    viewer = Program(web, Role.VIEWER)
    assert viewer.post("/events", {"text": "x"}).status == 403
    assert viewer.get("/events").status == 200
