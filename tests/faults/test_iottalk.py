"""Faults of the gateway of IoTtalk, shortened; `python -m tests.faults.iottalk` has all."""

import pytest

from tests.brokers import running_mosquitto, running_nats
from tests.faults.iottalk import away, broker_kills, kills
from tests.faults.mqtt import LIKE_OURS


@pytest.fixture(params=["mosquitto", "nats"])
def broker(request):
    running = running_nats() if request.param == "nats" else running_mosquitto(*LIKE_OURS)
    with running as started:
        yield started


def test_a_killed_gateway_obeys_every_request_and_connects_devices_again(broker):
    verdict = kills(broker, requests=60, kills=3)
    assert verdict.acknowledged == 60
    assert verdict.is_good, str(verdict)


def test_requests_wait_for_a_store_that_is_away_and_values_do_not(broker):
    verdict = away(broker, requests=60, seconds=3)
    assert verdict.is_good, str(verdict)


def test_devices_and_graphs_go_on_after_their_broker_was_killed(broker):
    verdict = broker_kills(broker, requests=20, kills=1)
    assert verdict.is_good, str(verdict)
