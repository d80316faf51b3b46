"""Last states in Redis, one hash for each Codifier (`jph.stores.redis.hashes`).

    <Codifier>   hash: the last state
    jph:state    text: a random mark, put there with the complete state; where it is another one or
                 gone, the server was emptied, and the complete state is written again

Strategy: `LastStates` takes every message in memory, which is quick, and a thread of its own brings
what changed to the server: all changed states in one round trip, at most one round trip in 30 ms.
Each has a version, so there is no queue: what could not be written is simply still newer than what
was. Every new connection begins with the complete state, and so does whoever misses the mark.
"""

import logging
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path

from jph.bus.sequence import SequenceTracker
from jph.bus.wire import Control, Reading, is_codifier
from jph.errors import StoreError
from jph.state import Fields, LastStates
from jph.stores import StateStore
from jph.stores.redis.hashes import fields_of, outdated, store_command
from jph.stores.redis.resp import Connection, Refusal, Refused, Reply, Server, command, server_of

log = logging.getLogger(__name__)

MARK = "jph:state"
PAUSE_S = 0.03  # between the starts of two round trips; a message waits 50 ms at most
BEAT_S = 1.0  # the mark is looked at so often when nothing is to be written
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 1.5  # with the 2 s that a connection may take, the state is complete in 5 s
STOP_S = 2.5  # longest wait for the last round trip
READ_AT_ONCE = 1000  # keys

# What a person has to do, by the first word of the refusal.
ADVICE = {
    "OOM": "it has reached its maxmemory: raise that, or remove other data from it",
    "READONLY": "it is a read-only replica: name the primary in the URL",
    "MISCONF": "it cannot save to its disk and refuses to be written: see its log",
    "NOAUTH": "it wants a password: name a file with it in PasswordFile",
    "WRONGPASS": "it refuses the user or the password: look into the PasswordFile",
    "NOPERM": "its user may not do that: allow it SET and GET of the key jph:state, and HSET, HDEL,"
    " HGETALL and SCAN of the keys ??",
    "WRONGTYPE": f"the key {MARK} holds something else: delete it, or name another database",
    "MOVED": "it is a cluster, whose parts share the keys: name a single server in the URL",
}
# Refusals that pass: it loads its data, a script runs, a replica waits for its primary.
PASSING = {"LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN"}


