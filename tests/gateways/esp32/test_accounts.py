"""Boards with accounts at a broker of ours: what one of them can do to another."""

import contextlib
import re
import time
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from gateways.address import BrokerAddress, has_accounts
from gateways.broker import accounts
from gateways.esp32.boards import Listening
from gateways.esp32.examples.boards import Habits, SimulatedBoard, mac_of
from gateways.esp32.ingest import Ingest
from gateways.message import Message
from gateways.schema import last_refusals, refusal_counts
from jph.errors import StoreError
from jph.node.building import build
from jph.node.node import Node
from tests.brokers import connected, running_mosquitto
from tests.gateways.esp32.conftest import gateway, network
from tests.gateways.node import kept
from tests.helpers import LOOPBACK, eventually, free_tcp_port
from tests.network import running
from tests.tools.program import TOP

PASSWORD = "a password"
QUIET_S = 4.0
HABITS = Habits(pause_s=0.1, interval_s=0.3)


@dataclass
class Home:
    """A gateway and a broker of ours, with boards `desk` and `door` that have accounts."""

    port: int
    component: Any
    boards: Any

    def client(self, user="door"):
        """Connect a client as a board."""
        return connected(self.port, user=user, password=PASSWORD)

    def board(self, user, habits=HABITS, number=1):
        """Switch a board on, with the MAC address of a number and an account."""
        address = BrokerAddress(LOOPBACK, self.port, user=user, password=PASSWORD)
        board = SimulatedBoard(mac_of(number), address, habits)
        self.boards.switch_on(board)
        return board

    def state(self):
        """Return the only board as the gateway knows it."""
        (found,) = self.component.service.boards()
        return found

    def publish(self, *messages):
        """Publish messages as the other board; a broker may send it away for each."""
        for topic, payload in messages:
            with self.client() as liar:
                liar.publish(topic, payload, 0)

    def die(self, topic, payload):
        """Connect as the other board with a will, and vanish; a broker may refuse such a will."""
        answers = []
        liar = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        liar.username_pw_set("door", PASSWORD)
        liar.will_set(topic, payload)
        liar.on_connect = lambda *arguments: answers.append(arguments[3])
        liar.connect(LOOPBACK, self.port)
        eventually(lambda: liar.loop(0.1) or answers, 60)
        if sock := liar.socket():
            sock.close()

    def refused(self):
        """Return how many messages were refused, by reason."""
        with self.component._store.reading() as connection:
            return refusal_counts(connection, "EG")


@pytest.fixture(params=["mosquitto", "nats"])
def home(request, tmp_path, boards, monkeypatch):
    monkeypatch.setattr("gateways.esp32.boards.QUIET_MS", int(QUIET_S * 1000))
    monkeypatch.setattr("gateways.esp32.component.LOOK_S", 0.1)
    monkeypatch.setattr("gateways.esp32.examples.boards.REPEAT_S", 0.5)
    port = free_tcp_port()
    own = {"Engine": request.param, "Port": port, "Anonymous": False}
    broker = {"Codifier": "BR", "Type": "Broker", "SensorInterval": 1, "Sensor": own}
    config = network("BR", "sqlite:///gateways.sqlite", broker)
    for name in ("desk", "door"):
        accounts.add(tmp_path, name, PASSWORD)
    made = []
    node = Node(config, tmp_path)
    node.add(config.components["BR"], build)
    node.add(config.components["EG"], kept(made))
    with running(node):
        eventually(lambda: made[0]._inlet.status.connected, 60)
        yield Home(port, made[0], boards(port))


