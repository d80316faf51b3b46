"""Faults of the gateway of ESP32 boards, shortened; `python -m tests.faults.esp32` has all."""

import pytest

from tests.brokers import running_mosquitto, running_nats
from tests.faults.esp32 import away, broker_kills, is_good, kills
from tests.faults.mqtt import LIKE_OURS, MOST_MB


@pytest.fixture(params=["mosquitto", "nats"])
def broker(request):
    running = running_nats() if request.param == "nats" else running_mosquitto(*LIKE_OURS)
    with running as started:
        yield started


def test_a_killed_gateway_loses_no_value_and_no_session(broker):
    verdict = kills(broker, messages=999, kills=3)
    assert verdict.acknowledged == 999
    assert is_good(verdict, broker), str(verdict)


def test_a_store_that_is_away_loses_no_value(broker):
    verdict = away(broker, seconds=3, rate=250)
    assert is_good(verdict, broker), str(verdict)
    assert verdict.grown_mb < MOST_MB, str(verdict)


def test_boards_join_again_after_their_broker_was_killed(broker):
    verdict = broker_kills(broker, kills=1)
    assert is_good(verdict, broker), str(verdict)
