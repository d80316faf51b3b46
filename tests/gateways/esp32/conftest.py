"""Fixtures of the tests of ESP32: a store with their tables, a gateway, and boards as threads."""

import contextlib
import threading
from contextlib import closing

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from gateways.address import BrokerAddress
from gateways.esp32 import tables
from gateways.esp32.examples.boards import Fleet, Habits, SimulatedBoard, mac_of
from gateways.store import Store
from tests.gateways.node import gateway_of
from tests.helpers import LOOPBACK, eventually
from tests.network import config_of

PROXY = [
    {"Codifier": "e0", "Device": mac_of(1).lower(), "Attribute": "photoresistor"},
    {"Codifier": "e1", "Device": "capteur01", "Attribute": "button"},
    {"Codifier": "e2", "Device": mac_of(1), "Attribute": "led"},
]
QUICK = {"pause_s": 0.1, "measures": False}
PAPER = {"qos_join": 2, "qos_will": 2, "qos_led": 1, "qos_value": 0, "qos_heard": 2}
REAL = {"qos_join": 0, "qos_will": 0, "qos_led": 0, "qos_value": 1, "qos_heard": 0}
V311, V5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5


@pytest.fixture
def store(store_url, tmp_path):
    """Return an empty store with the tables of boards, of each kind."""
    with closing(Store.open(store_url, tmp_path, steps=tables.STEPS)) as opened:
        yield opened


def network(broker, store_url, *more, **settings):
    own = {"Broker": broker, "Port": 0, "Store": store_url, "Proxy": PROXY, **settings}
    return config_of(
        {"Codifier": "EG", "Type": "Esp32", "SensorInterval": 1, "DataType": "json", "Sensor": own},
        {"Codifier": "e0", "Type": "Proxy"},
        {"Codifier": "e1", "Type": "Proxy", "DataType": "bool"},
        {"Codifier": "e2", "Type": "Proxy", "DataType": "bool", "Control": "enabled"},
        *more,
    )


def gateway(config, home):
    """Run the gateway; give the node and the component."""
    return gateway_of(config, "EG", home)


class Boards:
    """Boards that work in a thread; the test tells them what to do there."""

    def __init__(self, port):
        self.port = port
        self._fleet = Fleet([])
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._fleet.run, args=[self._goes_on], daemon=True)
        self._thread.start()

    def add(self, number=1, **habits):
        """Switch a board on."""
        address = BrokerAddress(LOOPBACK, self.port)
        board = SimulatedBoard(mac_of(number), address, Habits(**{**QUICK, **habits}))
        self.switch_on(board)
        return board

    def switch_on(self, board):
        self._fleet.boards = [*self._fleet.boards, board]

    def started(self, number=1, **habits):
        """Switch a board on, and return when it reports."""
        board = self.add(number, **habits)
        eventually(lambda: board.is_started, 60, "the board has begun its session")
        return board

    def do(self, board, what, *arguments):
        """Let a board do something in its thread."""
        board.after(0, lambda: getattr(board, what)(*arguments))

    def switch_off(self, board):
        """Take a board's power; nobody tells the broker."""
        self._fleet.boards = [each for each in self._fleet.boards if each is not board]

    def end(self, board):
        """Take a board's power, and close its connection."""
        self.switch_off(board)
        board.close()

    def _goes_on(self):
        return not self._ending.is_set()

    def close(self):
        self._ending.set()
        self._thread.join(10)


@pytest.fixture
def boards():
    """Return a function that gives boards at a broker's port."""
    with contextlib.ExitStack() as opened:
        yield lambda port: opened.enter_context(closing(Boards(port)))
