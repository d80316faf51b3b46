"""A change of the configuration on the pages of a process of its own."""

import json
import re
import socket

import pytest

from jph.paths import shipped_config
from tests.helpers import eventually, free_tcp_port, new_bus
from tests.tools.program import start
from tests.web.client import Client
from web.configuration import store
from web.configuration.trial import mark_of


class Up:
    """`jph up` on a file, and an admin of its pages."""

    def __init__(self, home, path):
        self.home, self.path = home, path
        self.process = start(home, "up", "-u", str(path))
        eventually(lambda: "Sign in once" in self.said("out") or self.process.poll() is not None)
        assert self.process.poll() is None, self.said("err")
        self.sign_in()

    def said(self, name):
        return (self.home / name).read_text()

    def sign_in(self):
        link = re.findall(r"Sign in once with (\S+)", self.said("out"))[-1]
        self.client = Client(int(re.findall(r":(\d+)/", link)[0]))
        self.client.follow_link(link)

    def save(self, **edit):
        headers = {"Content-Type": "application/json", "X-CSRF-Token": self.client.token("/")}
        return self.client.ask("POST", "/settings/save", json.dumps(edit), headers).json

    def ends(self):
        self.process.terminate()
        return self.process.wait(20)


def answers(port):
    try:
        return Client(port).get("/healthz").status == 200
    except OSError:
        return False


@pytest.fixture
def path(fresh_home):
    place = fresh_home / "network.json"
    document = new_bus().document(
        {"Codifier": "A1", "Type": "Simulated", "SensorInterval": 5},
        {"Codifier": "W1", "Type": "Web", "Sensor": {"Port": free_tcp_port()}},
    )
    place.write_text(json.dumps(document, indent=1))
    return place


@pytest.fixture
def begin(fresh_home, path):
    """Return what starts a process; all are ended with the test."""
    started = []

    def start_one():
        started.append(Up(fresh_home, path))
        return started[-1]

    yield start_one
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(20)


def web_on(port):
    return {"Codifier": "W1", "Type": "Web", "Sensor": {"Port": port}}


def test_the_pages_move_to_a_free_port(begin, fresh_home):
    up, port = begin(), free_tcp_port()
    saved = up.save(base=0, codifier="W1", entry=web_on(port))
    assert saved["moves_to"] == f"127.0.0.1:{port}"
    eventually(lambda: answers(port))
    number = saved["number"]
    eventually(lambda: store.find(fresh_home, number).outcome.get("state") == "in force")
    assert mark_of(fresh_home) is None
    assert up.ends() == 0


def test_a_taken_port_is_taken_back_and_the_old_one_serves_again(begin, fresh_home, path):
    up, before = begin(), path.read_text()
    with socket.create_server(("127.0.0.1", 0)) as other:
        saved = up.save(base=0, codifier="W1", entry=web_on(other.getsockname()[1]))
        eventually(lambda: path.read_text() == before, 40)
    eventually(lambda: answers(up.client.port))
    # The old server notes it when it serves again.
    eventually(lambda: "state" in store.find(fresh_home, saved["number"]).outcome, 20)
    outcome = store.find(fresh_home, saved["number"]).outcome
    assert outcome["state"] == "taken back"
    assert "is taken" in outcome["reason"]
    assert up.ends() == 0


def test_a_process_that_is_killed_under_a_change_that_cannot_work_comes_back(
    begin, fresh_home, path
):
    up, before = begin(), path.read_text()
    port = up.client.port
    with socket.create_server(("127.0.0.1", 0)) as other:
        up.save(base=0, codifier="W1", entry=web_on(other.getsockname()[1]))
        up.process.kill()
        up.process.wait(20)
        assert mark_of(fresh_home) is not None
        assert path.read_text() != before
        again = begin()
        assert again.client.port == port
        assert path.read_text() == before
        assert store.newest(fresh_home).kind == "taken back"
        assert again.ends() == 0


def test_what_the_home_has_of_the_shipped_network_is_changed_and_that_is_not(fresh_home):
    shipped, own = shipped_config().read_bytes(), fresh_home / "config.json"
    document = json.loads(shipped) | {"Multicast": new_bus().multicast()}
    for entry in document["Sensors"]:
        if entry["Type"] == "Web":
            entry["Sensor"]["Port"] = free_tcp_port()
    own.write_text(json.dumps(document, indent=1))
    up = Up(fresh_home, shipped_config())
    try:
        up.save(base=0, codifier="LA", entry={**document["Sensors"][0], "Name": "Changed"})
        eventually(lambda: "Changed" in up.client.get("/").text)
    finally:
        up.ends()
    assert json.loads(own.read_text())["Sensors"][0]["Name"] == "Changed"
    assert shipped_config().read_bytes() == shipped
