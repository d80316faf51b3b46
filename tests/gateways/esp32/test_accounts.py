"""Boards with accounts at a broker of ours: what one of them can do to another."""

import contextlib

import pytest

from gateways.address import BrokerAddress
from gateways.broker import accounts
from gateways.esp32.examples.boards import Habits, SimulatedBoard, mac_of
from jph.node.building import build
from jph.node.node import Node
from tests.brokers import connected
from tests.gateways.esp32.conftest import network
from tests.helpers import LOOPBACK, eventually, free_tcp_port
from tests.network import running

PASSWORD = "a password"


@pytest.mark.mosquitto
@pytest.mark.parametrize("engine", ["mosquitto", "nats"])
def test_a_board_speaks_for_itself_and_not_for_the_gateway(engine, tmp_path, boards):
    port = free_tcp_port()
    own = {"Engine": engine, "Port": port, "Anonymous": False}
    broker = {"Codifier": "BR", "Type": "Broker", "SensorInterval": 1, "Sensor": own}
    config = network("BR", "sqlite:///gateways.sqlite", broker)
    for name in ("desk", "door"):
        accounts.add(tmp_path, name, PASSWORD)
    made = []

    def build_and_keep(channel):
        callbacks = build(channel)
        made.append(callbacks.close.__self__)
        return callbacks

    node = Node(config, tmp_path)
    node.add(config.components["BR"], build)
    node.add(config.components["EG"], build_and_keep)
    with running(node), contextlib.ExitStack() as opened:
        eventually(lambda: made[0]._inlet.status.connected, 60)
        some = boards(port)
        address = BrokerAddress(LOOPBACK, port, user="desk", password=PASSWORD)
        board = SimulatedBoard(mac_of(1), address, Habits(pause_s=0.1, interval_s=0.3))
        some.switch_on(board)
        eventually(lambda: board.is_started, 60)

        def state():
            (found,) = made[0].service.boards()
            return found

        eventually(lambda: state().connected and state().led is False, 60)
        other = opened.enter_context(connected(port, user="door", password=PASSWORD))
        heard = []
        other.on_message = lambda _, __, message: heard.append(message.topic)
        other.subscribe([("#", 0), ("+/status", 0), ("state/join", 0), ("led/command", 1)])
        name, session = board.name, board.session
        for topic, payload in (
            ("led/command", f"{name};{session};1"),
            ("state/nameAssign", f"{board.mac};x;1743946777.603371"),
            ("state/leave", f"{name};{session}"),
        ):
            with connected(port, user="door", password=PASSWORD) as liar:  # may be sent away
                liar.publish(topic, payload, 0)
        eventually(lambda: not state().connected, 60, "the leave has come")
        eventually(lambda: state().connected, 60, "the next value has come")
        assert (board.led, board.session, state().session) == (False, session, session)
        eventually(lambda: len(state().light) >= 3, 60)
        eventually(lambda: other.is_connected(), 60)
        assert made[0].service.switch(name, session, True).led
        assert not set(heard) - {"led/command"}
