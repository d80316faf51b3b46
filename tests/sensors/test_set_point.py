"""A value that people set."""

import logging
import math
import shutil

import pytest

from jph.config import checks
from jph.errors import SensorError
from jph.node.building import build
from jph.node.node import Node
from jph.settings import arguments
from sensors.set_point import SetPoint
from tests.helpers import logged, naming, new_bus
from tests.jph.stores.kept import KeptStates
from tests.network import Peer, config_of, running
from tests.sensors.bus_stub import StubChannel


def test_it_begins_with_its_default(tmp_path):
    assert SetPoint("I1", tmp_path, 21.5).read() == {"I1": 21.5}
    assert not list(tmp_path.iterdir())  # nothing was set, so nothing is written


def test_it_is_set_and_stepped_and_kept(tmp_path):
    point = SetPoint("I1", tmp_path)
    point.command("A", 21.1)
    point.command("E", -0.5)
    assert point.read() == {"I1": 20.6}
    assert SetPoint("I1", tmp_path, 5.0).read() == {"I1": 20.6}
    assert SetPoint("I2", tmp_path, 5.0).read() == {"I2": 5.0}


@pytest.mark.parametrize("codifier", ["/.", "..", "a?", "A1"])
def test_every_codifier_has_a_file_of_its_own(tmp_path, codifier):
    SetPoint(codifier, tmp_path).command("A", 3.0)
    assert SetPoint(codifier, tmp_path).read() == {codifier: 3.0}
    assert [file.name for file in (tmp_path / "set-points").iterdir()] == [codifier.encode().hex()]


@pytest.mark.parametrize("number", [4.9, 28.1, math.inf, -math.inf, math.nan])
def test_a_value_outside_of_the_range_is_refused(tmp_path, number):
    point = SetPoint("I1", tmp_path, 20.0, 5.0, 28.0)
    with pytest.raises(SensorError, match=r"5 to 28|no number"):
        point.command("A", number)
    assert point.read() == {"I1": 20.0}


@pytest.mark.parametrize(
    ("low", "high", "words"), [(5.0, None, "5 or more"), (None, 3.0, "3 or less")]
)
def test_a_range_may_have_one_end(tmp_path, low, high, words):
    point = SetPoint("I1", tmp_path, low or 0.0, low, high)
    with pytest.raises(SensorError, match=words):
        point.command("A", 4.0)


def test_a_step_ends_at_the_limit(tmp_path):
    point = SetPoint("I1", tmp_path, 20.0, 5.0, 28.0)
    point.command("E", 100.0)
    assert point.read() == {"I1": 28.0}
    point.command("E", -1000.0)
    assert point.read() == {"I1": 5.0}


@pytest.mark.parametrize("number", [1.7e308, math.inf, math.nan])
def test_a_step_to_no_number_is_refused(tmp_path, number):
    point = SetPoint("I1", tmp_path)
    point.command("A", 1.7e308)
    with pytest.raises(SensorError, match=naming("1.7e+308")):
        point.command("E", number)
    assert SetPoint("I1", tmp_path).read() == point.read() == {"I1": 1.7e308}


def test_a_kept_value_moves_into_a_narrower_range(tmp_path):
    SetPoint("I1", tmp_path).command("A", 100.0)
    assert SetPoint("I1", tmp_path, maximum=28.0).read() == {"I1": 28.0}


def test_what_was_set_is_kept_though_it_was_in_force_already(tmp_path):
    SetPoint("I1", tmp_path, 21.0).command("A", 21.0)
    assert SetPoint("I1", tmp_path, 18.0).read() == {"I1": 21.0}
    SetPoint("I2", tmp_path).command("A", 100.0)
    SetPoint("I2", tmp_path, maximum=28.0).command("A", 28.0)
    assert SetPoint("I2", tmp_path).read() == {"I2": 28.0}


def test_a_value_that_is_in_the_file_is_not_written_again(tmp_path):
    SetPoint("I1", tmp_path).command("A", 3.0)
    (file,) = (tmp_path / "set-points").iterdir()
    before = file.stat()
    SetPoint("I1", tmp_path).command("A", 3.0)
    assert file.stat() == before


def test_a_file_that_is_deleted_while_it_runs_is_written_again(tmp_path):
    point = SetPoint("I1", tmp_path)
    point.command("A", 3.0)
    shutil.rmtree(tmp_path / "set-points")
    point.read()
    assert SetPoint("I1", tmp_path).read() == {"I1": 3.0}


def test_a_default_outside_of_the_range_is_a_mistake(tmp_path):
    with pytest.raises(ValueError, match=naming("Default", "20", "21 to 28")):
        SetPoint("I1", tmp_path, 20.0, 21.0, 28.0)


