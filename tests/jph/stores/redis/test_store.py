"""Last states in a real Redis: what other programs read there, and what happens when it fails."""

import logging
import re
import time
from pathlib import Path
from statistics import median

import pytest

from jph.bus.sequence import SequenceTracker
from jph.bus.wire import Control
from jph.errors import StoreError
from jph.stores.redis import store as store_module
from jph.stores.redis.store import PAUSE_S
from tests.helpers import LOOPBACK, eventually, free_tcp_port
from tests.jph.stores.kept import KeptStates
from tests.jph.stores.redis.watching import SENDER, watched
from tests.servers import RedisServer, running_redis

DOCUMENT = Path(__file__).parents[4] / "docs" / "configuration.md"
MESSAGE_S = 0.05  # from the message to Redis
COMPLETE_S = 20.0  # from the return of Redis to the complete state; 5 s if nobody is busy


@pytest.fixture
def cache(redis_server: RedisServer):
    with watched(redis_server.url) as it:
        yield it


@pytest.fixture
def client(redis_server: RedisServer):
    with redis_server.client() as it:
        yield it


def codifiers_in(client):
    return {key for key in client.scan_iter() if len(key) == 2}


# What is there


def test_programs_of_existing_networks_find_a_hash_of_text(cache, client):
    cache.store.on_readings(
        [("C1", 1000, 7, 21.5, "f", 4, SENDER)], {"C1": SequenceTracker("C1", 8, 500)}
    )
    cache.store.on_control(Control(1, 1100, "I", "C1", "@@", 900.0, False), 1200, {})
    eventually(lambda: client.hget("C1", "LoadedTime"))
    assert client.hgetall("C1") == {
        "Codifier": "C1",
        "Value": "21.5",
        "DTimestamp": "1000",
        "DPacketsLost": "0",
        "DResetTime": "500",
        "ITimestamp": "1100",
        "IsActive": "False",
        "LoadedTime": "900",
    }


def test_a_message_is_in_redis_within_50_ms(cache, client):
    cache.hear("C1")
    eventually(lambda: client.exists("C1"))

    def half_of_them_in_s():
        waits_s = []
        for number in range(2, 42):
            time.sleep(0.007 * (number % 5))  # at any moment between two round trips
            began_s = time.monotonic()
            cache.hear("C1", value=number / 8 + began_s)
            while client.hget("C1", "Value") != repr(number / 8 + began_s):
                time.sleep(0.002)
            waits_s.append(time.monotonic() - began_s)
        return median(waits_s)

    # The machine may be busy with other tests, but hardly ten times in a row.
    found_s = []
    while not found_s or (min(found_s) > MESSAGE_S and len(found_s) < 10):
        found_s.append(half_of_them_in_s())
    assert min(found_s) <= MESSAGE_S


def test_a_batch_is_one_round_trip_in_which_only_the_newest_state_travels(cache, client):
    cache.hear("C1")
    eventually(lambda: client.exists("C1"))
    before = client.info("commandstats")["cmdstat_hset"]["calls"]
    began_s = time.monotonic()
    messages = 0
    while messages < 600 or time.monotonic() < began_s + 1:
        cache.hear("C1", "C2", value=float(messages))
        messages += 2
        time.sleep(0.001)
    eventually(lambda: client.hget("C2", "Value") == f"{messages - 2:.1f}")
    took_s = time.monotonic() - began_s
    written = client.info("commandstats")["cmdstat_hset"]["calls"] - before
    assert 2 <= written <= 2 * took_s / PAUSE_S + 4


def test_what_an_answer_leaves_unknown_is_removed(cache, client):
    client.hset("C1", mapping={"TDuration": "5", "TRequest": "1", "Own": "kept"})
    cache.store.on_control(Control(1, 1100, "T", "C1", "WB", float("nan"), True), 1200, {})
    eventually(lambda: client.hget("C1", "TTimestamp") == "1100")
    eventually(lambda: not client.hexists("C1", "TDuration"))
    assert client.hget("C1", "Own") == "kept"
    assert not client.hexists("C1", "TRequest")


def test_an_object_goes_when_the_next_reading_is_none(cache, client):
    client.hset("C2", "Object", '{"value": 1, "left": "by another process"}')
    for value in (1.5, {"value": 2, "fault": "away"}, 2, 3.5):
        cache.hear("C1", "C2", value=value)
        is_object = isinstance(value, dict)
        expected = str(value["value"] if is_object else value)
        for codifier in ("C1", "C2"):
            eventually(lambda c=codifier, e=expected: client.hget(c, "Value") == e)
            eventually(lambda c=codifier, e=is_object: client.hexists(c, "Object") == e)