@pytest.mark.mosquitto
def test_a_board_ends_no_session_of_another(home):
    board = home.board("desk")
    eventually(lambda: board.is_started, 60)
    eventually(lambda: home.state().connected and home.state().light, 60)
    name, session, since_ms = board.name, board.session, home.state().since_ms
    seen, tell = [], home.component._ingest.on_change
    home.component._ingest.on_change = lambda boards: (seen.extend(boards), tell(boards))
    liar = home.board("door")  # which says that it has the MAC address of the other
    home.publish(
        ("state/leave", f"{name};{session}"),
        ("state/join", f"{name};{session}"),
        ("state/join", mac_of(1)),
    )
    eventually(lambda: home.refused().get("false leave") == 1, 60)
    eventually(lambda: home.refused().get("session goes on", 0) >= 4, 60)
    until_s = time.monotonic() + QUIET_S + 1
    eventually(lambda: time.monotonic() > until_s and home.refused()["session goes on"] > 8, 60)
    assert {(it.session, it.connected, it.since_ms) for it in seen} == {(session, True, since_ms)}
    assert (liar.name, board.session, board.is_started) == ("", session, True)
    assert home.component.service.switch(name, session, True).led
    with home.component._store.reading() as connection:
        kept = {(it.topic, it.reason, it.payload) for it in last_refusals(connection, "EG")}
    said = f"{name};{session}".encode()
    assert kept == {
        ("state/leave", "false leave", said),
        ("state/join", "session goes on", said),
        ("state/join", "session goes on", mac_of(1).encode()),
    }


@pytest.mark.mosquitto
def test_a_board_that_begins_again_or_is_gone_is_known_when_it_was_silent(home):
    board = home.board("desk")
    eventually(lambda: board.is_started, 60)
    eventually(lambda: home.state().connected, 60)
    home.boards.end(board)
    again = home.board("desk")
    eventually(lambda: again.is_started, 60, "the board has begun again")
    assert (again.name, again.session != board.session) == (board.name, True)
    eventually(lambda: home.state().connected and home.state().session == again.session, 60)
    home.boards.end(again)
    eventually(lambda: not home.state().connected, 60, "its will has come, and it is silent")
    assert "false leave" not in home.refused()


@pytest.mark.mosquitto
def test_an_account_of_a_board_hears_and_says_what_boards_do(home):
    board = home.board("desk")
    eventually(lambda: board.is_started, 60)
    eventually(lambda: home.state().led is False, 60)
    heard = []
    with contextlib.ExitStack() as opened:
        other = opened.enter_context(home.client())
        other.on_message = lambda _, __, message: heard.append(message.topic)
        everything = ("#", "+/+", "+/status", "state/join", "state/leave", "$MQTT/sub/#", "$SYS/#")
        for topic in (*everything, "led/command", "state/nameAssign"):
            with contextlib.suppress(ValueError):
                other.subscribe(topic, 1)
        name, session = board.name, board.session
        false = (
            ("led/command", f"{name};{session};1"),
            ("state/nameAssign", f"{mac_of(1)};x;1743946777.603371"),
        )
        home.publish(*false)
        for topic, payload in (*false, ("state/leave", f"{name};{session}")):
            home.die(topic, payload)
        eventually(lambda: home.refused().get("false leave"), 60, "wills are published")
        newcomer = home.board("door", number=2)
        eventually(lambda: newcomer.is_started, 60)
        eventually(lambda: other.is_connected(), 60)
        assert home.component.service.switch(name, session, True).led
        eventually(lambda: {"led/command", "state/nameAssign"} <= set(heard), 60)
    assert (board.name, board.session) == (name, session)
    assert set(heard) == {"led/command", "state/nameAssign"}


def started(store):
    """Return what has taken the messages of a board, which began its session at 2 s of 1970."""
    ingest = Ingest(store, "EG")
    ingest.listening = lambda: Listening(accounts=True)
    ingest.commit([heard("state/join", mac_of(1), 1)])
    (board,) = ingest.boards()
    ingest.commit([heard("state/join", f"{board.name};{board.session}", 2)])
    return ingest


def heard(topic, payload, second):
    """Return a message that came at a time, in s since 1970."""
    return Message(topic, payload.encode(), False, False, second * 1_000_000, second)


def refused(store):
    with store.reading() as connection:
        return refusal_counts(connection, "EG")