@pytest.mark.parametrize(
    ("settings", "mistakes"),
    [
        ({"Default": 21, "Min": "5", "Max": 28}, []),
        ({"Max": 28, "Min": None}, []),
        ({"Min": 5}, ["Default: 0 must be 5 or more"]),
        ({"Default": "30", "Max": "28"}, ["Default: 30 must be 28 or less"]),
        ({"Min": 5, "Max": 3}, ["Min: must not be greater than Max"]),
    ],
)
def test_a_range_that_is_wrong_is_named_before_anything_starts(settings, mistakes):
    point = {"Codifier": "I1", "Type": "SetPoint", "SensorInterval": 5, "Sensor": settings}
    found, _ = checks.check(new_bus().document(point))
    assert found == [f"Sensors[0].Sensor.{line}" for line in mistakes]


@pytest.mark.parametrize("content", [b"", b"warm\n", b"nan\n", b"\xff\xfe", b"1" * 10_000])
def test_a_damaged_file_gives_the_default_and_is_said(tmp_path, caplog, content):
    SetPoint("I1", tmp_path).command("A", 3.0)
    (tmp_path / "set-points" / b"I1".hex()).write_bytes(content)
    assert SetPoint("I1", tmp_path, 21.5).read() == {"I1": 21.5}
    assert (
        logged(caplog, "I1", "Default", "21.5", level=logging.WARNING) == len(caplog.records) == 1
    )


def test_a_disk_that_cannot_be_written_is_said_once_and_the_value_is_in_force(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "set-points").write_text("a file where a folder should be")
    point = SetPoint("I1", tmp_path)
    for number in (1.0, 2.0, 3.0):
        point.command("A", number)
    assert point.read() == {"I1": 3.0}
    assert logged(caplog, "I1", "restart") == 1
    (tmp_path / "set-points").unlink()
    assert point.read() == {"I1": 3.0}
    assert logged(caplog, "I1", "again") == 1
    assert SetPoint("I1", tmp_path).read() == {"I1": 3.0}


CACHE = {"Codifier": "R1", "Type": "jphRedis"}
OLDER = {"Codifier": "I1", "Type": "controlSensor"}


def begun_with(tmp_path, url, **settings):
    """Return the older type on a network whose state store has this URL."""
    cache = {**CACHE, "Sensor": {"URL": url}}
    channel = StubChannel(tmp_path, {**OLDER, "Sensor": settings}, cache)
    given = arguments(SetPoint, channel.component.settings, "")
    return SetPoint("I1", tmp_path, channel=channel, **given)


@pytest.mark.parametrize(("known", "taken"), [(23.5, 23.5), (99.0, 28.0), ({"value": 7.5}, 7.5)])
def test_the_older_type_begins_with_what_redis_knows(redis_server, tmp_path, known, taken):
    store = KeptStates(redis_server.url)
    store.on_readings([("I1", 1000, 1, known, "f", 4, ("", 0))], {})
    store.close()
    SetPoint("I1", tmp_path).command("A", 20.0)
    point = begun_with(tmp_path, redis_server.url, Default=18, Max=28)
    assert point.read() == {"I1": taken}
    point.command("E", -0.5)
    assert point.read() == {"I1": taken - 0.5}
    step = begun_with(tmp_path, redis_server.url, Max=28)
    step.command("E", -1.0)  # before the first reading
    assert step.read() == {"I1": taken - 1.0}


def test_then_with_its_own_file_and_then_with_its_default(redis_server, tmp_path, free_tcp_port):
    for url in (redis_server.url, f"redis://127.0.0.1:{free_tcp_port}", "memory:"):
        home = tmp_path / url.rpartition(":")[2].replace("/", "_")
        assert begun_with(home, url, Default=18).read() == {"I1": 18.0}
        SetPoint("I1", home).command("A", 20.0)
        assert begun_with(home, url, Default=18).read() == {"I1": 20.0}


def test_the_present_type_asks_nobody(redis_server, tmp_path):
    store = KeptStates(redis_server.url)
    store.on_readings([("I1", 1000, 1, 23.5, "f", 4, ("", 0))], {})
    store.close()
    channel = StubChannel(tmp_path, {"Codifier": "I1", "Type": "SetPoint"}, CACHE)
    given = arguments(SetPoint, channel.component.settings, "")
    assert SetPoint("I1", tmp_path, 18.0, channel=channel, **given).read() == {"I1": 18.0}


def test_on_the_bus_it_is_set_stepped_and_there_again_after_a_restart(tmp_path, caplog):
    config = config_of(
        {
            "Codifier": "I1",
            "Type": "controlSensor",
            "SensorInterval": 600,
            "Control": "enabled",
            "Report": {"DeadBand": 0},
            "Sensor": {"Default": 21.5, "Max": 30},
        }
    )

    def node():
        made = Node(config, tmp_path)
        made.add(config.components["I1"], build)
        return made

    def value(peer):
        return peer.hear("data", lambda m: m["flag"] == "f", 20)["value"]

    with Peer(config) as peer:
        with running(node()):
            assert value(peer) == 21.5
            peer.command("A", "I1", 25.0)
            assert value(peer) == 25.0
            peer.command("E", "I1", 0.5)
            assert value(peer) == 25.5
            peer.command("A", "I1", 31.0)
            assert value(peer) == 25.5  # whoever set it sees what is in force
        assert logged(caplog, "I1", "A 31", "30 or less", "25.5")
        with running(node()):
            assert value(peer) == 25.5
