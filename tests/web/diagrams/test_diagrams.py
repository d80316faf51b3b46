import json

import pytest

from tests.web.bus import both_servers, component, control, reading
from tests.web.client import Client
from tests.web.diagrams.test_pictures import png
from web.app import Application
from web.people import users
from web.people.access import Role

SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20" onload="alert(1)">'
    b'<rect width="40" height="20" fill="#eee"/><script>alert(2)</script></svg>'
)
PLACE = {"codifier": "A1", "x": 0.25, "y": 0.75, "label": "Top", "size": "large", "low": 5}


def send(client, path, body, **headers):
    """Send something as the script of the page does."""
    sent = {"X-CSRF-Token": client.token("/settings/sessions"), "Content-Type": "image/svg+xml"}
    sent["Accept"] = "application/json"
    return client.ask("POST", path, body, sent | headers)


def save(client, number, version=1, name="House", places=(PLACE,), **more):
    body = json.dumps({"name": name, "places": list(places), "version": version, **more})
    return send(client, f"/diagram/{number}", body, **{"Content-Type": "application/json"})


@pytest.fixture
def made(owner):
    """Return the number of a diagram."""
    answer = send(owner, "/diagram?name=House", SVG)
    assert answer.status == 200, answer.text
    return answer.json["number"]


def test_without_a_diagram_the_page_says_how_to_make_one(owner, client):
    assert "Try an example" in owner.get("/diagram").text
    page = client.get("/diagram")
    assert page.status == 200
    assert "operator can add one" in page.text
    assert "Try an example" not in page.text


def test_a_picture_is_cleaned_and_served_with_strict_headers(owner, client, made):
    answer = client.get(f"/diagram/{made}/picture")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("image/svg+xml")
    assert b"alert" not in answer.body
    assert b"#eee" in answer.body
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "script-src" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_the_browser_calls_a_picture_does_not_count(owner):
    answer = send(owner, "/diagram?name=x", b"<html><script>", **{"Content-Type": "image/png"})
    assert (answer.status, answer.json["error"]) == (400, "It is neither SVG, PNG, JPEG or WebP.")
    answer = send(owner, "/diagram?name=x", png(), **{"Content-Type": "text/html"})
    assert answer.status == 200
    picture = owner.get(f"/diagram/{answer.json['number']}/picture")
    assert picture.headers["Content-Type"] == "image/png"


@both_servers
def test_a_picture_of_4_mb_is_taken_and_no_larger_one(owner):
    fits = png(40, 20) + bytes((4 << 20) - len(png(40, 20)))
    answer = send(owner, "/diagram?name=large", fits)
    assert answer.status == 200, answer.text
    assert len(owner.get(f"/diagram/{answer.json['number']}/picture").body) == 4 << 20
    assert send(owner, "/diagram?name=larger", fits + b"\0").status == 400
    assert send(owner, "/diagram?name=huge", fits + bytes(1 << 20)).status == 413
    assert send(owner, "/command", bytes(20_000)).status in (400, 413)


def test_values_are_placed_and_shown(web, owner, client, made):
    web.on_batch([reading("A1", 21.5)])
    assert save(owner, made).status == 200
    page = client.get(f"/diagram/{made}").text
    assert 'data-x="0.25" data-y="0.75" data-label="Top"' in page
    assert 'data-low="5.0"' in page
    assert "<b>21.5</b>" in page
    assert client.get("/diagram").headers["Location"].endswith(f"/diagram/{made}")


def test_nobody_overwrites_what_they_have_not_seen(owner, made):
    assert save(owner, made, version=1).status == 200
    answer = save(owner, made, version=1, name="Other")
    assert answer.status == 409
    assert "load it again" in answer.json["error"]
    assert save(owner, made, version=2, name="Other").status == 200


def test_another_picture_has_another_address_and_keeps_the_values(owner, made):
    save(owner, made)
    before = owner.get(f"/diagram/{made}").text
    assert f"/diagram/{made}/picture?v=1" in before
    assert send(owner, f"/diagram/{made}/picture", png(60, 20)).status == 200
    page = owner.get(f"/diagram/{made}").text
    assert f"/diagram/{made}/picture?v=2" in page
    assert 'data-width="60.0"' in page
    assert 'data-label="Top"' in page


