"""Messages that were lost are counted by the minute, and kept within bounds."""

import pytest

from jph.clock import time_now_ms
from tests.helpers import eventually
from tests.web.bus import reading, source
from web.history import event_recorder, losses
from web.history.loss_counter import MINUTE_MS, LossCounter

BEGAN_MS = 1_000 * MINUTE_MS


class States:
    """Last states with the counters of one component."""

    def __init__(self):
        self.fields = None

    def get(self, codifier):
        return self.fields

    def count(self, data, data_reset_ms, control=None, control_reset_ms=None):
        self.fields = {
            "DPacketsLost": data,
            "DResetTime": data_reset_ms,
            "CPacketsLost": control,
            "CResetTime": control_reset_ms,
        }


@pytest.fixture
def counter():
    return LossCounter(BEGAN_MS)


def counted(counter, states, minute):
    counter.look(states, ["A1"], BEGAN_MS + minute * MINUTE_MS)
    return [(time_ms - BEGAN_MS, lost) for time_ms, _, lost in counter.rows()]


def test_what_was_lost_since_the_start_is_new_and_what_was_before_is_not(counter):
    states = States()
    assert counted(counter, states, 0) == []
    states.count(5, BEGAN_MS - 1, 2, BEGAN_MS + 1)  # the first is from before
    assert counted(counter, states, 0) == [(0, 2)]
    states.count(6, BEGAN_MS - 1, 2, BEGAN_MS + 1)
    assert counted(counter, states, 1) == [(0, 2), (MINUTE_MS, 1)]


def test_a_restart_of_the_source_counts_anew_and_a_late_message_corrects(counter):
    states = States()
    states.count(5, BEGAN_MS)
    assert counted(counter, states, 0) == [(0, 5)]
    states.count(3, BEGAN_MS + 7)
    assert counted(counter, states, 0) == [(0, 8)]
    states.count(2, BEGAN_MS + 7)
    assert counted(counter, states, 0) == [(0, 7)]


def test_what_is_lost_while_others_are_kept_is_not_forgotten(counter):
    states = States()
    states.count(5, BEGAN_MS)
    counted(counter, states, 0)
    rows = counter.rows()
    states.count(6, BEGAN_MS)
    counted(counter, states, 0)
    counter.kept(rows)
    assert [lost for *_, lost in counter.rows()] == [1]
    counter.kept(counter.rows())
    assert not counter


def test_the_oldest_give_way_and_then_less_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(losses, "MOST", 100)
    began_ms = losses.since(tmp_path)
    assert time_now_ms() - 60_000 < began_ms <= time_now_ms()
    later_ms = began_ms + MINUTE_MS
    losses.add(tmp_path, [(later_ms + n * MINUTE_MS, f"A{n % 2}", 1) for n in range(99)])
    assert losses.since(tmp_path) == began_ms
    losses.add(tmp_path, [(later_ms + n * MINUTE_MS, f"A{n % 2}", 1) for n in range(99, 130)])
    since_ms = losses.since(tmp_path)
    kept = [it for code in ("A0", "A1") for it in losses.between(tmp_path, code, 0, 1 << 60)]
    assert 80 < len(kept) <= 100
    assert min(kept)[0] == since_ms > began_ms


def test_the_pages_keep_what_did_not_reach_them(web, tmp_path, monkeypatch):
    monkeypatch.setattr(event_recorder, "LOOK_S", 0.02)
    monkeypatch.setattr(event_recorder, "LOSSES_S", 0.0)
    monkeypatch.setattr(event_recorder, "WRITE_S", 0.0)
    web.channel.data_sources["A1"] = source("A1", received=10, lost=4)
    web.channel.data_sources["A1"].reset_ms = time_now_ms() + 1000
    web.on_batch([reading("A1", 1.5)])
    eventually(lambda: [lost for _, lost in losses.between(tmp_path, "A1", 0, 1 << 60)] == [4])
