"""A server that speaks as zwave-js-server does, as far as sensors ask it."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve


def value(kind: int, prop, key=None, *, endpoint: int = 0, now=None, **more) -> dict:
    """Return a value of a node, in the shape of the server's state."""
    found = {
        "endpoint": endpoint,
        "commandClass": kind,
        "commandClassName": {48: "Binary Sensor", 49: "Multilevel Sensor", 50: "Meter"}.get(kind),
        "property": prop,
        "propertyName": str(prop),
        "ccVersion": 4,
        "metadata": {"type": "number", "readable": True, "writeable": False, **more},
        "value": now,
    }
    if key is not None:
        found["propertyKey"] = key
    return {name: part for name, part in found.items() if part is not None}


def meter(scale: int, now, *, rate: int = 1, endpoint: int = 0) -> dict:
    """Return a value of an electric meter: scale 0 kWh, 2 W, 4 V, 5 A."""
    key = 65536 + 256 * scale + rate
    specific = {"meterType": 1, "rateType": rate, "scale": scale}
    return value(50, "value", key, endpoint=endpoint, now=now, ccSpecific=specific)


def sensor(kind: int, name: str, now, *, endpoint: int = 0) -> dict:
    """Return a value of a multilevel sensor."""
    specific = {"sensorType": kind, "scale": 0}
    return value(49, name, endpoint=endpoint, now=now, ccSpecific=specific)


def node(number: int, *values: dict, status: int = 4, ready: bool = True) -> dict:
    """Return the state of a node, status 1 asleep, 3 dead, 4 alive."""
    return {
        "nodeId": number,
        "index": 0,
        "status": status,
        "ready": ready,
        "isListening": True,
        "deviceConfig": {"manufacturer": "Acme", "label": "Plug"},
        "interviewStage": "Complete",
        "endpoints": [{"nodeId": number, "index": 0}],
        "values": list(values),
    }


class ZwaveStub:
    """Knows nodes, and answers what it is asked of them.

    A test may replace `version`, the greeting, and in `answers` what becomes of a command.
    """

    def __init__(self, *nodes: dict) -> None:
        self.nodes = {each["nodeId"]: each for each in nodes}
        self.version: object = {
            "type": "version",
            "driverVersion": "15.3.0",
            "serverVersion": "3.0.1",
            "homeId": 3967882672,
            "minSchemaVersion": 0,
            "maxSchemaVersion": 42,
        }
        self.answers: dict[str, Callable[[ServerConnection, dict], object]] = {}
        self.asked: list[dict] = []
        self.connections: list[ServerConnection] = []
        self.url = ""
        self._port = 0
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen, at the same port as before."""
        self._server = serve(self._serve, "127.0.0.1", self._port)
        self._port = self._server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self._port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and close all connections."""
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            for connection in self.connections:
                with contextlib.suppress(OSError, ConnectionClosed):
                    connection.close()
            self._server = None
        self.connections = []

    def commands(self) -> list[str]:
        """Return what it was asked, in order."""
        return [message["command"] for message in self.asked]

    def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        with contextlib.suppress(ConnectionClosed):
            greeting = self.version
            connection.send(greeting if isinstance(greeting, str | bytes) else json.dumps(greeting))
            for text in connection:
                message = json.loads(text)
                self.asked.append(message)
                special = self.answers.get(message["command"])
                if special is not None:
                    special(connection, message)
                else:
                    connection.send(json.dumps(self._result(message)))

    def _result(self, message: dict) -> dict:
        command = message["command"]
        if command == "set_api_schema":
            return done(message, {})
        known = self.nodes.get(message.get("nodeId"))
        if known is None:
            return failed(message, "node_not_found")
        if command == "node.get_state":
            return done(message, {"state": known})
        if command == "node.get_value":
            wanted = message["valueId"]
            for each in known["values"]:
                if all(each.get(name) == part for name, part in wanted.items()):
                    return done(message, {"value": each["value"]} if "value" in each else {})
            return done(message, {})
        return failed(message, "unknown_command")


def done(message: dict, result: object) -> dict:
    """Return the answer that a command succeeded."""
    head = {"type": "result", "success": True, "messageId": message["messageId"]}
    return {**head, "result": result}


def failed(message: dict, code: str) -> dict:
    """Return the answer that a command failed."""
    head = {"type": "result", "success": False, "messageId": message["messageId"]}
    return {**head, "errorCode": code, "args": {}}


@contextlib.contextmanager
def running(*nodes: dict) -> Iterator[ZwaveStub]:
    """Serve until the end."""
    stub = ZwaveStub(*nodes)
    stub.start()
    try:
        yield stub
    finally:
        stub.stop()