def test_a_diagram_is_removed(owner, made):
    empty = {"Content-Type": "application/json"}
    assert send(owner, f"/diagram/{made}/remove", "{}", **empty).status == 200
    for path in (f"/diagram/{made}", f"/diagram/{made}/picture"):
        assert owner.get(path).status == 404


@pytest.mark.parametrize(
    "place",
    [
        {"codifier": "A1", "x": 1.5, "y": 0},
        {"codifier": "A1", "x": "0", "y": 0},
        {"codifier": "A1", "x": 0},
        {"codifier": "A1", "x": True, "y": 0},
        {"codifier": "toolong", "x": 0, "y": 0},
        {"codifier": None, "x": 0, "y": 0},
        {"codifier": "A1", "x": 0, "y": 0, "size": "huge"},
        {"codifier": "A1", "x": 0, "y": 0, "label": "x" * 61},
        {"codifier": "A1", "x": 0, "y": 0, "low": 5, "high": 4},
        {"codifier": "A1", "x": 0, "y": 0, "low": float("nan")},
        {"codifier": "A1", "x": 0, "y": 0, "low": 10**400},
        [],
    ],
)
def test_a_place_that_cannot_be_is_refused(owner, made, place):
    assert save(owner, made, places=[place]).status == 400


@pytest.mark.parametrize("name", ["", "  ", "x" * 101])
def test_a_diagram_needs_a_name(owner, made, name):
    assert save(owner, made, name=name).status == 400


def test_there_is_a_limit_of_values(owner, made):
    place = {"codifier": "A1", "x": 0, "y": 0}
    assert save(owner, made, places=[place] * 150).status == 200
    assert save(owner, made, places=[place] * 151, version=2).status == 400


def test_strange_texts_stay_texts(make_web):
    strange = '"><img src=x onerror=alert(1)>{{7*7}}'
    web = make_web(component("A1", name=strange), component("W1", type="Web"))
    owner = Client(web.bound_port)
    owner.follow_link(web.sign_in_url())
    number = send(owner, "/diagram?name=x", SVG).json["number"]
    save(owner, number, name=strange, places=[{**PLACE, "label": strange}])
    page = owner.get(f"/diagram/{number}").text
    assert "<img src=x" not in page
    assert "{{7*7}}" in page


def test_a_component_that_went_away_leaves_its_place(web, owner, made):
    save(owner, made, places=[PLACE, {**PLACE, "codifier": "ZZ", "label": "Gone"}])
    page = owner.get(f"/diagram/{made}").text
    assert "Not in the configuration" in page
    assert page.count("data-known") == 1


@pytest.fixture
def viewer(web):
    with Application(web.home).app_context():
        users.set_password("vera", "long enough", Role.VIEWER)
    client = Client(web.bound_port)
    assert client.sign_in("vera", "long enough").status == 303
    return client


def test_a_viewer_sees_and_changes_nothing(web, owner, made, viewer):
    assert viewer.get(f"/diagram/{made}").status == 200
    assert 'id="editor"' not in viewer.get(f"/diagram/{made}").text
    assert save(viewer, made).status == 403
    for path in ("", "/example", f"/{made}/picture", f"/{made}/remove"):
        assert send(viewer, f"/diagram{path}?name=x", SVG).status == 403


def test_the_example_has_the_first_sensors(web, owner):
    web.on_batch([reading("A2", 5)])
    web.on_control(control("I", "H1"), ("127.0.0.1", 1))
    answer = owner.post("/diagram/example", csrf=owner.token("/diagram"))
    assert answer.status == 303
    page = owner.get(answer.headers["Location"]).text
    codifiers = [part[:2] for part in page.split('<li class="place" data-codifier="')[1:]]
    assert codifiers[0] == "A2"
    assert set(codifiers) == {"A1", "A2", "A3"}


def test_changes_are_in_the_audit_list(web, owner, made):
    from web.people import audit

    save(owner, made)
    with Application(web.home).app_context():
        actions = [entry.action for entry in audit.entries()]
    assert actions[:2] == ["change-diagram", "add-diagram"]
