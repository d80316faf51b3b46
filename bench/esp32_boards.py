"""ESP32 boards on plain sockets, hundreds in one thread: what is measured is the gateway, not them.

Each has its own connections and does what the firmware does, by MQTT 3.1.1. All boards hear the
answers to all that join, which a client library would take a while to read: here a board looks for
its own MAC address in what comes.

Source: MQTT 3.1.1, sections 3.1, 3.3, 3.8 and 3.12.
"""

import re
import select
import socket
import threading
import time

KEEPALIVE_S, PING_S = 5, 4.0
REPEAT_S = PAUSE_S = 5.0
INTERVAL_S = 2.0
MOST_READ = 1 << 16
PING, DISCONNECT = b"\xc0\0", b"\xe0\0"


def text(words: bytes) -> bytes:
    """Return a string of MQTT."""
    return len(words).to_bytes(2) + words


def packet(kind: int, body: bytes) -> bytes:
    """Return a packet of at most 16,383 bytes."""
    length = len(body)
    size = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    return bytes([kind]) + size + body


def publish(topic: bytes, payload: bytes, qos: int) -> bytes:
    """Return a message; QoS 1 with always the same number, since nobody waits for its answer."""
    return packet(0x30 | qos << 1, text(topic) + (b"\0\1" if qos else b"") + payload)


class Board:
    """One board; `values` counts those that it has published."""

    def __init__(self, mac: str, port: int) -> None:
        self.mac = mac.encode()
        self.session = b""  # name;session
        self.is_started = False
        self.values = 0
        self.socket: socket.socket | None = None
        self.next_s = 0.0  # when it has something to do
        self._port = port
        self._pinged_s = 0.0
        self._tail = b""

    def work(self, now_s: float, interval_s: float = INTERVAL_S) -> None:
        """Do what is due."""
        if self.socket is None:
            self._connect()
            self.next_s = now_s + REPEAT_S
        elif self.is_started:
            value = b"%d" % (self.values % 101)
            self._send(publish(b"photoresistor/status", self.session + b";" + value, 0))
            self.values += 1
            self.next_s += interval_s
            if now_s > self._pinged_s + PING_S:
                self._pinged_s = now_s
                self._send(PING)
        else:
            self._send(publish(b"state/join", self.mac, 1))
            self.next_s = now_s + REPEAT_S

    def read(self, now_s: float) -> None:
        """Take what came."""
        assert self.socket is not None
        came = self.socket.recv(MOST_READ)
        if not came:
            raise ConnectionError("the broker closed the connection of a board")
        if came.startswith(b"\x20\x02\0\0"):
            self._greeted(now_s)
        elif not self.session:
            self._tail += came
            if found := re.search(rb"%b;([^;]+;\d+\.\d{6})" % self.mac, self._tail):
                self.session, self._tail = found[1], b""
                self._send(DISCONNECT)
                self.close()
                self.next_s = now_s + PAUSE_S
            self._tail = self._tail[-80:]

    def close(self) -> None:
        """End the connection."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def _connect(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self._port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        will = text(b"state/leave") + text(self.session) if self.session else b""
        flags = 6 if will else 2
        head = b"\0\4MQTT\4" + bytes([flags]) + KEEPALIVE_S.to_bytes(2)
        self._send(packet(0x10, head + text(b"esp32-" + self.mac) + will))

    def _greeted(self, now_s: float) -> None:
        topic = b"led/command" if self.session else b"state/nameAssign"
        self._send(packet(0x82, b"\0\1" + text(topic) + b"\0"))
        self._send(publish(b"state/join", self.session or self.mac, 1))
        if self.session:
            self._send(publish(b"led/status", self.session + b";0", 1))
            self.is_started, self._pinged_s = True, now_s
            self.next_s = now_s + INTERVAL_S * (self.mac[-1] % 16) / 16

    def _send(self, what: bytes) -> None:
        assert self.socket is not None
        self.socket.sendall(what)


class Fleet:
    """Boards that work in a thread until `close`."""

    def __init__(self, macs: list[str], port: int) -> None:
        self.boards = [Board(mac, port) for mac in macs]
        self.failed: list[str] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def values(self) -> int:
        """How many values all have published."""
        return sum(board.values for board in self.boards)

    def close(self) -> None:
        """Let them vanish."""
        self._ending.set()
        self._thread.join(30)

    def _lost(self, board: Board, error: OSError) -> None:
        self.failed.append(str(error))
        board.close()
        board.next_s = time.monotonic() + REPEAT_S

    def _run(self) -> None:
        poll = select.epoll()
        by_number: dict[int, Board] = {}
        while not self._ending.is_set():
            now_s = time.monotonic()
            for board in self.boards:
                if now_s >= board.next_s:
                    before = board.socket
                    try:
                        board.work(now_s)
                    except OSError as error:
                        self._lost(board, error)
                    if board.socket is not before and board.socket is not None:
                        poll.register(board.socket, select.EPOLLIN)
                        by_number[board.socket.fileno()] = board
            for number, _ in poll.poll(0.01):
                board = by_number[number]
                try:
                    board.read(time.monotonic())
                except OSError as error:
                    self._lost(board, error)
        for board in self.boards:
            board.close()
        poll.close()
