"""Faults of the gateway of ESP32 boards, shortened; `python -m tests.faults.esp32` has all."""

from tests.faults.esp32 import away, broker_kills, is_good, kills
from tests.faults.mqtt import MOST_MB


def test_a_killed_gateway_loses_no_value_and_no_session(broker_like_ours):
    verdict = kills(broker_like_ours, messages=999, kills=3)
    assert verdict.acknowledged == 999
    assert is_good(verdict, broker_like_ours), str(verdict)


def test_a_store_that_is_away_loses_no_value(broker_like_ours):
    verdict = away(broker_like_ours, seconds=3, rate=250)
    assert is_good(verdict, broker_like_ours), str(verdict)
    assert verdict.grown_mb < MOST_MB, str(verdict)


def test_boards_join_again_after_their_broker_was_killed(broker_like_ours):
    verdict = broker_kills(broker_like_ours, kills=1)
    assert is_good(verdict, broker_like_ours), str(verdict)
