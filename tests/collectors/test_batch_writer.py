"""The HistoryWriter on PostgreSQL: quick, patient, and never in the way."""

import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from collectors import batch_writer
from collectors.history_writer import HistoryWriter
from jph.kept_files import KeptFiles
from jph.node.process import STATE
from jph.stores.address import Sql
from jph.stores.spool import spool_of
from tests.helpers import eventually
from tests.small_disk import Tmpfs, small_disk

SENDER = ("127.0.0.1", 7602)
START = time.time_ns() // 1_000_000 - 86_400_000


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


def readings(n, first=0, codifier="C1"):
    return [(codifier, START + first + i, first + i, float(i), "f", 4, SENDER) for i in range(n)]


@pytest.fixture
def channel():
    return FakeChannel()


@pytest.fixture
def stored(postgres_server, postgres_database):
    """Return what counts the stored readings, 0 where there is no table yet."""

    def count():
        there = "SELECT to_regclass('measurement') IS NOT NULL"
        if not postgres_server.execute(there, postgres_database)[0][0]:
            return 0
        return postgres_server.execute("SELECT count(*) FROM measurement", postgres_database)[0][0]

    return count


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(batch_writer, "FIRST_RETRY_S", 0.1)
    monkeypatch.setattr(batch_writer, "LAST_RETRY_S", 0.3)


@pytest.fixture
def writer(channel, tmp_path, postgres_url):
    with closing(HistoryWriter(channel, tmp_path, url=postgres_url, batch_s=0.3)) as made:
        made.on_batch(readings(1))
        eventually(lambda: not made.status()["waiting"])
        yield made


def test_a_reading_is_stored_though_no_other_comes(writer, stored):
    for n in range(1, 4):
        writer.on_batch(readings(1, first=n))
        eventually(lambda n=n: stored() == n + 1)


def test_an_sql_block_names_the_database(
    channel, tmp_path, postgres_server, postgres_database, stored
):
    postgres_server.create_role("block", "secret")
    postgres_server.execute(f"ALTER DATABASE {postgres_database} OWNER TO block")
    (tmp_path / "password").write_text("secret\n")
    block = Sql(
        postgres_database, "block", tmp_path / "password", "127.0.0.1", postgres_server.port
    )
    with closing(HistoryWriter(channel, tmp_path, sql=block)) as writer:
        writer.on_batch(readings(3))
        eventually(lambda: stored() == 3)
        assert not list(tmp_path.glob("*.sqlite"))
    # The server ends a session, and drops its temporary tables, after the client has left.
    here = "SELECT 1 FROM pg_stat_activity WHERE usename = 'block'"
    eventually(lambda: not postgres_server.execute(here))
    postgres_server.execute("REASSIGN OWNED BY block TO jph", postgres_database)
    postgres_server.execute(f"ALTER DATABASE {postgres_database} OWNER TO jph")
    postgres_server.execute("DROP ROLE block")


def test_a_server_that_does_not_answer_holds_up_nothing_and_is_said(
    writer, channel, postgres_server, stored, tmp_path
):
    with postgres_server.frozen():
        writer.on_batch(readings(10, first=1))
        eventually(lambda: writer.status().get("spooled", 0) >= 10)
        eventually(lambda: writer.status()["waiting"] == 0)
        eventually(lambda: "has not answered" in writer.status().get("fault", ""))
        writer.on_batch(readings(10, first=11))
        eventually(lambda: writer.status()["spooled"] >= 20)
        assert writer.on_timer(START, "", 0.0) == STATE.WITHERRORS
    eventually(lambda: stored() == 21)
    eventually(lambda: not writer.status().get("spooled"))
    assert "fault" not in channel.sent[-1]


def test_a_stop_while_the_server_does_not_answer_is_quick_and_keeps_all(
    channel, tmp_path, postgres_server, postgres_url, stored
):
    writer = HistoryWriter(channel, tmp_path, url=postgres_url)
    writer.on_batch(readings(1))
    eventually(lambda: stored() == 1)
    eventually(lambda: not writer.status()["waiting"] and not writer.status().get("spooled"))
    with postgres_server.frozen():
        writer.on_batch(readings(10, first=1))
        eventually(lambda: writer._writing._offer)
        writer.on_batch(readings(10, first=11))
        began_s = time.monotonic()
        writer.close()
        assert time.monotonic() - began_s < 8  # it gives up after 3.5 s
        with closing(spool_of("HW", tmp_path)) as spool:
            assert len({row[2] for row in spool.oldest(100)[0]}) == 20
    writer._writing._writer.join(10)


def test_new_readings_do_not_wait_for_those_of_the_spool(
    channel, tmp_path, postgres_url, stored, monkeypatch
):
    monkeypatch.setattr(batch_writer, "FROM_SPOOL", 200)
    with closing(spool_of("HW", tmp_path)) as spool:
        for n in range(300):
            spool.add([(START + n, "S1", n * 100 + i, 1.0, None) for i in range(100)])
    with closing(HistoryWriter(channel, tmp_path, url=postgres_url, batch_rows=1)) as writer:
        eventually(lambda: stored() > 200)
        for n in range(3):
            writer.on_batch(readings(1, first=n))
            eventually(lambda: not writer.status()["waiting"])
        assert writer.status()["spooled"] > 10_000
        eventually(lambda: stored() == 30_003, 60)
        eventually(lambda: not writer.status().get("spooled"))


def test_a_history_in_a_file_on_another_disk_that_is_full_goes_over_the_spool(channel, tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        url = f"sqlite:///{disk.folder}/history.sqlite"
        home = tmp_path / "home"
        if isinstance(disk, Tmpfs):  # the other kind of limit would hold for the spool too
            with closing(HistoryWriter(channel, home, url=url, batch_s=0.1)) as writer:
                writer.on_batch(readings(10))
                eventually(lambda: not writer.status()["waiting"])
                disk.fill()
                for n in range(1, 60):
                    writer.on_batch(readings(200, first=n * 200))
                eventually(lambda: writer.status().get("spooled", 0) > 5000)
                assert "free some space" in writer.status()["fault"]
                disk.free()
                eventually(lambda: not writer.status().get("spooled"), 20)
                eventually(lambda: not writer.status()["waiting"])
                assert writer.status()["dropped"] == 0


def test_a_spool_that_is_full_counts_what_it_drops(
    channel, tmp_path, postgres_server, postgres_url
):
    settings = {"url": postgres_url, "spool_bytes": 65536, "batch_s": 0.05}
    with closing(HistoryWriter(channel, tmp_path, **settings)) as writer:
        postgres_server.stop()
        sent = 0
        while not writer.status()["dropped"]:
            writer.on_batch(readings(500, first=sent))
            sent += 500
            assert sent < 1_000_000
            time.sleep(0.02)
        eventually(lambda: not writer.status()["waiting"])
        status = writer.status()
        assert status["dropped"] + status["spooled"] >= sent
        postgres_server.start()
