import copy
import itertools
import logging
import re
import shutil
import sqlite3
import threading
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from collectors import batch_writer
from collectors.history_writer import HistoryWriter
from jph.config.model import build
from jph.errors import ConfigError
from jph.kept_files import KeptFiles
from jph.node.building import build as build_component
from jph.node.node import Node
from jph.node.process import STATE
from jph.node.reload import Reloader
from jph.stores.address import waits_of
from jph.stores.journal import ON_DISK, decode
from jph.stores.spool import spool_of
from jph.stores.sqlite import file
from tests.helpers import eventually, logged
from tests.network import Peer, config_of, running
from tests.small_disk import small_disk

START = time.time_ns() // 1_000_000 - 86_400_000
SENDER = ("127.0.0.1", 7602)


class FakeChannel:
    codifier = "HW"

    def __init__(self):
        self.sent = []
        self.process = SimpleNamespace(
            kept_files=KeptFiles(Path("/nonexistent")),
            bus=SimpleNamespace(status=lambda: SimpleNamespace(holds=False)),
        )

    def send_data(self, value, timestamp_ms=None, codifier=None):
        self.sent.append(value)


def readings(n, codifier="C1", first=0):
    return [
        (codifier, START + (first + i) * 1000, first + i, float(i), "f", 4, SENDER)
        for i in range(n)
    ]


