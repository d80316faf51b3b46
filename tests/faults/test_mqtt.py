"""Faults of a gateway of Tenta, shortened; `python -m tests.faults.mqtt` has all."""

import pytest

from gateways.tenta.models import Refused, parse
from tests.faults import poison
from tests.faults.mqtt import (
    MOST_MB,
    away,
    broker_kills,
    flood,
    full_disk,
    kills,
    poisoned,
)
from tests.faults.mqtt_rig import SQLITE
from tests.gateways.tenta.sensors import SENSOR


@pytest.fixture
def url(broker_like_ours, request):
    """Return a store for each broker: of PostgreSQL for mosquitto, of SQLite for nats-server."""
    return SQLITE if broker_like_ours.is_nats else request.getfixturevalue("postgres_url")


def check(verdict, least):
    """Fail if a message is lost or stored twice, or the memory has grown with their number."""
    assert verdict.acknowledged >= least, str(verdict)
    assert (verdict.lost, verdict.twice) == (0, 0), str(verdict)
    assert verdict.grown_mb < MOST_MB, str(verdict)


@pytest.mark.postgres
def test_a_killed_gateway_loses_nothing_and_stores_nothing_twice(broker_like_ours, url):
    check(kills(broker_like_ours, messages=1500, kills=3, url=url), 1500)


def test_a_file_that_is_locked_loses_nothing(mosquitto_like_ours):
    check(away(mosquitto_like_ours, seconds=4, rate=500), 2500)


def test_a_server_that_is_away_loses_nothing(broker_like_ours, postgres_server):
    check(away(broker_like_ours, seconds=4, rate=500, server=postgres_server), 2500)


def test_a_killed_broker_is_found_again(broker_like_ours):
    verdict = broker_kills(broker_like_ours, kills=2)
    assert verdict.back_s < 30, str(verdict)  # 10 s where the machine is not busy
    assert not verdict.twice, str(verdict)
    if broker_like_ours.is_nats:
        assert not verdict.lost, str(verdict)


def test_a_full_disk_loses_nothing(mosquitto_like_ours):
    check(full_disk(mosquitto_like_ours, seconds=3, rate=300), 1200)


@pytest.mark.postgres
def test_a_flood_of_unknown_sensors_is_counted(broker_like_ours, url):
    verdict = flood(broker_like_ours, messages=3000, url=url)
    check(verdict, 110)
    assert verdict.refused == 3000


@pytest.mark.postgres
def test_what_breaks_a_rule_is_refused_once_and_stops_nothing(broker_like_ours, url):
    check(poisoned(broker_like_ours, url), 60)


@pytest.mark.parametrize("kind", poison.GOOD)
def test_each_of_them_breaks_a_rule(kind):
    for payload in poison.payloads(kind):
        with pytest.raises(Refused):
            parse(f"{kind}/{SENSOR}", payload)
