"""Last states in Redis, one hash for each Codifier (`jph.stores.redis.hashes`).

    <Codifier>   hash: the last state
    jph:state    text: a random mark, written with the complete state; if it is gone or another one,
                 the server was emptied, and the complete state is written again

Strategy: `LastStates` takes every message in memory, which is quick, and a thread of its own writes
the changed states to the server, all in one round trip, at most one in 30 ms. Each state has a
version, so there is no queue: one that could not be written is still newer than the last one that
was. A new connection begins with the complete state, and so does a missing mark.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from jph.backoff import Backoff
from jph.bus.wire import is_codifier
from jph.faults import Fault
from jph.state import Fields, LastStates
from jph.stores import StateStore
from jph.stores.redis.client import Command, RedisClient
from jph.stores.redis.hashes import commands_of, fields_of
from jph.stores.redis.refusals import MARK, PASSING, RedisFault
from jph.stores.redis.url import RedisAddress, address_of
from jph.threads import component_thread

log = logging.getLogger(__name__)

PAUSE_S = 0.03  # between the starts of two round trips; a message waits 50 ms at most
BEAT_S = 1.0  # the mark is read so often when nothing is to be written
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 1.5  # with the 2 s that a connection may take, the state is complete in 5 s
STOP_S = 2.5  # longest wait for the last round trip


class RedisState:
    """Last states that are kept in memory and brought to Redis.

    Nothing is connected until the first message or `watch`.
    """

    def __init__(
        self, address: RedisAddress, password_file: Path | None, states: LastStates
    ) -> None:
        self._address = address
        self._password_file = password_file
        self._states = states
        self._on_fault: Callable[[str | None], object] = lambda fault: None
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        # Of the thread alone:
        self._client: RedisClient | None = None
        self._version = 0  # of the states that are written
        self._mark: bytes | None = None
        self._without_object: set[str] = set()  # Codifiers that have no Object, as we know
        self._wrong: set[str] = set()  # Codifiers whose keys hold something else
        self._wrong_due_s = 0.0
        self._fault = Fault(log, logging.ERROR)
        self._fault_code = ""

    # From any thread; only `recall` waits for the server

    def watch(self, on_fault: Callable[[str | None], object]) -> None:
        self._on_fault = on_fault
        self.wake()

    def wake(self) -> None:
        self._changed.set()
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = component_thread("redis", self._run)
                    self._thread.start()
        elif not self._thread.is_alive() and not self._stopping.is_set():
            raise RuntimeError("the thread that writes to Redis has ended, see the log")

    def close(self) -> None:
        self._stopping.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def recall(self) -> dict[str, Fields]:
        with closing(RedisClient(self._address, self._password_file)) as client:
            return _recalled(client)

    # The writing thread

    def _run(self) -> None:
        backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S)
        try:
            while True:
                began_s = time.monotonic()
                stopping = self._stopping.is_set()
                retry_s = 0.0
                try:
                    self._round_trip()
                    backoff.reset()
                except RedisFault as fault:
                    self._disconnect()
                    retry_s = backoff.next_s()
                    self._begin_fault(str(fault), fault.code)
                if stopping:
                    break
                if retry_s:
                    self._stopping.wait(retry_s)
                elif not self._stopping.is_set():  # else the round trip may have cleared the event
                    self._changed.wait(BEAT_S)
                    self._stopping.wait(began_s + PAUSE_S - time.monotonic())
        except Exception:
            log.exception("%s: its writer fails by a mistake of its own", self._address)
            raise
        finally:
            self._disconnect()

    def _round_trip(self) -> None:
        """Write the changed states; raise RedisFault if the server refuses."""
        if self._client is None:
            self._client = RedisClient(self._address, self._password_file)
            self._version, self._mark = 0, None
            self._without_object.clear()
        self._changed.clear()
        version, changed = self._states.changed_since(self._version)
        self._add_wrong(changed)
        commands: list[Command] = [("GET", MARK)]
        if not self._mark:
            commands.insert(0, ("SET", MARK, secrets.token_hex(8), "NX"))
        first = len(commands)
        for codifier, fields in changed.items():
            had_object = codifier not in self._without_object
            commands += commands_of(codifier, fields, had_object=had_object)
        replies = self._client.exchange(commands)
        for reply in replies[:first]:
            if isinstance(reply, RedisFault):
                raise reply
        self._note(commands[first:], replies[first:])
        for codifier, fields in changed.items():
            if isinstance(fields["Value"], dict):
                self._without_object.discard(codifier)
            elif fields["DTimestamp"] is not None:
                self._without_object.add(codifier)
        self._version = version
        self._check_mark(replies[first - 1])
        if self._wrong:
            why = "holds no hash, so its state is not kept: delete the key, or name another"
            keys = (f"the key {it} {why} database in the URL" for it in sorted(self._wrong))
            self._begin_fault(f"{self._address}: {'; '.join(keys)}", "WRONGTYPE")
        else:
            self._end_fault()

    def _add_wrong(self, changed: dict[str, Fields]) -> None:
        """Add the keys that held something else, now and then, to try them again."""
        if self._wrong and time.monotonic() >= self._wrong_due_s:
            self._wrong_due_s = time.monotonic() + LAST_RETRY_S
            for codifier in self._wrong - changed.keys():
                fields = self._states.get(codifier)
                if fields is not None:
                    changed[codifier] = fields

    def _note(self, commands: Iterable[Command], replies: Iterable[object]) -> None:
        """Note which keys hold something else; a refusal of one key stops no other."""
        refused = set()
        for (_, codifier, *_), reply in zip(commands, replies, strict=True):
            if isinstance(reply, RedisFault):
                if reply.code != "WRONGTYPE":
                    raise reply
                refused.add(codifier)
        if self._wrong:
            self._wrong.difference_update(command[1] for command in commands)
        self._wrong |= refused

    def _check_mark(self, found: object) -> None:
        mark = found if isinstance(found, bytes) else b""
        if self._mark is None:
            self._mark = mark
        elif self._mark != mark:
            log.warning("%s was emptied: writing all last states again", self._address)
            self._mark, self._version = None, 0
            self._changed.set()

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _begin_fault(self, text: str, code: str) -> None:
        # A fault that needs a person is logged even if another one has lasted until now.
        is_another = code not in ("", self._fault_code, *PASSING)
        self._fault_code = code
        said = f"{text}; last states wait in memory until a new try succeeds"
        self._fault.note(text, said, again=is_another)
        self._on_fault(text)

    def _end_fault(self) -> None:
        self._fault_code = ""
        if self._fault.end(f"{self._address}: last states are complete again"):
            self._on_fault(None)


def _recalled(client: RedisClient) -> dict[str, Fields]:
    names = (key.decode("latin-1") for key in client.keys("??"))
    codifiers = sorted(filter(is_codifier, names))
    replies = client.exchange([("HGETALL", codifier) for codifier in codifiers])
    found = zip(codifiers, map(fields_of, codifiers, replies), strict=True)
    return {codifier: fields for codifier, fields in found if fields is not None}


def open_redis(url: str, home: Path, password_file: Path | None, states: LastStates) -> StateStore:
    """Return the store on Redis; raise ConfigError for a URL of another form."""
    return RedisState(address_of(url), password_file, states)
