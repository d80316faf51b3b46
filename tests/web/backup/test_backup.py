"""Tests of backup and restore: as files, as commands, and on the page."""

import gzip
import hashlib
import io
import json
import sqlite3
import stat
import subprocess
import sys
import tarfile
import threading
from contextlib import closing

import pytest
from click.testing import CliRunner

from jph.errors import StoreError
from jph.stores import open_history
from tests.helpers import new_bus
from tests.web.backup.archive import names, people
from tests.web.configuration.conftest import entry
from tools.backup import backup as backup_command
from tools.backup import restore as restore_command
from web.app import Application
from web.backup import content, restoring, writing
from web.people import tokens, users
from web.people.access import Role

PASSWORD = "correct horse"
NOT_ALONG = "web.key", "spool-H1.sqlite", "web.damaged-x.sqlite", ".part", "config.trial.json"


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(users, "ROUNDS", 4)


@pytest.fixture
def config(tmp_path):
    """Return the file of a configuration with a history in a file."""
    path = tmp_path / "network.json"
    writer = {
        "Codifier": "H1",
        "Type": "HistoryWriter",
        "Sensor": {"URL": "sqlite:///history.sqlite"},
    }
    path.write_text(json.dumps(new_bus().document(entry("A1"), writer)))
    return path


@pytest.fixture
def home(tmp_path):
    """Return a home directory with accounts, a token, a history and what does not belong along."""
    home = tmp_path / "home"
    with Application(home).app_context():
        users.set_password("anna", PASSWORD, Role.ADMIN)
        tokens.make("grafana", Role.VIEWER, "anna")
    (home / "alerts").mkdir()
    (home / "alerts" / "4131.json").write_text('{"rule": 1}')
    (home / "states.json").write_text("{}")
    for name in (
        "web.key",
        "spool-H1.sqlite",
        "web.damaged-x.sqlite",
        ".part",
        "config.trial.json",
    ):
        (home / name).write_bytes(b"not along")
    fill(home, range(100))
    return home


def row(number):
    return (1_700_000_000_000 + number * 1000, "A1", number + 1, float(number), None)


def fill(home, numbers):
    """Add readings to the history."""
    history = open_history("sqlite:///history.sqlite", home)
    history.append([row(number) for number in numbers])
    history.close()


def count(path):
    with closing(sqlite3.connect(path)) as database:
        (table,) = database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%codifier%sequence%'"
        ).fetchone()
        return database.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]


def write(home, config=b'{"Sensors": []}', history=None):
    out = io.BytesIO()
    writing.write(out, home, config, history)
    return out.getvalue()


