from types import SimpleNamespace

import pytest

from collectors.state_cache import StateCache
from jph.channel import STATE
from jph.errors import ConfigError
from jph.sequence import Source
from jph.stores import open_state
from jph.wire import Control

SENDER = ("127.0.0.1", 7602)


class FakeChannel:
    codifier = "SC"

    def __init__(self):
        self.sent = []
        self.data_sources = {"C1": Source("C1", 8, 500, lost=3)}
        self.control_sources = {"C1": Source("C1", 9, 600, lost=4)}

    def send_data(self, value, timestamp_ms=None, codifier=None):
        self.sent.append((value, timestamp_ms))


def test_what_is_heard_is_found_by_whoever_opens_the_same_store(tmp_path):
    cache = StateCache(FakeChannel(), tmp_path)
    cache.on_batch([("C1", 1000, 7, 21.5, "f", 4, SENDER)])
    cache.on_control(Control(1, 1100, "I", "C1", "@@", 900.0, True), SENDER)
    state = open_state("memory:", tmp_path).get("C1")
    assert (state["Value"], state["DTimestamp"], state["DPacketsLost"]) == (21.5, 1000, 3)
    assert (state["ITimestamp"], state["CTimestamp"], state["CPacketsLost"]) == (1100, 900, 4)


def test_states_outlive_a_cache_that_is_built_anew(tmp_path):
    cache = StateCache(FakeChannel(), tmp_path)
    cache.on_batch([("C1", 1000, 7, 21.5, "f", 4, SENDER)])
    cache.close()
    again = StateCache(FakeChannel(), tmp_path)
    again.on_batch([("C2", 1000, 7, 1.0, "f", 4, SENDER)])
    assert set(open_state("memory:", tmp_path).changed_since(0)[1]) == {"C1", "C2"}


def test_its_own_data_is_the_messages_of_both_channels_per_minute(tmp_path):
    channel = FakeChannel()
    cache = StateCache(channel, tmp_path)
    cache._messages = SimpleNamespace(count=cache._messages.count, take=counted(cache))
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
