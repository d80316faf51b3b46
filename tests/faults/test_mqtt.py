"""Faults of a gateway of Tenta, shortened; `python -m tests.faults.mqtt` has all."""

import pytest

from gateways.tenta.models import Refused, parse
from tests.brokers import running_mosquitto, running_nats
from tests.faults import poison
from tests.faults.mqtt import (
    LIKE_OURS,
    MOST_MB,
    away,
    broker_kills,
    flood,
    full_disk,
    kills,
    poisoned,
)
from tests.gateways.tenta.sensors import SENSOR


@pytest.fixture(params=["mosquitto", "nats"])
def broker(request):
    running = running_nats() if request.param == "nats" else running_mosquitto(*LIKE_OURS)
    with running as started:
        yield started


@pytest.fixture
def ours():
    with running_mosquitto(*LIKE_OURS) as started:
        yield started


def check(verdict, least):
    """Fail if a message is lost or stored twice, or the memory has grown with their number."""
    assert verdict.acknowledged >= least, str(verdict)
    assert (verdict.lost, verdict.twice) == (0, 0), str(verdict)
    assert verdict.grown_mb < MOST_MB, str(verdict)


def test_a_killed_gateway_loses_nothing_and_stores_nothing_twice(broker):
    check(kills(broker, messages=1500, kills=3), 1500)


def test_a_file_that_is_locked_loses_nothing(ours):
    check(away(ours, seconds=4, rate=500), 2500)


def test_a_server_that_is_away_loses_nothing(broker, postgres_server):
    check(away(broker, seconds=4, rate=500, server=postgres_server), 2500)


def test_a_killed_broker_is_found_again(broker):
    verdict = broker_kills(broker, kills=2)
    assert verdict.back_s < 10, str(verdict)
    if broker.is_nats:
        assert not verdict.lost, str(verdict)


def test_a_full_disk_loses_nothing(ours):
    check(full_disk(ours, seconds=3, rate=300), 1200)


def test_a_flood_of_unknown_sensors_is_counted(broker):
    verdict = flood(broker, messages=3000)
    check(verdict, 110)
    assert verdict.refused == 3000


def test_what_breaks_a_rule_is_refused_once_and_stops_nothing(broker):
    check(poisoned(broker), 60)


@pytest.mark.parametrize("kind", poison.GOOD)
def test_each_of_them_breaks_a_rule(kind):
    for payload in poison.payloads(kind):
        with pytest.raises(Refused):
            parse(f"{kind}/{SENSOR}", payload)