def everything(folder):
    """Return the content of all files of a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def run(command, *arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


# Files


def test_all_but_the_history_and_what_belongs_to_this_machine_is_in_it(home):
    assert names(write(home)) == [
        "backup.json",
        "config.json",
        "home/alerts/4131.json",
        "home/states.json",
        "home/web.sqlite",
        "digests.json",
    ]
    assert "home/history.sqlite" in names(write(home, history=home / "history.sqlite"))


def test_sessions_are_not_in_it(home, tmp_path):
    from web.people import sessions

    with Application(home).app_context():
        token = sessions.begin("anna", users.stamp("anna"))
    with tarfile.open(fileobj=io.BytesIO(write(home))) as tar:
        copy = tar.extractfile("home/web.sqlite").read()
    assert hashlib.sha256(token.encode()).digest() not in copy
    (tmp_path / "copy.sqlite").write_bytes(copy)
    with closing(sqlite3.connect(tmp_path / "copy.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM session").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM token").fetchone() == (1,)


def test_a_history_that_is_written_meanwhile_is_one_of_one_moment(home, config, tmp_path):
    """A process of its own writes it while another one goes on to fill the history."""
    stop = threading.Event()

    def go_on():
        number = 100
        history = open_history("sqlite:///history.sqlite", home)
        while not stop.is_set():
            history.append([row(n) for n in range(number, number + 50)])
            number += 50
        history.close()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        for turn in range(4):
            command = [sys.executable, "-m", "web.backup", home, home / "history.sqlite"]
            ended = subprocess.run(command, input=b"{}", capture_output=True, timeout=60)
            assert ended.returncode == 0, ended.stderr
            with tarfile.open(fileobj=io.BytesIO(ended.stdout)) as tar:
                (tmp_path / f"{turn}.sqlite").write_bytes(
                    tar.extractfile("home/history.sqlite").read()
                )
    finally:
        stop.set()
        thread.join()
    found = []
    for turn in range(4):
        path = tmp_path / f"{turn}.sqlite"
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found.append(count(path))
    assert all(rows % 50 == 0 for rows in found), "no batch is there in part"
    assert found == sorted(found)
    assert found[-1] > 100
    assert count(home / "history.sqlite") >= found[-1]


def test_a_backup_is_restored_on_another_machine(home, config, tmp_path):
    other = tmp_path / "other"
    data = write(home, config.read_bytes(), home / "history.sqlite")
    with restoring.unpacked(io.BytesIO(data), other) as backup:
        restoring.apply(backup, other, other / "history.sqlite")
        assert backup.config == config.read_bytes()
    assert people(other) == [("anna", Role.ADMIN)]
    assert (other / "alerts" / "4131.json").read_text() == '{"rule": 1}'
    assert count(other / "history.sqlite") == 100
    assert [path.name for path in other.glob(".restore*")] == []


def changed(data, **files):
    """Return a backup with other files; None leaves one out, and all others fit their digests."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as old,
        gzip.open(out, "wb") as packed,
        tarfile.open(fileobj=packed, mode="w") as new,
    ):
        texts = {member.name: old.extractfile(member).read() for member in old}
        for name, text in files.items():
            texts[name] = text
        digests = json.loads(texts.pop("digests.json"))
        if "digests" not in files:
            digests = {n: hashlib.sha256(t).hexdigest() for n, t in texts.items() if t is not None}
        texts.pop("digests", None)
        texts["digests.json"] = json.dumps(digests).encode()
        for name, text in texts.items():
            if text is not None:
                info = tarfile.TarInfo(name)
                info.size = len(text)
                new.addfile(info, io.BytesIO(text))
    return out.getvalue()


with sqlite3.connect(":memory:") as newer:
    newer.execute("PRAGMA user_version = 1000")
    NEWER = newer.serialize()