def test_a_leave_in_doubt_and_a_session_that_goes_on_outlive_a_restart(store):
    first = started(store)
    (board,) = first.boards()
    said = f"{board.name};{board.session}"
    first.commit([heard("state/leave", said, 3)])
    after = Ingest(store, "EG")
    after.listening = lambda: Listening(100_000, accounts=True)  # it was away for long
    after.commit([heard("state/join", mac_of(1), 101)])
    assert refused(store) == {"session goes on": 1}
    (known,) = after.boards()
    assert (known.session, known.connected) == (board.session, True)
    after.leave_silent(109_999)
    assert after.boards()[0].connected
    after.leave_silent(110_000)
    assert not after.boards()[0].connected
    after.commit([heard("state/join", mac_of(1), 111)])
    assert after.boards()[0].session != board.session


def test_who_was_silent_while_the_store_was_away_goes_on(store):
    ingest = started(store)
    (board,) = ingest.boards()
    with pytest.raises(StoreError):
        ingest.change(lambda draft: raise_(StoreError("away")))
    now_s = time.time_ns() // 1_000_000_000
    ingest.commit([heard("state/join", mac_of(1), now_s + 2)])
    assert ingest.boards()[0].session == board.session
    ingest.commit([heard("state/join", mac_of(1), now_s + 12)])
    assert ingest.boards()[0].session != board.session


def raise_(error):
    raise error


@pytest.mark.parametrize(
    ("broker", "own", "expected"),
    [
        ("BR", {}, False),
        ("BR", {"Host": "127.0.0.2"}, False),
        ("BR", {"Host": "0.0.0.0"}, True),
        ("BR", {"Host": "0.0.0.0", "Anonymous": True}, False),
        ("BR", {"Anonymous": False}, True),
        ("mqtt://192.0.2.41", {}, False),
        ("mqtts://jph@192.0.2.41", {}, True),
    ],
)
def test_where_boards_have_accounts(broker, own, expected):
    entry = {"Codifier": "BR", "Type": "Broker", "SensorInterval": 1, "Sensor": own}
    assert has_accounts(broker, network(broker, "sqlite:///x.sqlite", entry)) is expected


@pytest.mark.mosquitto
def test_accounts_may_be_asked_for_while_the_gateway_runs(mosquitto, tmp_path):
    own = {"Port": mosquitto.port, "Anonymous": True}
    broker = {"Codifier": "BR", "Type": "Broker", "SensorInterval": 1, "Sensor": own}
    config = network("BR", "sqlite:///gateways.sqlite", broker)
    with gateway(config, tmp_path) as (_, component):
        assert not component._listening().accounts
        own["Anonymous"] = False
        component.on_config(network("BR", "sqlite:///gateways.sqlite", broker))
        assert component._listening().accounts


@pytest.mark.mosquitto
def test_a_mosquitto_of_ones_own_gives_boards_the_rights_of_the_page(tmp_path, boards):
    page = (TOP / "docs" / "gateways.md").read_text()
    rules = re.search(r"```text\n(user jph\n[^`]*led/status[^`]*)```", page)[1]
    (tmp_path / "acl").write_text(rules)
    hashed = accounts.hashes(PASSWORD, is_made=True)["mosquitto"]
    names = ("jph", "desk", "door")
    (tmp_path / "passwords").write_text("".join(f"{name}:{hashed}\n" for name in names))
    (tmp_path / "password").write_text(PASSWORD)
    files = (f"acl_file {tmp_path}/acl", f"password_file {tmp_path}/passwords")
    with running_mosquitto(*files) as broker:
        address = f"mqtt://jph@{LOOPBACK}:{broker.port}"
        given = {"PasswordFile": str(tmp_path / "password")}
        config = network(address, "sqlite:///gateways.sqlite", **given)
        with gateway(config, tmp_path) as (_, component):
            home = Home(broker.port, component, boards(broker.port))
            board = home.board("desk")
            eventually(lambda: board.is_started, 60)
            eventually(lambda: home.state().connected, 60)
            said = f"{board.name};{board.session}"
            home.publish(("led/command", f"{said};1"), ("state/leave", said))
            eventually(lambda: home.refused().get("false leave"), 60)
            assert (home.state().connected, board.led) == (True, False)
            assert component.service.switch(board.name, board.session, True).led
