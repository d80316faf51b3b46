"""Faults of a gateway with an MQTT broker, shortened; `python -m tests.faults.mqtt` has all."""

import pytest

from tests.brokers import running_mosquitto, running_nats
from tests.faults.mqtt import MOST_MB, NO_LIMIT, away, broker_kills, kills


@pytest.fixture(params=["mosquitto", "nats"])
def broker(request):
    running = running_nats() if request.param == "nats" else running_mosquitto(*NO_LIMIT)
    with running as started:
        yield started


def test_a_killed_gateway_loses_nothing_and_stores_nothing_twice(broker):
    verdict = kills(broker, messages=2000, kills=5)
    assert verdict.acknowledged >= 2000
    assert (verdict.lost, verdict.twice) == (0, 0), str(verdict)


def test_a_store_that_is_away_loses_nothing(broker):
    verdict = away(broker, seconds=5, rate=500)
    assert (verdict.lost, verdict.twice) == (0, 0), str(verdict)
    assert verdict.grown_mb < MOST_MB, str(verdict)


def test_a_killed_broker_is_found_again(broker):
    verdict = broker_kills(broker, kills=2)
    assert verdict.back_s < 10, str(verdict)
    if broker.is_nats:
        assert not verdict.lost, str(verdict)