def rows_of(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT codifier, sequence, value FROM measurement").fetchall()


def stored(path):
    """Count the rows of a file that may not be there yet."""
    with suppress(sqlite3.OperationalError):
        return len(rows_of(path))
    return 0


def wait_for(condition, timeout_s=20.0):
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "nothing happened in time"
        time.sleep(0.005)


def tries(writer):
    """Return how often the store has refused since the present fault began."""
    return writer._writing.fault.count


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.sqlite"


@pytest.fixture
def channel():
    return FakeChannel()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(batch_writer, "FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(batch_writer, "LAST_RETRY_S", 0.05)
    monkeypatch.setattr(file, "BUSY_S", 0.02)


@contextmanager
def locked(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def test_a_full_batch_is_written_at_once(channel, tmp_path, path):
    with closing(HistoryWriter(channel, tmp_path, batch_rows=100, batch_s=3600)) as writer:
        writer.on_batch(readings(99))
        writer.on_batch(readings(1, first=99))
        wait_for(lambda: stored(path) == 100)


def test_the_oldest_reading_waits_no_longer_than_it_may_though_no_other_comes(
    channel, tmp_path, path
):
    with closing(HistoryWriter(channel, tmp_path, batch_rows=1000, batch_s=0.2)) as writer:
        began_s = time.monotonic()
        writer.on_batch(readings(3))
        wait_for(lambda: stored(path) == 3)
        assert time.monotonic() - began_s >= 0.2
        writer.on_batch(readings(3, first=3))
        wait_for(lambda: stored(path) == 6)


def test_the_last_batch_is_stored_when_it_closes(channel, tmp_path, path):
    writer = HistoryWriter(channel, tmp_path)
    writer.on_batch(readings(7))
    writer.on_batch([("ZZ", START, 1, "of no known Codifier", "s", 24, SENDER)])
    assert stored(path) == 0
    writer.close()
    assert len(rows_of(path)) == 8
    assert not path.with_name("history.sqlite-wal").exists()


def test_more_than_one_transaction_of_readings_is_stored_when_it_closes(channel, tmp_path, path):
    writer = HistoryWriter(channel, tmp_path, batch_rows=1 << 30)
    writer.on_batch(readings(25_000))
    writer.close()
    assert len(rows_of(path)) == 25_000


def on_disk(home):
    """Return how many readings the journal on the disk has."""
    files = (home / "journal").glob(f"*{ON_DISK}")
    return sum(len(decode(path.read_bytes(), packed=True)[0]) for path in files)


def test_what_waits_for_a_large_batch_outlives_a_power_cut_after_batch_time(
    channel, tmp_path, path
):
    """The home of a writer that goes on is copied, as a power cut would leave it."""
    home, rest = tmp_path / "home", tmp_path / "rest"
    with closing(HistoryWriter(channel, home, batch_s=0.2, store_s=3600)) as writer:
        assert writer.status()["power_cut_s"] == 0.2
        writer.on_batch(readings(3))
        first = eventually(lambda: on_disk(home))
        writer.on_batch(readings(2, first=3))
        wait_for(lambda: on_disk(home) > first)
        assert stored(home / "history.sqlite") == 0
        shutil.copytree(home, rest)
        with closing(HistoryWriter(FakeChannel(), rest)) as after:
            wait_for(lambda: stored(rest / "history.sqlite") == 5 and not after.status()["waiting"])
            wait_for(lambda: not on_disk(rest))
    assert stored(home / "history.sqlite") == 5
    assert not (home / "journal").exists()


def test_the_journal_on_the_disk_forgets_what_the_history_has(channel, tmp_path, path):
    settings = {"batch_rows": 10, "batch_s": 0.05, "store_s": 3600}
    with closing(HistoryWriter(channel, tmp_path, **settings)) as writer:
        writer.on_batch(readings(9))
        wait_for(lambda: on_disk(tmp_path))
        writer.on_batch(readings(1, first=9))
        wait_for(lambda: stored(path) == 10 and not on_disk(tmp_path))
        writer.on_batch(readings(1, first=10))
        wait_for(lambda: on_disk(tmp_path) == 1)


def test_a_history_is_written_sooner_while_the_journal_on_the_disk_cannot_be(
    channel, tmp_path, path, caplog
):
    (tmp_path / "journal").mkdir(mode=0o700)
    with closing(HistoryWriter(channel, tmp_path, batch_s=0.2, store_s=3600)) as writer:
        (tmp_path / "journal").rmdir()
        (tmp_path / "journal").touch()
        writer.on_batch(readings(3))
        wait_for(lambda: stored(path) == 3)
        assert "no journal" in writer.status()["fault"]
    assert logged(caplog, "journal", "power cut") == 1


@pytest.mark.parametrize(
    ("url", "settings", "waits"),
    [
        ("sqlite:///a", {}, (60, 1200)),
        ("sqlite:///a", {"batch_s": 5.0}, (5, 5)),
        ("sqlite:///a", {"batch_s": 5.0, "store_s": 90.0}, (5, 90)),
        ("sqlite:///a", {"store_s": 30.0}, (30, 30)),
        ("postgresql://a@b/c", {}, (2, 2)),
        ("postgresql://a@b/c", {"batch_s": 5.0, "store_s": 90.0}, (5, 5)),
    ],
)
def test_batch_time_is_that_of_the_history_unless_store_time_says_otherwise(url, settings, waits):
    found = waits_of(url, settings.get("batch_s"), settings.get("store_s"))
    assert (found.batch_s, found.store_s) == waits


def test_a_reading_that_comes_twice_is_stored_once(channel, tmp_path, path):
    with closing(HistoryWriter(channel, tmp_path)) as writer:
        writer.on_batch(readings(5) + readings(5))
    assert len(rows_of(path)) == 5


def test_numbers_that_are_not_finite_are_counted_and_said_once(channel, tmp_path, path, caplog):
    with closing(HistoryWriter(channel, tmp_path)) as writer:
        for n in range(3):
            writer.on_batch([("C1", START, n, float("nan"), "f", 4, SENDER), *readings(1, first=9)])
        assert writer.status()["refused"] == 3
    assert rows_of(path) == [("C1", 9, 0.0)]
    assert [r.levelname for r in caplog.records] == ["WARNING"]


def test_it_publishes_readings_taken_per_minute_whether_they_are_stored_yet_or_not(
    channel, tmp_path, path
):
    with closing(HistoryWriter(channel, tmp_path, batch_rows=10)) as writer:
        writer.on_batch(readings(10))
        wait_for(lambda: stored(path) == 10 and not writer.status()["waiting"])
        writer.on_batch(readings(4, first=10))
        writer._writing.rate._since_s = time.monotonic() - 60
        assert writer.on_timer(START, "", 0.0) == STATE.GOOD
    assert channel.sent == [
        {"value": pytest.approx(14, abs=0.2), "waiting": 4, "dropped": 0, "power_cut_s": 60}
    ]


def test_a_store_that_refuses_is_said_once_and_what_waited_is_stored_after(
    channel, tmp_path, path, caplog
):
    with closing(HistoryWriter(channel, tmp_path, batch_rows=10)) as writer:
        with locked(path):
            writer.on_batch(readings(10))
            wait_for(lambda: tries(writer) > 3)
            writer.on_batch(readings(10, first=10))
            assert writer.on_timer(START, "", 0.0) == STATE.WITHERRORS
            assert channel.sent[0]["waiting"] == 10  # sent when the fault began
            assert "locked" in channel.sent[0]["fault"]
            assert len(channel.sent) == 2
        wait_for(lambda: stored(path) == 20)
        wait_for(lambda: len(channel.sent) == 3)
        assert {**channel.sent[-1], "value": 0} == {
            "value": 0,
            "waiting": 0,
            "dropped": 0,
            "power_cut_s": 60,
        }
        assert writer.on_timer(START, "", 0.0) == STATE.GOOD
    began, ended = caplog.records
    assert began.levelno == logging.ERROR
    assert "locked" in began.getMessage()
    assert ended.levelno == logging.WARNING
    assert "0 readings" in ended.getMessage()


def test_what_waits_is_bounded_and_the_oldest_go(channel, tmp_path, path, monkeypatch, caplog):
    monkeypatch.setattr(batch_writer, "MOST_BYTES", 50 * batch_writer.ROW_BYTES)
    with closing(HistoryWriter(channel, tmp_path, batch_rows=10)) as writer:
        with locked(path):
            for n in range(8):
                writer.on_batch(readings(10, first=n * 10))
            wait_for(lambda: writer.status()["dropped"] == 30 and tries(writer) > 2)
            assert writer.status()["waiting"] == 50
        wait_for(lambda: stored(path) == 50)
    assert sorted(sequence for _, sequence, _ in rows_of(path)) == list(range(30, 80))
    assert len(caplog.records) == 3
    assert logged(caplog, "oldest", "dropped") == 1
    assert "30 readings" in caplog.records[-1].getMessage()


def test_callbacks_do_not_wait_for_the_store(channel, tmp_path, path, monkeypatch):
    monkeypatch.setattr(file, "BUSY_S", 10.0)
    with closing(HistoryWriter(channel, tmp_path, batch_rows=1)) as writer, locked(path):
        writer.on_batch(readings(1))
        wait_for(lambda: writer._writing._offer)
        for n in range(1, 100):
            writer.on_batch(readings(1, first=n))
            writer.on_timer(START, "", 0.0)
        assert writer._writing._offer  # it still waits for the file
    assert len(rows_of(path)) == 100


def test_what_a_stop_during_a_fault_leaves_is_stored_by_the_next_start(
    channel, tmp_path, path, caplog
):
    writer = HistoryWriter(channel, tmp_path, batch_rows=1)
    with locked(path):
        writer.on_batch(readings(3))
        wait_for(lambda: tries(writer))
        writer.close()
    assert logged(caplog, "3 readings", "spool")
    assert stored(path) == 0
    with closing(spool_of("HW", tmp_path)) as spool:
        assert spool.readings == 3
    with closing(HistoryWriter(channel, tmp_path)) as writer:
        wait_for(lambda: stored(path) == 3 and not writer.status().get("spooled"))


def test_a_stop_that_can_keep_readings_nowhere_says_how_many_are_lost(
    channel, tmp_path, path, caplog
):
    (tmp_path / "home").touch()
    writer = HistoryWriter(channel, tmp_path / "home", batch_rows=1, url=f"sqlite:///{path}")
    with locked(path):
        writer.on_batch(readings(3))
        wait_for(lambda: tries(writer))
        writer.close()
    assert logged(caplog, "3 readings", level=logging.ERROR)


def test_a_full_disk_is_said_and_storing_goes_on_when_there_is_space(channel, tmp_path, caplog):
    with small_disk(tmp_path / "disk") as disk:
        path = disk.folder / "history.sqlite"
        with closing(HistoryWriter(channel, disk.folder, batch_rows=100)) as writer:
            writer.on_batch(readings(100))
            wait_for(lambda: stored(path) == 100)
            disk.fill()
            for n in range(1, 40):
                writer.on_batch(readings(100, first=n * 100))
            wait_for(lambda: tries(writer) > 3)
            assert re.search("free (some )?space", channel.sent[0]["fault"])
            disk.free()
            wait_for(lambda: not writer.status()["waiting"])
        numbers = [sequence for _, sequence, _ in rows_of(path)]
    assert sorted(numbers) == list(range(4000))
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_reload_with_a_new_url_loses_nothing(tmp_path):
    entry = {"Codifier": "HW", "Type": "HistoryWriter", "Sensor": {"URL": "sqlite:///old.sqlite"}}
    config = config_of(entry)
    document = copy.deepcopy(dict(config.document))
    node = Node(config, tmp_path)
    node.add(config.components["HW"], build_component)
    Reloader(node, lambda: build(document, "test"))
    document["Sensors"][0]["Sensor"]["URL"] = "sqlite:///new.sqlite"
    old, new = tmp_path / "old.sqlite", tmp_path / "new.sqlite"
    sent = itertools.count(1)

    def publish(peer):
        for number in itertools.islice(sent, 20):
            peer.publish("C1", "i", number.to_bytes(4, "little"), number, START + number)

    with Peer(config) as peer, running(node):
        peer.hear("control", lambda m: m["flag"] == "N")
        publish(peer)
        eventually(lambda: "C1" in node.bus.data.receiver.sources)
        peer.command("C")
        began = []
        while not began or len(began) < 5:  # until it began again, and for a while after that
            publish(peer)
            if began or not peer.quiet("control", lambda m: m["flag"] == "N", 0.02):
                began.append(1)
    numbers = sorted(value for path in (old, new) for _, _, value in rows_of(path))
    assert stored(new) > 0
    assert numbers == list(range(1, next(sent)))


@pytest.mark.parametrize("url", ["oracle://here", "postgresql://a:b@c/d"])
def test_a_url_that_names_no_store_is_a_mistake_at_the_start(channel, tmp_path, url):
    threads = threading.active_count()
    with pytest.raises(ConfigError):
        HistoryWriter(channel, tmp_path, url=url)
    assert threading.active_count() == threads


def test_a_store_that_only_a_person_can_mend_is_a_fault_and_readings_wait_in_the_spool(
    channel, tmp_path, path
):
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE invoices (id)")
    with closing(HistoryWriter(channel, tmp_path, batch_rows=1, batch_s=0.2)) as writer:
        writer.on_batch(readings(3))
        wait_for(lambda: writer.status().get("spooled") == 3)
        assert "another program" in writer.status()["fault"]
        path.rename(path.with_name("invoices.sqlite"))
        wait_for(lambda: stored(path) == 3 and "fault" not in writer.status())


def test_readings_of_an_absurd_time_are_told_and_not_stored_among_the_others(
    channel, tmp_path, path
):
    with closing(HistoryWriter(channel, tmp_path, batch_rows=1)) as writer:
        writer.on_batch([("C1", 946_684_800_000, 1, 1.0, "f", 4, SENDER), *readings(3)])
        wait_for(lambda: writer.status().get("quarantined") == 1)
        assert stored(path) == 3


def test_a_damaged_spool_is_told_until_it_is_repaired(channel, tmp_path):
    (tmp_path / "spool-HW.sqlite").write_bytes(b"damage" * 1000)
    with closing(HistoryWriter(channel, tmp_path, batch_rows=1)) as writer:
        (aside,) = tmp_path.glob("spool-HW.damaged-*.sqlite")
        assert writer.status()["damaged"] == aside.name


def test_a_damaged_history_is_told_until_it_is_repaired(channel, tmp_path, path):
    path.write_bytes(b"damage" * 1000)
    with closing(HistoryWriter(channel, tmp_path, batch_rows=1)) as writer:
        writer.on_batch(readings(3))
        wait_for(lambda: stored(path) == 3)
        (aside,) = tmp_path.glob("history.damaged-*.sqlite")
        assert writer.status()["damaged"] == aside.name
        aside.unlink()
        assert "damaged" not in writer.status()


def test_a_mistake_of_its_own_is_not_hidden(channel, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    writer = HistoryWriter(channel, tmp_path, batch_rows=1)
    writer.on_batch([("C1", 1 << 63, 1, 1.0, "f", 4, SENDER)])  # the wire lets no such time pass
    writer._writing._writer.join(10)
    with pytest.raises(RuntimeError, match="log"):
        writer.on_timer(START, "", 0.0)
    assert "OverflowError" in caplog.text
    writer.close()
