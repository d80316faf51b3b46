from types import SimpleNamespace

import pytest

from collectors.state_cache import StateCache
from jph.bus.wire import Control
from jph.errors import ConfigError
from jph.node.process import STATE
from jph.node.runner import callbacks_of
from jph.state import LastStates
from tests.helpers import eventually
from tests.network import Peer, config_of, node_of, running

SENDER = ("127.0.0.1", 7602)


class FakeChannel:
    codifier = "SC"

    def __init__(self):
        self.sent = []
        self.states = LastStates()

    def last_states(self):
        return self.states

    def hear(self, cache, *readings):
        """Take readings as a process does: into the last states, then to the component."""
        self.states.on_readings(readings, {})
        cache.on_batch(list(readings))

    def send_data(self, value, timestamp_ms=None, codifier=None):
        self.sent.append((value, timestamp_ms))


def test_its_own_data_is_the_messages_of_both_channels_per_minute(tmp_path):
    channel = FakeChannel()
    cache = StateCache(channel, tmp_path)
    cache._messages = SimpleNamespace(add=cache._messages.add, take=counted(cache))
    cache.on_batch([("C1", 1000, n, 21.5, "f", 4, SENDER) for n in range(9)])
    cache.on_control(Control(1, 1100, "I", "C1", "@@", 900.0, True), SENDER)
    assert cache.on_timer(60_000, "", 0.0) == STATE.GOOD
    assert channel.sent == [(20.0, 60_000)]


def counted(cache):
    rate = cache._messages
    return lambda: rate.take(rate._since_s + 30)


def test_it_goes_on_while_the_others_are_halted():
    assert StateCache.ignores_halt


def test_a_url_that_names_no_store_is_a_mistake(tmp_path):
    with pytest.raises(ConfigError, match="no state store"):
        StateCache(FakeChannel(), tmp_path, url="etcd://here")


# On a server


@pytest.fixture
def cache(redis_server, tmp_path):
    cache = StateCache(FakeChannel(), tmp_path, url=redis_server.url)
    yield cache
    cache.close()


def said(cache):
    return [value for value, _ in cache.channel.sent]


def test_a_fault_of_the_store_is_published_in_time_and_again_and_its_end_at_once(
    cache, redis_server
):
    cache.channel.hear(cache, ("C1", 1000, 7, 21.5, "f", 4, SENDER))
    assert cache.on_timer(60_000, "", 0.0) == STATE.GOOD
    rate = said(cache)[-1]
    with redis_server.frozen():
        fault = eventually(lambda: next((it for it in said(cache) if isinstance(it, dict)), None))
        assert (fault.keys(), fault["value"]) == ({"value", "fault"}, rate)
        assert fault["fault"].startswith(redis_server.url) and "2 s" in fault["fault"]
        assert cache.on_timer(61_000, "", 0.0) == STATE.WITHERRORS
        assert said(cache)[-1]["fault"] == fault["fault"]
        count = len(said(cache))
        eventually(lambda: len(said(cache)) > count, what="the fault is said again")
    eventually(lambda: not isinstance(said(cache)[-1], dict))
    assert cache.on_timer(62_000, "", 0.0) == STATE.GOOD


def test_a_cache_that_is_built_again_brings_all_that_is_known_to_its_new_store(
    cache, redis_server, tmp_path
):
    cache.channel.hear(cache, ("C1", 1000, 7, 21.5, "f", 4, SENDER))
    with redis_server.client() as client:
        eventually(lambda: client.hget("C1", "Value") == "21.5")
    other = redis_server.url.removesuffix("0") + "1"
    again = StateCache(cache.channel, tmp_path, url=other)
    with redis_server.client(db=1) as client:
        eventually(lambda: client.hget("C1", "Value") == "21.5")
    again.close()


def test_the_bus_is_in_redis_with_its_losses(redis_server, tmp_path):
    config = config_of(
        {
            "Codifier": "SC",
            "Type": "StateCache",
            "SensorInterval": 0.2,
            "Sensor": {"URL": redis_server.url},
        }
    )
    node = node_of(config, tmp_path)
    node.add(
        config.components["SC"],
        lambda channel: callbacks_of(StateCache(channel, tmp_path, url=redis_server.url), channel),
    )
    with running(node), Peer(config) as peer, redis_server.client() as client:
        for sequence in (10, 11, 14, 15):
            peer.publish("C1", "i", sequence.to_bytes(4, "little"), sequence, 1000 + sequence)
        peer.command("P", to="SC", number=77.0, source="C1")
        eventually(lambda: client.hget("SC", "TRequest") == "77.0")
        eventually(lambda: client.hget("C1", "Value") == "15")
        found = client.hgetall("C1")
        assert (found["DTimestamp"], found["DPacketsLost"]) == ("1015", "2")
        assert client.hget("SC", "IsActive") == "True"
        assert client.hget("C1", "PRequest") == "77.0"
        eventually(lambda: float(client.hget("SC", "Value") or 0) > 0, what="its own rate")