def test_a_stop_writes_what_was_heard_last(redis_server, client):
    with watched(redis_server.url) as cache:
        for number in range(50):
            cache.hear("C1", "C2", value=float(number))
    assert client.hget("C2", "Value") == "49.0"


def test_what_else_is_in_the_database_is_left_alone_and_not_recalled(cache, client):
    client.set("ab", "text")
    client.hset("cd", "Own", "hash")
    client.hset("user:1", "Value", "1")
    client.set("größe", "x")
    cache.hear("C1")
    eventually(lambda: client.exists("C1"))
    assert set(cache.store.recall()) == {"C1"}
    assert client.get("ab") == "text"


def test_more_states_than_one_answer_names_are_recalled(cache):
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    names = [a + b for a in letters for b in letters]
    cache.hear(*names)
    eventually(lambda: len(cache.store.recall()) == len(names))


# When it fails


def test_emptied_it_gets_the_complete_state_again(cache, client, caplog):
    cache.hear("C1", "C2")
    eventually(lambda: codifiers_in(client) == {"C1", "C2"})
    for _ in range(3):
        client.flushall()
        eventually(lambda: codifiers_in(client) == {"C1", "C2"}, COMPLETE_S)
    assert client.hget("C1", "Value") == "1.0"
    said = f"{cache.store.store._address} was emptied"
    assert sum(it.getMessage().startswith(said) for it in caplog.records) == 3


def test_two_caches_both_notice_that_it_was_emptied(redis_server, client):
    with watched(redis_server.url) as one, watched(redis_server.url) as other:
        one.hear("C1")
        other.hear("C2")
        eventually(lambda: codifiers_in(client) == {"C1", "C2"})
        client.flushall()
        eventually(lambda: codifiers_in(client) == {"C1", "C2"}, COMPLETE_S)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_restarted_it_gets_the_complete_state_again(cache, redis_server, client, end, caplog):
    cache.hear("C1", "C2")
    eventually(lambda: codifiers_in(client) == {"C1", "C2"})
    getattr(redis_server, end)()
    cache.await_fault(LOOPBACK)
    cache.hear("C2", "C3", value=2.0)
    time.sleep(2)  # so that the back-off is at its longest
    redis_server.start()
    eventually(lambda: codifiers_in(client) == {"C1", "C2", "C3"}, COMPLETE_S)
    assert client.hget("C2", "Value") == "2.0"
    cache.await_recovery()
    errors = [it for it in caplog.records if it.levelno == logging.ERROR]
    warnings = [it.getMessage() for it in caplog.records if it.levelno == logging.WARNING]
    assert len(errors) == 1
    assert len(warnings) == 1 and "complete again" in warnings[0]


def test_a_server_that_stops_answering_blocks_nothing(cache, redis_server, client):
    cache.hear("C1")
    eventually(lambda: client.exists("C1"))
    waits_s = []

    def hear():
        began_s = time.monotonic()
        cache.hear("C1", "C2")
        cache.store.get("C1")
        waits_s.append(time.monotonic() - began_s)
        return cache.faults

    with redis_server.frozen():
        eventually(hear)
    assert "no answer within 2 s" in cache.faults[0]
    # None waited for the server, which would take 2 s; the machine may be busy with other tests.
    assert max(waits_s) < 2
    eventually(lambda: codifiers_in(client) == {"C1", "C2"}, COMPLETE_S)
    cache.await_recovery()


def test_a_stop_does_not_wait_for_a_server_that_does_not_answer(redis_server):
    with watched(redis_server.url) as cache:
        cache.hear("C1")
        with redis_server.frozen():
            cache.hear("C2")
            began_s = time.monotonic()
            cache.store.close()
            assert time.monotonic() - began_s < 8  # it gives up after 2.5 s


def test_a_stop_in_the_middle_of_a_round_trip_is_not_missed(redis_server, monkeypatch):
    monkeypatch.setattr(store_module, "BEAT_S", 60.0)
    with watched(redis_server.url) as cache:
        cache.hear("C1")
        store = cache.store.store
        round_trip = store._round_trip

        def stopped():
            store._stopping.set()
            store._changed.set()
            round_trip()

        eventually(lambda: store._client)
        store._round_trip = stopped
        cache.hear("C2")
        store._thread.join(20)
        assert not store._thread.is_alive()


