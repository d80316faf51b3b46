"""Faults of the gateway of IoTtalk, shortened; `python -m tests.faults.iottalk` has all."""

from tests.faults.iottalk import away, broker_kills, kills


def test_a_killed_gateway_obeys_every_request_and_connects_devices_again(broker_like_ours):
    verdict = kills(broker_like_ours, requests=60, kills=3)
    assert verdict.acknowledged == 60
    assert verdict.is_good, str(verdict)


def test_requests_wait_for_a_store_that_is_away_and_values_do_not(broker_like_ours):
    verdict = away(broker_like_ours, requests=60, seconds=3)
    assert verdict.is_good, str(verdict)


def test_devices_and_graphs_go_on_after_their_broker_was_killed(broker_like_ours):
    verdict = broker_kills(broker_like_ours, requests=20, kills=1)
    assert verdict.is_good, str(verdict)
