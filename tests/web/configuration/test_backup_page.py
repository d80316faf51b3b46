"""Tests of the page of backups, with a node whose configuration is a file."""

import contextlib
import json
import os
import re
import stat

import pytest
from playwright.sync_api import expect

from tests.helpers import new_bus
from tests.web.backup.archive import names, people
from tests.web.browser import sign_in
from tests.web.configuration.conftest import entry
from web.app import Application
from web.backup.upload import MOST_PART
from web.migrations import connection
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


def send_part(client, at, data):
    token = client.token("/settings/backup")
    headers = {"Content-Type": "application/octet-stream", "X-CSRF-Token": token}
    return client.ask("POST", f"/settings/backup/part?at={at}", data, headers)


def fatten(home):
    """Have the database of the pages hold 10 MB that no packer makes smaller."""
    with connection(home / "web.sqlite") as database:
        for number in range(3):
            database.execute(
                "INSERT INTO diagram VALUES (?, ?, 'image/png', ?, 1, 1, '[]', 1, 1, 0)",
                (number, f"Floor {number}", os.urandom(7 << 19)),
            )


def diagrams(home):
    with connection(home / "web.sqlite") as database:
        return database.execute("SELECT count(*) FROM diagram").fetchone()[0]


def test_a_large_backup_comes_back_in_a_browser(network, open_page, tmp_path):
    fatten(network.home)
    data = network.client().get("/settings/backup/file").body
    assert len(data) > 10_000_000
    file = tmp_path / "large.jph"
    file.write_bytes(data)
    with connection(network.home / "web.sqlite") as database:
        database.execute("DELETE FROM diagram")
    page = open_page(network.web.address)
    sign_in(page, network.web)
    page.goto(f"{network.web.address}settings/backup")
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Restore").click()
    expect(page).to_have_url(network.web.address, timeout=60_000)
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()  # as everybody has to
    assert diagrams(network.home) == 3
    assert [*network.home.glob(".uploaded-*")] == []
    assert "large.jph" in network.client().get("/settings/audit.csv").text


def test_parts_come_in_their_order_and_within_bounds(network, monkeypatch):
    client = network.client()
    assert send_part(client, 4, b"late").status == 409
    assert send_part(client, 0, b"four").json == {"there": 4}
    assert send_part(client, 5, b"gap").status == 409
    assert send_part(client, 4, b"more").json == {"there": 8}
    assert send_part(client, 0, b"anew").json == {"there": 4}
    for at, data in ((-1, b"x"), ("x", b"x"), (4, b""), (4, b"x" * (MOST_PART + 1))):
        assert send_part(client, at, data).status == 409
    monkeypatch.setattr("web.backup.upload.MOST", 6)
    assert "jph restore" in send_part(client, 4, b"more").text
    token = client.token("/settings/backup")
    answer = client.post("/settings/backup/restore", csrf=token, sent="1", name="a.jph")
    assert answer.status == 409 and "no complete backup" in answer.text
    assert [*network.home.glob(".uploaded-*")] == []
    answer = client.post("/settings/backup/restore", csrf=token, sent="1", name="a.jph")
    assert answer.status == 409 and "send it again" in answer.text
    assert send_part(client, 0, b"left").status == 200
    (left,) = network.home.glob(".uploaded-*")
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    os.utime(left, (0, 0))
    client.get("/settings/backup")
    assert not left.exists()


def test_a_file_that_is_too_large_for_one_request_is_refused(network):
    client = network.client()
    with contextlib.suppress(OSError):  # it is refused before all of it was read
        assert upload(client, os.urandom(9 << 20)).status == 413
    assert client.get("/settings/backup").status == 200
