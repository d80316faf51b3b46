import pytest

from jph.config.silence import timeout_s
from jph.config.status import Heard, status
from tests.web.bus import component

SENSOR = component("A1", sensor_interval_s=5.0)
CACHE = component("C1", type="StateCache", sensor_interval_s=None, keep_alive_interval_s=20.0)


def test_nothing_heard_is_never_seen():
    assert status(SENSOR, Heard(), 100.0) == "unseen"


@pytest.mark.parametrize(
    ("given", "expected_s"),
    [
        ({"sensor_interval_s": 1.0}, 10.0),
        ({"sensor_interval_s": 60.0}, 180.0),
        ({"sensor_interval_s": 60.0, "timeout_warning_s": 30.0}, 30.0),
        ({"sensor_interval_s": None, "keep_alive_interval_s": 60.0}, 180.0),
        ({"type": "Web", "sensor_interval_s": 1.0, "keep_alive_interval_s": 60.0}, 180.0),
    ],
)
def test_the_timeout_follows_the_intervals_unless_it_is_configured(given, expected_s):
    assert timeout_s(component("A1", **given)) == expected_s


def test_a_sensor_is_silent_when_its_last_reading_is_too_old():
    heard = Heard(data_s=100.0, control_s=114.0, since_s=50.0)
    assert status(SENSOR, heard, 115.0) == "active"
    assert status(SENSOR, heard, 115.1) == "silent"


def test_a_sensor_whose_process_gives_signs_of_life_without_readings_is_failing():
    heard = Heard(data_s=100.0, control_s=115.0, since_s=50.0)
    assert status(SENSOR, heard, 115.1) == "silent"  # that sign was before a reading was due
    heard.control_s = 120.0
    assert status(SENSOR, heard, 120.0) == "failing"
    assert status(SENSOR, heard, 300.0) == "failing"
    assert status(SENSOR, heard, 300.1) == "silent"  # three keep-alives are missing, too
    heard.data_s = 300.0
    assert status(SENSOR, heard, 300.1) == "active"


def test_its_own_process_knows_at_once_that_a_sensor_is_failing():
    heard = Heard(data_s=100.0, control_s=100.0, since_s=50.0)
    assert status(SENSOR, heard, 101.0, is_failing=True) == "failing"
    heard.is_active = False
    assert status(SENSOR, heard, 101.0, is_failing=True) == "halted"


def test_a_proxy_is_failing_with_the_one_that_serves_it():
    proxy = component("A2", type="Proxy", timeout_warning_s=15.0)
    server_heard = Heard(data_s=120.0, control_s=120.0, since_s=10.0)
    heard = Heard(data_s=100.0, since_s=10.0)
    assert status(proxy, heard, 120.0, SENSOR, server_heard) == "failing"


def test_a_sensor_that_never_sent_a_reading_becomes_silent_after_its_first_sign():
    heard = Heard(control_s=100.0, since_s=100.0)
    assert status(SENSOR, heard, 110.0) == "active"
    assert status(SENSOR, heard, 116.0) == "silent"


def test_a_component_without_readings_is_silent_when_it_missed_three_keep_alives():
    heard = Heard(control_s=100.0, since_s=10.0)
    assert status(CACHE, heard, 160.0) == "active"
    assert status(CACHE, heard, 161.0) == "silent"


@pytest.mark.parametrize("type", ["StateCache", "Web"])
def test_a_service_without_readings_goes_by_its_keep_alives_whatever_its_interval(type):
    service = component("C1", type=type, sensor_interval_s=10.0, keep_alive_interval_s=60.0)
    heard = Heard(control_s=100.0, since_s=10.0)
    assert status(service, heard, 280.0) == "active"
    assert status(service, heard, 281.0) == "silent"


def test_a_service_that_sends_data_at_no_known_interval_goes_by_its_keep_alives():
    heard = Heard(data_s=10.0, control_s=100.0, since_s=10.0)
    assert status(CACHE, heard, 150.0) == "active"


def test_halted_is_said_for_as_long_as_its_keep_alives_come():
    heard = Heard(data_s=10.0, control_s=100.0, since_s=10.0, is_active=False)
    assert status(SENSOR, heard, 250.0) == "halted"
    assert status(SENSOR, heard, 281.0) == "silent"


def test_a_component_that_was_just_started_has_time_for_its_first_reading():
    heard = Heard(data_s=10.0, control_s=100.0, since_s=100.0)
    assert status(SENSOR, heard, 110.0) == "active"


def test_a_proxy_goes_by_its_data_and_is_halted_with_its_server():
    proxy = component("A2", type="Proxy", sensor_interval_s=None)
    server_heard = Heard(data_s=100.0, control_s=100.0, since_s=10.0)
    heard = Heard(data_s=100.0, since_s=10.0)
    assert status(proxy, heard, 114.0, SENSOR, server_heard) == "active"
    assert status(proxy, heard, 116.0, SENSOR, server_heard) == "silent"
    server_heard.is_active = False
    assert status(proxy, heard, 116.0, SENSOR, server_heard) == "halted"
    assert status(proxy, Heard(), 116.0, SENSOR, server_heard) == "unseen"


def test_a_program_is_never_missed():
    program = component("CP", type="ControlProgram")
    heard = Heard(control_s=100.0, since_s=100.0)
    assert status(program, heard, 101.0) == "active"
    assert status(program, heard, 10_000.0) == "unseen"
