"""The faults in short; the programs beside this one do them in full."""

import re

import pytest

from tests.faults import flood
from tests.faults.disk import full_disk
from tests.faults.drain import drain
from tests.faults.forged import YEAR, forged
from tests.faults.kill import kill_with_spare
from tests.faults.kills import STORES, Process, kills, store_of
from tests.faults.odd import odd
from tests.faults.outage import outage
from tests.faults.rig import rig_on
from tests.faults.server_disk import full, server_on_small_disk
from tests.helpers import new_bus


@pytest.fixture
def rig(postgres_server, postgres_database):
    with rig_on(postgres_server, postgres_database) as made:
        yield made


def test_nothing_is_lost_while_the_server_is_stopped(rig):
    verdict = outage(rig, seconds=4, rate=1000)
    assert verdict.is_good, verdict


def test_nothing_is_lost_when_either_of_two_writers_is_killed(rig):
    verdict = kill_with_spare(rig, kills=4, rate=1000)
    assert verdict.is_good, verdict


@pytest.mark.parametrize("kind", STORES)
def test_nothing_that_was_received_is_lost_when_the_whole_process_is_killed(kind, tmp_path):
    with store_of(kind, tmp_path) as store:
        verdict = kills(Process(tmp_path, new_bus(), store.url), store, 4, 1000)
    assert verdict.is_good, verdict


def test_nothing_is_lost_when_a_writer_is_killed_while_it_drains_its_spool(rig):
    verdict = drain(rig, kills=3, readings=60_000)
    assert verdict.is_good, verdict
    assert verdict.figures["kills_while_draining"]


def test_a_full_disk_of_the_spool_is_said_and_loses_nothing(
    postgres_server, postgres_database, tmp_path
):
    url = postgres_server.url(postgres_database)
    verdict = full_disk(tmp_path / "disk", 1.5, url, postgres_server)
    assert verdict.is_good, verdict
    assert verdict.figures["said"] != "''"


def test_a_full_disk_of_the_server_is_said_and_loses_nothing():
    with server_on_small_disk() as (server, disk), rig_on(server, server.create_database()) as rig:
        verdict = full(rig, disk, seconds=3, rate=1000)
    assert verdict.is_good, verdict
    assert re.search("full|could not extend", verdict.figures["said"])


def test_forged_times_of_decades_make_no_partitions(rig):
    verdict = forged(rig, 4000)
    assert verdict.is_good, verdict
    assert verdict.figures["quarantined"] > 3000
    assert verdict.figures["partitions_more"] <= 2 * YEAR


@pytest.mark.slow
def test_a_full_disk_of_a_history_in_sqlite_is_said_and_loses_nothing(tmp_path):
    verdict = full_disk(tmp_path / "disk", 3, "sqlite:///history.sqlite", None, rate=200)
    assert verdict.is_good, verdict
    assert verdict.figures["said"] != "''"


def test_what_nobody_expects_is_stored_or_refused_and_stops_nothing(rig):
    verdict = odd(rig)
    assert verdict.is_good, verdict
    assert verdict.figures["not_stored"] == []
    assert verdict.figures["runs"]


def test_a_flood_of_long_texts_does_not_fill_the_memory(tmp_path):
    result = flood.flood(tmp_path, seconds=4, senders=1)
    assert result.sent
    assert result.answers
    assert result.peak_mb <= flood.MOST_MB
