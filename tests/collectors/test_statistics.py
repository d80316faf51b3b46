import logging
import time
from contextlib import closing
from types import SimpleNamespace

import pytest

from collectors import retention, statistics
from collectors.retention import Keep, Retention
from collectors.statistics import Statistics
from jph import registry
from jph.clock import time_now_ms
from jph.config.checks import check
from jph.errors import ConfigError, StoreError
from jph.node.process import STATE
from jph.settings import arguments
from jph.stores import Dropped, open_history
from tests.helpers import eventually, logged, new_bus
from tests.jph.stores.histories import KINDS, history_url, statistics_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
URL = "sqlite:///history.sqlite"


class FakeChannel:
    codifier = "ST"
    is_active = True

    def __init__(self):
        self.sent = []

    def send_data(self, value, timestamp_ms=None, codifier=None):
        self.sent.append(value)


def config_with(settings=None):
    writer = SimpleNamespace(settings=settings or {}, index=0, type="HistoryWriter")
    return SimpleNamespace(
        first=lambda name: writer if name == "HistoryWriter" else None, components={"HW": writer}
    )


NO_WRITER = SimpleNamespace(first=lambda name: None, components={})


def hours_ago(hours, n=60):
    start_ms = (time_now_ms() // HOUR_MS - hours) * HOUR_MS
    return [(start_ms + 1 + i * 60_000, "C1", i, float(i), None) for i in range(n)]


@pytest.fixture(params=KINDS)
def store(request, tmp_path):
    url = history_url(request)
    with closing(open_history(url, tmp_path)) as opened:
        opened.url = url
        yield opened


@pytest.mark.parametrize("name", ["Statistics", "jphCalcHistory", "postgresCalcHandler"])
def test_the_type_and_its_older_names_are_this_class(name):
    assert registry.find(name) is Statistics


def test_it_computes_what_the_first_history_writer_stores(store, tmp_path):
    store.append(hours_ago(5))
    channel = FakeChannel()
    with closing(Statistics(channel, config_with({"URL": store.url}), tmp_path)) as component:
        eventually(lambda: len(statistics_of(store)) == 7)
        eventually(lambda: not store.statistics.due(time_now_ms()))
        assert component.on_timer(60_000, "", 0.0) == STATE.GOOD
    assert channel.sent[-1] > 0


def test_its_own_history_goes_before_that_of_the_writer(tmp_path):
    with closing(open_history("sqlite:///own.sqlite", tmp_path)) as store:
        store.append(hours_ago(5))
        component = Statistics(FakeChannel(), config_with(), tmp_path, "sqlite:///own.sqlite")
        with closing(component):
            eventually(lambda: len(statistics_of(store)) == 7)
    assert not (tmp_path / "history.sqlite").exists()


def test_without_a_history_it_is_a_mistake(tmp_path):
    with pytest.raises(ConfigError, match="no HistoryWriter"):
        Statistics(FakeChannel(), NO_WRITER, tmp_path)


def test_a_bucket_that_has_just_ended_is_left_until_its_writer_has_stored_all(
    tmp_path, monkeypatch
):
    """The hour before this one, seen 1,209 s and 1,210 s after its end."""
    with closing(open_history(URL, tmp_path)) as store:
        given = hours_ago(5)
        store.append(hours_ago(6))
        store.append(given)
        end_ms = given[0][0] - 1 + HOUR_MS
        now = [end_ms + 1_209_999]
        monkeypatch.setattr(statistics, "time_now_ms", lambda: now[0])
        monkeypatch.setattr(statistics, "LOOK_S", 0.01)
        with closing(Statistics(FakeChannel(), config_with(), tmp_path)):
            eventually(lambda: len(statistics_of(store)) == 7)  # a file is written once an hour
            time.sleep(0.1)
            assert len(statistics_of(store)) == 7
            now[0] = end_ms + 1_210_000
            eventually(lambda: len(statistics_of(store)) == 14)


def test_a_halted_one_computes_nothing_until_it_is_started(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics, "LOOK_S", 0.01)
    channel = FakeChannel()
    channel.is_active = False
    with closing(open_history(URL, tmp_path)) as store:
        store.append(hours_ago(5))
        with closing(Statistics(channel, config_with(), tmp_path)) as component:
            component.on_timer(1, "", 0.0)
            assert statistics_of(store) == []
            channel.is_active = True
            eventually(lambda: len(statistics_of(store)) == 7)


def test_a_fault_is_published_with_its_end_and_logged_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(statistics, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(statistics, "LAST_RETRY_S", 0.01)
    folder = tmp_path / "away"
    channel = FakeChannel()
    folder.write_text("a file in the place of the folder")
    tries = []
    real = statistics.open_history

    def opening(url, home, password_file=None):
        store = real(url, tmp_path)
        return SimpleNamespace(close=store.close, statistics=Flaky(store.statistics, tries))

    monkeypatch.setattr(statistics, "open_history", opening)
    with caplog.at_level(logging.WARNING):
        component = Statistics(channel, config_with(), tmp_path)
        with closing(component):
            eventually(lambda: len(tries) > 4)
            assert {"value": 0.0, "fault": "the server is away"} in channel.sent
            assert component.on_timer(1, "", 0.0) == STATE.WITHERRORS
            tries.append("up")
            eventually(lambda: component.on_timer(2, "", 0.0) == STATE.GOOD)
    assert logged(caplog, level=logging.ERROR) == 1
    assert logged(caplog, "again")


class Flaky:
    """Statistics of a store that is away until the word is given."""

    def __init__(self, real, tries):
        self.real, self.tries = real, tries

    def compute(self, until_ms):
        if "up" not in self.tries:
            self.tries.append(until_ms)
            raise StoreError("the server is away")
        return self.real.compute(until_ms)


def test_catching_up_tells_its_progress(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(statistics, "PROGRESS_S", 0.0)
    with closing(open_history(URL, tmp_path)) as store:
        for hours in range(5, 300, 10):
            store.append(hours_ago(hours))
        with (
            caplog.at_level(logging.INFO),
            closing(Statistics(FakeChannel(), config_with(), tmp_path)),
        ):
            eventually(lambda: logged(caplog, " due"))
    assert logged(caplog, "180 of 180 buckets", "100 %")
    assert logged(caplog, "computed all 180 due buckets")


def test_a_stop_in_the_middle_of_catching_up_loses_nothing(tmp_path):
    with closing(open_history(URL, tmp_path)) as store:
        for hours in range(5, 2000, 10):
            store.append(hours_ago(hours))
        Statistics(FakeChannel(), config_with(), tmp_path).close()
        with closing(Statistics(FakeChannel(), config_with(), tmp_path)):
            eventually(lambda: not store.statistics.due(time_now_ms()))
        assert len(statistics_of(store)) == 200 * 7


def test_readings_that_are_too_old_go_after_they_were_computed(store, tmp_path, caplog):
    store.append(hours_ago(24 * 30))
    store.append(hours_ago(5))
    with caplog.at_level(logging.INFO):
        component = Statistics(
            FakeChannel(), config_with(), tmp_path, store.url, keep=Keep(raw_days=10)
        )
        with closing(component):
            eventually(lambda: logged(caplog, "dropped readings", "10 days"))
    assert len(store.last("C1", 1000)) == 60
    assert len(statistics_of(store)) == 14


# The rule of what goes


class FakeStore:
    """Days of readings and statistics, a megabyte each."""

    def __init__(self, days):
        self.oldest = dict.fromkeys((0, 10, 60), 0)
        self.days = days
        self.dropped = []

    def size_bytes(self):
        return sum(self.days - oldest for oldest in self.oldest.values()) * 1_000_000

    def drop_before(self, resolution, before_ms):
        if (self.oldest[resolution] + 1) * DAY_MS > before_ms:
            return None
        self.oldest[resolution] += 1
        self.dropped.append(resolution)
        return Dropped(resolution, self.oldest[resolution] * DAY_MS, 1_000_000)

    def drop_oldest(self, resolution, keep_ms):
        return self.drop_before(resolution, min(keep_ms, (self.oldest[resolution] + 1) * DAY_MS))


def test_nothing_is_dropped_unless_it_is_asked_for():
    store = FakeStore(100)
    Retention(Keep()).apply(store, 100 * DAY_MS)
    assert store.dropped == []


def test_each_resolution_has_an_age_of_its_own():
    store = FakeStore(100)
    Retention(Keep(raw_days=10, ten_minutes_days=50)).apply(store, 100 * DAY_MS)
    assert store.oldest == {0: 90, 10: 50, 60: 0}


@pytest.mark.parametrize(
    "ages, mistake",
    [
        ({"RawDays": 5, "10minDays": 4}, "10minDays: must not be less than RawDays, 5"),
        ({"10minDays": 4}, "10minDays: must not be less than RawDays, which is absent: for ever"),
        ({"RawDays": 5, "HourDays": 9}, "HourDays: must not be less than 10minDays, which is"),
        ({"RawDays": 1, "10minDays": 4, "HourDays": 3.5}, "HourDays: must not be less than 10min"),
    ],
)
def test_what_is_finer_cannot_be_kept_for_longer(ages, mistake):
    document = {"Codifier": "ST", "Type": "Statistics", "Sensor": {"Keep": ages}}
    found, _ = check(new_bus().document(document))
    assert len(found) == 1
    assert found[0].startswith(f"Sensors[0].Sensor.Keep.{mistake}")
    with pytest.raises(ConfigError, match="must not be less"):
        arguments(Statistics, {"Keep": ages}, "Sensors[0].Sensor")


def test_what_is_coarser_may_be_kept_for_longer():
    ages = {"RawDays": 5, "10minDays": 5}
    document = {"Codifier": "ST", "Type": "Statistics", "Sensor": {"Keep": ages}}
    assert check(new_bus().document(document)) == ([], [])
    assert Keep(raw_days=5, ten_minutes_days=5).hour_days is None


def test_by_size_readings_go_first_and_then_the_finer_statistics():
    store = FakeStore(100)
    Retention(Keep(most_mb=250)).apply(store, 100 * DAY_MS)
    assert store.oldest == {0: 50, 10: 0, 60: 0}
    Retention(Keep(most_mb=150)).apply(store, 100 * DAY_MS)
    assert store.oldest == {0: 99, 10: 51, 60: 0}


def test_the_last_day_stays_and_that_it_is_too_much_is_said_once(caplog):
    store = FakeStore(100)
    policy = Retention(Keep(most_mb=1))
    for _ in range(3):
        policy.apply(store, 100 * DAY_MS)
    assert store.oldest == {0: 99, 10: 99, 60: 99}
    assert logged(caplog, level=logging.WARNING) == len(caplog.records) == 1


def test_what_was_dropped_is_logged(caplog):
    with caplog.at_level(logging.INFO):
        Retention(Keep(raw_days=10)).apply(FakeStore(12), 12 * DAY_MS)
    assert logged(caplog, "readings", "1970-01-03 00:00 UTC", "10 days", "2.0 MB") == 1
    assert len(caplog.records) == 1
    assert retention._utc(1 << 60).endswith(" ms")