newer.close()
MISTAKES = {
    "cut off": (lambda data: data[: len(data) // 2], "no complete backup"),
    "one byte less": (lambda data: data[:-1], "no complete backup"),
    "a bit flipped": (
        lambda data: data[:2000] + bytes([data[2000] ^ 1]) + data[2001:],
        "no complete backup",
    ),
    "no backup": (lambda data: b"hello" * 100, "no complete backup"),
    "empty": (lambda data: b"", "no complete backup"),
    "another tar": (lambda data: changed(data, **{"backup.json": None}), "no complete backup"),
    "a newer JPH": (lambda data: changed(data, **{"backup.json": b'{"format": 99}'}), "newer JPH"),
    "newer pages": (lambda data: changed(data, **{"home/web.sqlite": NEWER}), "newer JPH"),
    "damaged pages": (
        lambda data: changed(data, **{"home/web.sqlite": b"SQLite format 3\0" + b"x" * 5000}),
        "damaged",
    ),
    "a wrong configuration": (lambda data: changed(data, **{"config.json": b"{}"}), "mistakes"),
    "no JSON": (lambda data: changed(data, **{"config.json": b"{"}), "mistakes"),
    "a file changed": (
        lambda data: changed(data, **{"home/states.json": b"[]", "digests": b""}),
        "states.json is not what was written",
    ),
    "a file missing": (
        lambda data: changed(data, **{"home/states.json": None, "digests": b""}),
        "states.json is not what was written",
    ),
    **{
        f"the name {name!r}": (
            lambda data, name=name: changed(data, **{name: b"x"}),
            "which no backup has",
        )
        for name in ("home/../x", "/etc/x", "home//x", "home/web.key", "x", "home/./x", "home/a\nb")
    },
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_file_changes_nothing(home, config, mistake):
    spoil, reason = MISTAKES[mistake]
    data = spoil(write(home, config.read_bytes()))
    before = everything(home)
    with pytest.raises(StoreError, match=reason), restoring.unpacked(io.BytesIO(data), home):
        pass
    assert everything(home) == before


def test_a_small_file_that_becomes_a_huge_one_is_refused(home, config, monkeypatch):
    monkeypatch.setattr(restoring, "MOST", 1 << 20)
    data = changed(write(home, config.read_bytes()), **{"home/zeros": bytes(2 << 20)})
    assert len(data) < 1 << 20
    with (
        pytest.raises(StoreError, match="more than 1 MiB"),
        restoring.unpacked(io.BytesIO(data), home),
    ):
        pass


def test_a_link_in_a_backup_is_refused(home, tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo("home/x")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(StoreError), restoring.unpacked(io.BytesIO(out.getvalue()), tmp_path / "h"):
        pass


def test_every_name_that_is_written_is_taken_back(home):
    for name, path in content.files(home, home / "history.sqlite"):
        assert content.place_of(name, home) == path


# Commands


def test_the_commands_write_and_restore(home, config, tmp_path):
    file = tmp_path / "copy.jph"
    places = ("--home", home, "--config", config)
    result = run(backup_command, file, "--history", *places)
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = config.read_text()
    with Application(home).app_context():
        users.remove("anna")
        users.set_password("ben", PASSWORD, Role.VIEWER)
    config.write_text(before.replace('"A1"', '"A2"'))
    fill(home, range(100, 200))
    result = run(restore_command, file, *places)
    assert result.exit_code == 0, result.output
    assert people(home) == [("anna", Role.ADMIN)]
    assert config.read_text() == before
    assert count(home / "history.sqlite") == 100
    (aside,) = home.glob("history.before-restore-*.sqlite")
    assert count(aside) == 200
    (kept,) = home.glob("before-restore-*.jph")
    assert str(kept) in result.output
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    result = run(restore_command, kept, *places)
    assert result.exit_code == 0, result.output
    assert people(home) == [("ben", Role.VIEWER)], "what was there comes back the same way"
    assert '"A2"' in config.read_text()
    assert count(home / "history.sqlite") == 100


def test_a_fresh_machine_gets_all_of_it(home, config, tmp_path):
    file = tmp_path / "copy.jph"
    run(backup_command, file, "--history", "--home", home, "--config", config)
    new = tmp_path / "new"
    result = run(restore_command, file, "--home", new, "--config", new / "etc" / "network.json")
    assert result.exit_code == 0, result.output
    assert people(new) == [("anna", Role.ADMIN)]
    assert (new / "etc" / "network.json").read_bytes() == config.read_bytes()
    assert count(new / "history.sqlite") == 100


def test_a_history_in_use_is_left_alone_and_nothing_changes(home, config, tmp_path):
    file = tmp_path / "copy.jph"
    places = ("--home", home, "--config", config)
    run(backup_command, file, "--history", *places)
    with Application(home).app_context():
        users.set_password("ben", PASSWORD, Role.VIEWER)
    user = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
    user += "c.execute('BEGIN'); c.execute('SELECT count(*) FROM sqlite_master').fetchone(); "
    user += "print('ready', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", user, home / "history.sqlite"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        result = run(restore_command, file, *places)
        process.stdin.close()
    assert result.exit_code == 1
    assert "stop JPH" in result.output
    assert people(home) == [("anna", Role.ADMIN), ("ben", Role.VIEWER)]


@pytest.mark.parametrize("command", [backup_command, restore_command])
def test_a_mistake_is_one_clear_line(command, home, config, tmp_path):
    file = tmp_path / "copy.jph"
    file.write_bytes(b"x")
    result = run(command, file, "--home", home, "--config", config)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert file.read_bytes() == b"x"


def test_a_full_disk_leaves_no_half_backup(home, config, tmp_path):
    result = run(backup_command, "/dev/full", "--home", home, "--config", config)
    assert result.exit_code == 1
    folder = tmp_path / "none"
    result = run(backup_command, folder / "copy.jph", "--home", home, "--config", config)
    assert result.exit_code == 1
    assert not folder.exists()
