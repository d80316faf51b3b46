"""A process that starts under a change of the configuration that nobody knows to be good yet."""

import json
import socket
import time
import urllib.request

import pytest

from jph.config.model import build
from tests.helpers import eventually, free_tcp_port, new_bus
from tests.network import Peer
from tests.tools.program import start
from web.configuration import store
from web.configuration.trial import Mark, mark_of


class Left:
    """A home and a file as a process leaves them that was killed just after a change."""

    def __init__(self, home):
        self.home = home
        self.path = home / "network.json"
        self.port = free_tcp_port()
        self.entry = {"Codifier": "W1", "Type": "Web", "Sensor": {"Port": self.port}}
        sensor = {"Codifier": "A1", "Type": "Simulated", "SensorInterval": 5}
        self.before = new_bus().document(sensor, self.entry)

    def by(self, change, starts=0):
        after = json.loads(json.dumps(self.before))
        change(after["Sensors"])
        texts = [json.dumps(one).encode() for one in (self.before, after)]
        for text in texts:
            store.add(self.home, text, "anna", "", "saved")
        self.path.write_bytes(texts[1])
        Mark(2, 1, "anna", str(self.path), self.entry, starts).write(self.home)

    @property
    def log(self):
        return (self.home / "err").read_text()

    def serves(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5):
                return True
        except OSError:
            return False

    def is_back(self):
        newest = store.newest(self.home)
        return newest.kind == "taken back" and json.loads(self.path.read_text()) == self.before


@pytest.fixture
def left(fresh_home):
    return Left(fresh_home)


@pytest.fixture
def up(left):
    """Return what starts `jph up`; it is ended with the test."""
    started = []

    def begin():
        started.append(start(left.home, "up", "-u", str(left.path)))
        return started[-1]

    yield begin
    for process in started:
        process.terminate()
        process.wait(20)


def test_a_change_that_cannot_be_loaded_is_taken_back_instead_of_ending_with_78(left, up):
    left.by(lambda sensors: sensors[0].update(SensorInterval=-1))
    with Peer(build(left.before)) as peer:
        process = up()
        eventually(lambda: left.serves() or process.poll() is not None)
        assert process.poll() is None, left.log
        assert left.is_back()
        assert "Sensors[0].SensorInterval" in store.newest(left.home).why
        peer.hear("control", lambda it: it["flag"] == "C" and it["source"] == "W1")
    eventually(lambda: mark_of(left.home) is None)


def test_a_change_whose_port_is_taken_is_taken_back(left, up):
    with socket.create_server(("127.0.0.1", 0)) as other:
        left.by(lambda sensors: sensors[1].update(Sensor={"Port": other.getsockname()[1]}))
        process = up()
        eventually(lambda: left.serves() or process.poll() is not None)
        assert process.poll() is None, left.log
    assert left.is_back()


def test_a_change_under_which_the_process_has_ended_twice_is_not_tried_again(left, up):
    left.by(lambda sensors: sensors[0].update(Name="Kitchen"), starts=1)
    up()
    eventually(left.serves)
    assert left.is_back()


def test_a_good_change_is_on_trial_no_more_once_the_pages_are_served(left, up):
    left.by(lambda sensors: sensors[0].update(Name="Kitchen"))
    up()
    eventually(lambda: mark_of(left.home) is None and left.serves())
    assert store.newest(left.home).number == 2
    eventually(lambda: store.find(left.home, 2).outcome.get("state") == "in force")


def test_what_somebody_has_edited_meanwhile_stays_theirs(left, up):
    left.by(lambda sensors: sensors[0].update(SensorInterval=-1))
    left.path.write_text(left.path.read_text() + "\n")
    assert up().wait(20) == 78
    assert not left.is_back()


def test_a_start_that_a_person_ends_counts_for_nothing(left, up):
    left.by(lambda sensors: sensors[1].update(Host="elsewhere"))  # so that it serves no pages
    process = up()
    eventually(lambda: "components started" in left.log or process.poll() is not None)
    time.sleep(0.2)
    process.terminate()
    process.wait(20)
    assert mark_of(left.home).starts == 0, left.log
