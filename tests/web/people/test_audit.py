"""Tests of the audit list."""

import sqlite3

from web.app import Application
from web.people import audit


def noted(home):
    with Application(home).app_context():
        return [(entry.who, entry.action, entry.subject) for entry in audit.entries()]


def test_a_command_is_noted_with_who_sent_it(web, owner, tmp_path):
    owner.command("A1", "H", owner.token("/"))
    assert noted(tmp_path) == [("owner", "halt", "A1"), ("owner", "sign in", "by link")]


def test_a_value_is_noted_with_what_became_of_it(make_web, tmp_path):
    from tests.web.bus import component
    from tests.web.client import Client

    web = make_web(component("F1", control_enabled=True))
    person = Client(web.bound_port)
    person.follow_link(web.sign_in_url())
    person.command("F1", "A", person.token("/"), number=21.5)
    with Application(tmp_path).app_context():
        entry, _ = audit.entries()
    assert entry.detail.startswith("21.5: ")


def test_a_refused_command_is_not_noted(web, client, tmp_path):
    client.command("A1", "H", client.token())
    assert noted(tmp_path) == []


def test_the_list_is_bounded(web, owner, tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "MOST", 3)
    token = owner.token("/")
    for flag in "HSHSP":
        owner.command("A1", flag, token)
    assert [action for _, action, _ in noted(tmp_path)] == ["ping", "start", "halt"]


def test_a_list_that_cannot_be_written_stops_no_command(web, owner, tmp_path, monkeypatch):
    token = owner.token("/")
    with sqlite3.connect(tmp_path / "web.sqlite") as database:
        database.execute("DROP TABLE audit")
    assert owner.command("A1", "H", token).status == 200