def test_away_from_the_start_it_gets_the_state_when_it_comes():
    with running_redis() as server:
        server.kill()
        with watched(server.url) as cache:
            cache.hear("C1")
            cache.await_fault("is redis-server running?")
            with pytest.raises(StoreError, match="is redis-server running"):
                cache.store.recall()
            server.start()
            with server.client() as client:
                eventually(lambda: client.exists("C1"), COMPLETE_S)


def test_a_full_server_is_tried_until_it_has_room(cache, redis_server, client):
    cache.hear("C1")
    eventually(lambda: client.exists("C1"))
    client.config_set("maxmemory", "1mb")
    try:
        cache.hear("C1", "C2", value=2.0)
        assert "raise that" in cache.await_fault("maxmemory")
    finally:
        client.config_set("maxmemory", "0")
    cache.await_recovery()
    assert client.hget("C2", "Value") == "2.0"


def test_a_read_only_replica_is_told_apart(cache, redis_server, client):
    with running_redis() as replica:
        with replica.client() as other:
            other.replicaof(LOOPBACK, redis_server.port)
            eventually(lambda: other.info("replication")["master_link_status"] == "up", 20)
        with watched(replica.url) as mistaken:
            mistaken.hear("C1")
            assert "name the primary" in mistaken.await_fault("read-only replica")
            with replica.client() as other:
                other.replicaof("NO", "ONE")
                eventually(lambda: other.exists("C1"), COMPLETE_S)


def test_a_key_that_holds_something_else_stops_no_other(cache, client):
    client.set("C1", "not ours")
    cache.hear("C1", "C2")
    fault = cache.await_fault("the key C1 holds no hash")
    assert "delete the key" in fault
    assert client.hget("C2", "Value") == "1.0"
    cache.hear("C2", value=2.0)
    eventually(lambda: client.hget("C2", "Value") == "2.0")
    client.delete("C1")
    eventually(lambda: client.exists("C1"), COMPLETE_S)
    cache.await_recovery()


def test_a_mark_that_is_something_else_is_a_fault(redis_server, client):
    client.hset("jph:state", "a", "b")
    with watched(redis_server.url) as cache:
        cache.hear("C1")
        assert "jph:state" in cache.await_fault("holds")


def test_passwords_are_read_from_the_file_at_each_connection(tmp_path, caplog):
    file = tmp_path / "password"
    with running_redis("--requirepass", "open sesame") as server:
        with watched(server.url) as cache:
            cache.hear("C1")
            cache.await_fault("name a file with it in PasswordFile")
        with watched(server.url, file) as cache, server.client(password="open sesame") as client:
            cache.hear("C1")
            cache.await_fault(f"{file} cannot be read (No such file")
            file.write_text("wrong\n")
            cache.await_fault("refuses the user or the password")
            file.write_text("open sesame\r\nanother line\n")
            eventually(lambda: client.exists("C1"), COMPLETE_S)
            cache.await_recovery()
            assert set(cache.store.recall()) == {"C1"}
    assert "sesame" not in caplog.text


def test_a_password_that_nobody_wants_is_said(redis_server, tmp_path):
    file = tmp_path / "password"
    file.write_text("secret")
    with watched(redis_server.url, file) as cache:
        cache.await_fault("leave out the PasswordFile")


def test_a_user_with_the_documented_rights_can_all_that_is_done(redis_server, client, tmp_path):
    file = tmp_path / "password"
    file.write_text("secret")
    rights = re.search(r"rights needs `(.*)`", DOCUMENT.read_text())[1].split()
    client.execute_command("ACL", "SETUSER", "cache", "on", ">secret", *rights)
    url = f"redis://cache@{LOOPBACK}:{redis_server.port}/1"
    try:
        with watched(url, file) as cache:
            cache.hear("C1")
            control = Control(1, 1100, "T", "C1", "WB", float("nan"), True)
            cache.store.on_control(control, 1200, {})
            eventually(lambda: "C1" in cache.store.recall(), what=str(cache.faults))
            assert cache.faults == []
            client.execute_command("ACL", "SETUSER", "cache", "-hset")
            cache.hear("C1")
            cache.await_fault("allow it")
    finally:
        client.execute_command("ACL", "DELUSER", "cache")


def test_a_database_that_is_not_there_is_said(redis_server):
    with watched(f"redis://{LOOPBACK}:{redis_server.port}/99") as cache:
        cache.await_fault("it has no database 99")


def test_no_connection_is_made_by_who_only_opens_it():
    store = KeptStates(f"redis://{LOOPBACK}:{free_tcp_port()}/0", None)
    assert store.get("C1") is None
    store.close()
