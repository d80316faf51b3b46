"""`jph history repair`, on both stores."""

import random
from contextlib import closing

import pytest
from click.testing import CliRunner

from jph.stores import open_history
from jph.stores.spool import Spool
from tests.jph.stores.damages import DAMAGES
from tests.jph.stores.histories import KINDS, ask, statistics_of
from tools.history.command import history

START = 1_763_000_000_000
URL = "sqlite:///history.sqlite"


def curve(n, codifier="C1", first=0):
    return [(START + i * 1000, codifier, i, float(i), None) for i in range(first, first + n)]


def run(tmp_path, *arguments, status=0):
    options = ["repair", "--home", str(tmp_path), *map(str, arguments)]
    result = CliRunner().invoke(history, options)
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def aside(tmp_path):
    """Return a history that was damaged and put aside; a new one has begun."""
    with closing(open_history(URL, tmp_path)) as store:
        store.append(curve(5000))
        while store.statistics.compute(START + 40_000_000):
            pass
        before = statistics_of(store)
    DAMAGES["first page zeroed"](tmp_path / "history.sqlite")
    with closing(open_history(URL, tmp_path)) as store:
        store.append(curve(10, first=4995))
    (path,) = tmp_path.glob("history.damaged-*.sqlite")
    return path, before


def test_all_that_was_put_aside_is_taken_over_and_marked_as_done(aside, tmp_path):
    path, before = aside
    said = run(tmp_path, "--to", URL)
    assert "5,000 readings read, 4,995 of them were new" in said
    assert "1 of its" in said
    assert "100 %" in said
    with closing(open_history(URL, tmp_path)) as store:
        assert [row[2] for row in store.last("C1", 9999)] == list(range(5005))
        assert store.damaged() == []
        assert {row[:3] for row in before} <= {row[:3] for row in statistics_of(store)}
        while store.statistics.compute(START + 40_000_000):
            pass
        assert {row[:3] for row in before} <= {row[:3] for row in statistics_of(store)}
    assert not path.exists()
    (repaired,) = tmp_path.glob("history.repaired-*.sqlite")
    assert "no damaged file" in run(tmp_path, "--to", URL)
    assert "5,000 readings read, 0 of them were new" in run(tmp_path, "--to", URL, repaired)


@pytest.mark.parametrize("kind", KINDS)
def test_it_goes_into_either_store(aside, request, kind, tmp_path):
    url = "sqlite:///other.sqlite"
    if kind != "sqlite":
        url = request.getfixturevalue("postgres_url")
    with closing(open_history(url, tmp_path)) as store:
        store.append(curve(1, "C2"))  # makes the tables
    path, before = aside
    assert "5,000 readings read, 5,000 of them were new" in run(tmp_path, "--to", url, path)
    with closing(open_history(url, tmp_path)) as store:
        assert len(store.last("C1", 9999)) == 5000
        assert {row[:3] for row in before} <= {row[:3] for row in statistics_of(store)}


def test_statistics_whose_readings_were_dropped_come_back(tmp_path):
    hour_ms = 3_600_000
    with closing(open_history(URL, tmp_path)) as store:
        store.append(curve(20_000))
        while store.statistics.compute(START + 40_000_000):
            pass
        before = statistics_of(store)
        while store.statistics.drop_before(0, START + 3 * hour_ms):
            pass
        kept = len(store.last("C1", 99_999))
    assert 0 < kept < 20_000
    (tmp_path / "history.sqlite").rename(tmp_path / "history.damaged-1.sqlite")
    run(tmp_path, "--to", URL)
    with closing(open_history(URL, tmp_path)) as store:
        while store.statistics.compute(START + 40_000_000):
            pass
        assert [row[:3] for row in statistics_of(store)] == [row[:3] for row in before]
        assert len(store.last("C1", 99_999)) == kept


def test_readings_of_a_damaged_spool_are_taken_over(tmp_path):
    path = tmp_path / "spool-HW.sqlite"
    chance = random.Random(1)
    rows = [
        (START + i, "C1", i, chance.random(), "text" * (i % 7 == 0) or None) for i in range(5000)
    ]
    with closing(Spool(path)) as spool:
        for at in range(0, 5000, 500):
            spool.add(rows[at : at + 500])
    DAMAGES["first page zeroed"](path)
    with closing(Spool(path)) as spool:
        spool.add(rows[:1])
    assert "spool-HW.damaged-" in run(tmp_path, "--to", URL)
    with closing(open_history(URL, tmp_path)) as store:
        assert store.last("C1", 9999) == rows


def test_nothing_in_it_is_no_error(tmp_path):
    for name, damage in (("1", "all random"), ("2", "a text"), ("3", "a folder")):
        path = tmp_path / f"history.damaged-{name}.sqlite"
        path.write_bytes(bytes(100_000))
        DAMAGES[damage](path)
    said = run(tmp_path, "--to", URL)
    assert said.count("0 readings read") == 2
    assert "is a folder" in said


def test_a_failing_history_leaves_the_file_for_another_run(aside, tmp_path):
    path, _ = aside
    (tmp_path / "file").touch()
    assert "file" in run(tmp_path, "--to", "sqlite:///file/history.sqlite", path, status=1)
    assert path.exists()
    assert "the history itself" in run(tmp_path, "--to", URL, tmp_path / "history.sqlite", status=1)


def test_old_readings_are_not_put_into_quarantine(tmp_path):
    with closing(open_history(URL, tmp_path)) as store:
        store.append([(946_684_800_000, "C1", 1, 1.0, None)])
    (tmp_path / "history.sqlite").rename(tmp_path / "history.damaged-1.sqlite")
    run(tmp_path, "--to", URL)
    with closing(open_history(URL, tmp_path)) as store:
        assert ask(store, "SELECT count(*) FROM measurement") == [(1,)]
        assert store.quarantine.summary() == []
