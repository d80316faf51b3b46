"""Tests of the page of backups, with a node whose configuration is a file."""

import contextlib
import json
import os
import re
import stat

import pytest

from tests.helpers import new_bus
from tests.web.backup.archive import names, people
from tests.web.configuration.conftest import entry
from web.app import Application
from web.people import users
from web.people.access import Role

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(users, "ROUNDS", 4)


@pytest.fixture
def document():
    """Return a document with pages, whose history is in a file."""
    pages = {"Codifier": "W1", "Type": "Web", "Sensor": {"Port": 0}}
    writer = {"Codifier": "H1", "Type": "HistoryWriter"}
    return new_bus().document(entry("A1", Name="Kitchen"), writer, pages)


def upload(client, data):
    token = re.search(r'name="csrf" value="([^"]+)"', client.get("/settings/backup").text)[1]
    edge = "----edge"
    body = (
        f'--{edge}\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{token}\r\n'
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="a.jph"\r\n\r\n'
    ).encode()
    body += data + f"\r\n--{edge}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={edge}"}
    return client.ask("POST", "/settings/backup/restore", body, headers)


def test_the_page_hands_a_backup_out_and_takes_it_back(network):
    with Application(network.home).app_context():
        users.set_password("anna", PASSWORD, Role.ADMIN)
    client = network.client()
    answer = client.get("/settings/backup/file")
    assert answer.status == 200
    assert "attachment" in answer.headers["Content-Disposition"]
    assert "home/web.sqlite" in names(answer.body)
    with Application(network.home).app_context():
        users.remove("anna")
    text = network.path.read_text()
    network.keeper.change(lambda d: d["Sensors"][0].update(Name="Cellar"), "test", "test")
    network.in_force()
    assert upload(client, answer.body).status == 303
    network.in_force()
    assert people(network.home) == [("anna", Role.ADMIN)]
    assert json.loads(network.path.read_text()) == json.loads(text)
    assert client.get("/settings/backup").status == 303, "everybody has to sign in again"
    client = network.client()
    assert "restored from a backup" in client.get("/settings/revisions").text
    assert "restore" in client.get("/settings/audit.csv").text
    (kept,) = network.home.glob("before-restore-*.jph")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_the_page_streams_the_history_of_a_network_at_work(network):
    client = network.client()
    answer = client.get("/settings/backup/file?history=1")
    assert answer.status == 200
    assert "home/history.sqlite" in names(answer.body)


def test_a_wrong_file_on_the_page_is_refused_in_words(network):
    client = network.client()
    answer = upload(client, b"hello")
    assert answer.status == 409
    assert "no complete backup" in answer.text
    assert client.get("/settings/backup").status == 200, "nobody is signed out"
    assert [path for path in network.home.iterdir() if "restore" in path.name] == []


def test_a_file_that_is_too_large_for_the_page_is_refused(network):
    client = network.client()
    with contextlib.suppress(OSError):  # it is refused before all of it was read
        assert upload(client, os.urandom(9 << 20)).status == 413
    assert client.get("/settings/backup").status == 200
