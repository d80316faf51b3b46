"""One connection to a zwave-js-server, for all components of this process that use it.

It asks and gets answers; it does not listen to events of the network, so that a node that is asked
once a minute costs nothing in between. After a connection was lost the next command connects again.
"""

import itertools
import json
import logging
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.frames import CloseCode
from websockets.sync.client import ClientConnection, connect

from jph import tcp
from jph.errors import SensorError
from sensors.shared import Shared

# The state of one node has up to 0.3 MB.
MOST_BYTES = 4 << 20
_SCHEMA = 14  # of the server's API: the first that tells single values and the state of one node
_CLOSE_S = 0.5
# websockets logs, with a traceback, the errors that it also raises.
_SILENT = logging.Logger("websockets", logging.CRITICAL)


class Refused(SensorError):
    """The server refuses a command.

    Args:
        code: such as "node_not_found".
    """

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


class _Lost(Exception):
    """The connection is closed."""


class ZwaveServer:
    """A server, and the connection to it as long as there is one."""

    def __init__(self, address: str) -> None:
        self.url = address
        self.address = tcp.shown(address)  # for people
        self._lock = threading.Lock()
        self._open: tuple[ClientConnection, ExitStack] | None = None
        self._numbers = itertools.count(1)

    def ask(self, command: str, until_s: float, **arguments: object) -> Mapping[str, object]:
        """Return the result of a command.

        Raises:
            Refused: the server refuses the command.
            SensorError: no connection, or no answer in time.
        """
        if not self._lock.acquire(timeout=max(0.0, until_s - time.monotonic())):
            raise SensorError(f"{self.address}: no answer in time")
        try:
            was_open = self._open is not None
            try:
                return self._exchange(command, until_s, arguments)
            except _Lost:
                if not was_open:
                    raise
                return self._exchange(command, until_s, arguments)  # it was started again
        except _Lost as error:
            raise SensorError(f"{self.address}: {error}") from error
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the connection; the next command connects again."""
        with self._lock:
            self._drop()

    def _exchange(
        self, command: str, until_s: float, arguments: Mapping[str, object]
    ) -> Mapping[str, object]:
        try:
            connection = self._open[0] if self._open else self._connect(until_s)
            return self._answer(connection, command, until_s, arguments)
        except Refused:
            raise
        except TimeoutError as error:
            self._drop()
            raise SensorError(f"{self.address}: no answer in time") from error
        except ConnectionClosed as error:
            self._drop()
            if error.sent is not None and error.sent.code == CloseCode.MESSAGE_TOO_BIG:
                long = f"{self.address}: message of more than {MOST_BYTES} bytes"
                raise SensorError(long) from error
            raise _Lost(f"closed the connection: {tcp.plain(error)}") from error
        except AssertionError as error:  # of websockets, where the other side speaks first
            self._drop()
            raise SensorError(f"{self.address}: answers with something else than HTTP") from error
        except (OSError, EOFError, WebSocketException, ValueError) as error:
            self._drop()
            reason = getattr(error, "strerror", None) or error or type(error).__name__
            raise SensorError(f"{self.address}: {tcp.plain(reason)}") from error
        except SensorError:
            self._drop()
            raise

    def _connect(self, until_s: float) -> ClientConnection:
        parts = urlsplit(self.url)
        secure = parts.scheme == "wss"
        # Given a socket, websockets takes no proxy and follows no redirect.
        line = tcp.connect(parts.hostname or "", parts.port or (443 if secure else 3000), until_s)
        line.settimeout(None)
        stack = ExitStack()
        try:
            connection = stack.enter_context(
                connect(
                    self.url,
                    sock=line,
                    ssl=tcp.trust() if secure else None,
                    compression=None,  # a small message may become a large one
                    open_timeout=tcp.left_s(until_s),
                    close_timeout=_CLOSE_S,
                    max_size=MOST_BYTES,
                    logger=_SILENT,
                )
            )
            self._greet(connection, until_s)
        except BaseException:
            stack.close()
            line.close()
            raise
        self._open = connection, stack
        return connection

    def _greet(self, connection: ClientConnection, until_s: float) -> None:
        """Agree on a schema of the messages."""
        version = _received(connection, until_s)
        low, high = version.get("minSchemaVersion"), version.get("maxSchemaVersion")
        if version.get("type") != "version" or not isinstance(low, int):
            raise SensorError(f"{self.address}: is no zwave-js-server")
        if not isinstance(high, int) or high < _SCHEMA:
            raise SensorError(f"{self.address}: is too old; it must know API schema {_SCHEMA}")
        schema = {"schemaVersion": max(low, _SCHEMA)}
        try:
            self._answer(connection, "set_api_schema", until_s, schema)
        except Refused as error:
            raise SensorError(str(error)) from error

    def _answer(
        self,
        connection: ClientConnection,
        command: str,
        until_s: float,
        arguments: Mapping[str, object],
    ) -> Mapping[str, object]:
        number = str(next(self._numbers))
        connection.send(json.dumps({"messageId": number, "command": command, **arguments}))
        while True:
            message = _received(connection, until_s)
            if message.get("type") == "result" and message.get("messageId") == number:
                break
        if message.get("success") is not True:
            code = str(message.get("errorCode"))
            detail = message.get("zwaveErrorMessage") or message.get("message") or code
            raise Refused(f"{self.address}: {command}: {tcp.plain(detail)}", code)
        result = message.get("result")
        return result if isinstance(result, dict) else {}

    def _drop(self) -> None:
        if self._open is not None:
            _, stack = self._open
            self._open = None
            stack.close()


def _received(connection: ClientConnection, until_s: float) -> Mapping[str, object]:
    try:
        message = json.loads(connection.recv(timeout=tcp.left_s(until_s)))
    except RecursionError:
        raise ValueError("a message is no JSON: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"a message is no JSON: {error}") from None
    if not isinstance(message, dict):
        raise ValueError("a message is no object")
    return message


# Address -> the server, for all components of this process.
SERVERS: Shared[str, ZwaveServer] = Shared(ZwaveServer)