class RedisState:
    """Last states that are kept in memory and brought to Redis.

    Nothing is connected until the first message or `watch`.

    Args:
        server: where.
        password_file: holds the password, and is read at each connection; None: there is none.
    """

    def __init__(self, server: Server, password_file: Path | None = None) -> None:
        self._server = server
        self._password_file = password_file
        self._states = LastStates()
        self._on_fault: Callable[[str | None], object] = lambda fault: None
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        # Of the thread alone:
        self._connection: Connection | None = None
        self._version = 0  # of the states that are written
        self._mark: bytes | None = None
        self._wrong: dict[str, str] = {}  # Codifiers whose keys hold something else, and why
        self._wrong_due_s = 0.0
        self._fault: str | None = None
        self._fault_code = ""
        self._fault_began_s = 0.0
        self._fault_tries = 0

    # From any thread; nothing here waits for the server

    def on_readings(
        self, readings: Iterable[Reading], sources: Mapping[str, SequenceTracker]
    ) -> None:
        """Take a batch of readings, in order of arrival."""
        self._states.on_readings(readings, sources)
        self._wake()

    def on_control(
        self, message: Control, now_ms: int, sources: Mapping[str, SequenceTracker]
    ) -> None:
        """Take one control message that arrived at now_ms by our clock."""
        self._states.on_control(message, now_ms, sources)
        self._wake()

    def get(self, codifier: str) -> Fields | None:
        """Return what this process heard of one Codifier, None if nothing."""
        return self._states.get(codifier)

    def changed_since(self, version: int) -> tuple[int, dict[str, Fields]]:
        """Return the present version and the states that changed after the given one; 0: all."""
        return self._states.changed_since(version)

    def watch(self, on_fault: Callable[[str | None], object]) -> None:
        """Have it told, at each failed try, why it cannot be written, and None when it can again.

        It is called on the thread that writes.
        """
        self._on_fault = on_fault
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    name = f"redis-{self._server.port}"
                    self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                    self._thread.start()
        elif not self._thread.is_alive() and not self._stopping.is_set():
            raise RuntimeError("the thread that writes to Redis has ended, see the log")

    def close(self) -> None:
        """Write what is still to be written, if the server answers, and stop."""
        self._stopping.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def recall(self) -> dict[str, Fields]:
        """Return the states that the server holds; waits for it, and may be called from any thread.

        Raises:
            StoreError: not now.
        """
        try:
            with closing(self._connected()) as connection:
                return _recalled(connection)
        except StoreError as error:
            raise StoreError(self._reason(error)) from error

    # The writing thread

    def _run(self) -> None:
        retry_s = 0.0
        try:
            while True:
                began_s = time.monotonic()
                stopping = self._stopping.is_set()
                try:
                    self._round_trip()
                    retry_s = 0.0
                except StoreError as error:
                    self._disconnect()
                    retry_s = min(max(FIRST_RETRY_S, 2 * retry_s), LAST_RETRY_S)
                    self._begin_fault(self._reason(error), getattr(error, "code", ""))
                if stopping:
                    break
                self._wait(began_s, retry_s)
        except Exception:
            log.exception("%s: its writer fails by a mistake of its own", self._server)
            raise
        finally:
            self._disconnect()

    def _wait(self, began_s: float, retry_s: float) -> None:
        """Wait for a change, but not between two round trips, or for the back-off."""
        if retry_s:
            self._stopping.wait(retry_s * random.uniform(0.75, 1.0))
            return
        self._changed.wait(BEAT_S)
        self._stopping.wait(began_s + PAUSE_S - time.monotonic())

    def _round_trip(self) -> None:
        """Write what changed; StoreError if the server does not take it."""
        if self._connection is None:
            self._connection = self._connected()
            self._version, self._mark = 0, None
        self._changed.clear()
        version, changed = self._states.changed_since(self._version)
        self._add_wrong(changed)
        first = [] if self._mark else [command("SET", MARK, secrets.token_hex(8), "NX")]
        first.append(command("GET", MARK))
        names, commands = writing(changed)
        replies = self._connection.exchange(
            b"".join(first) + commands.encode(), len(first) + len(names)
        )
        for reply in replies[: len(first)]:
            if isinstance(reply, Refusal):
                raise Refused(reply)
        self._note(names, replies[len(first) :])
        self._version = version
        self._check_mark(replies[len(first) - 1])
        if self._wrong:
            self._begin_fault("; ".join(sorted(set(self._wrong.values()))), "WRONGTYPE")
        elif self._fault is not None:
            self._end_fault()

    def _add_wrong(self, changed: dict[str, Fields]) -> None:
        """Try the keys that held something else once more, now and then."""
        if self._wrong and time.monotonic() >= self._wrong_due_s:
            self._wrong_due_s = time.monotonic() + LAST_RETRY_S
            for codifier in self._wrong.keys() - changed.keys():
                fields = self._states.get(codifier)
                if fields is not None:
                    changed[codifier] = fields

    def _note(self, names: list[str], replies: Iterable[Reply]) -> None:
        """Look at what became of each state; a refusal of one key stops no other."""
        wrong: dict[str, str] = {}
        for codifier, reply in zip(names, replies, strict=True):
            if not isinstance(reply, Refusal):
                continue
            if reply.code != "WRONGTYPE":
                raise Refused(reply)
            wrong[codifier] = (
                f"{self._server}: the key {codifier} holds no hash, so its state is not kept:"
                f" delete the key, or name another database in the URL"
            )
        for codifier in names:
            self._wrong.pop(codifier, None)
        self._wrong |= wrong

    def _check_mark(self, found: Reply) -> None:
        mark = found if isinstance(found, bytes) else b""
        if self._mark is None:
            self._mark = mark
        elif self._mark != mark:
            log.warning("%s was emptied; all last states are written again", self._server)
            self._mark, self._version = None, 0
            self._changed.set()

    def _connected(self) -> Connection:
        password = None
        if self._password_file is not None:
            try:
                password = self._password_file.read_text().partition("\n")[0].rstrip("\r")
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "is no text"
                raise StoreError(f"the PasswordFile {self._password_file}: {reason}") from error
        return Connection(self._server, password)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _reason(self, error: StoreError) -> str:
        code = getattr(error, "code", "")
        reason = ADVICE.get(code) or str(error)
        if "without any password" in str(error):
            reason = "it has no password: leave out the PasswordFile"
        elif "DB index" in str(error):
            reason = f"it has no database {self._server.database}: name another one in the URL"
        return f"{self._server}: {reason}"

    def _begin_fault(self, fault: str, code: str) -> None:
        self._fault_tries += 1
        before, self._fault = self._fault, fault
        if before is None:
            self._fault_began_s = time.monotonic()
        if before is None or (code != self._fault_code and code and code not in PASSING):
            # What only a person can end is said even where the fault began as another one.
            log.error("%s; last states wait in memory, and it is tried again", fault)
        self._fault_code = code
        self._on_fault(fault)

    def _end_fault(self) -> None:
        log.warning(
            "%s: last states are complete again after %.0f s and %d failed tries",
            self._server,
            time.monotonic() - self._fault_began_s,
            self._fault_tries,
        )
        self._fault, self._fault_code, self._fault_tries = None, "", 0
        self._on_fault(None)


def writing(states: Mapping[str, Fields]) -> tuple[list[str], str]:
    """Return the commands that write states, and for each command whose state it writes."""
    names, commands = [], []
    for codifier, fields in states.items():
        names.append(codifier)
        commands.append(store_command(codifier, fields))
        if gone := outdated(fields):
            names.append(codifier)
            commands.append(command("HDEL", codifier, *gone).decode())
    return names, "".join(commands)


def _recalled(connection: Connection) -> dict[str, Fields]:
    codifiers: set[str] = set()
    cursor = b"0"
    while True:
        reply = connection.call("SCAN", cursor, "MATCH", "??", "COUNT", str(READ_AT_ONCE))
        if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
            raise StoreError("what listens there is no Redis")
        names = (key.decode("latin-1") for key in reply[1] if isinstance(key, bytes))
        codifiers.update(name for name in names if is_codifier(name))
        if not isinstance(reply[0], bytes) or reply[0] == b"0":
            break
        cursor = reply[0]
    ordered = sorted(codifiers)
    wanted = b"".join(command("HGETALL", codifier) for codifier in ordered)
    replies = connection.exchange(wanted, len(ordered))
    found = zip(ordered, map(fields_of, ordered, replies), strict=True)
    return {codifier: fields for codifier, fields in found if fields is not None}


def open_redis(url: str, home: Path, password_file: Path | None = None) -> StateStore:
    """Return the states of a Redis server; ConfigError for a URL of another form."""
    return RedisState(server_of(url), password_file)
