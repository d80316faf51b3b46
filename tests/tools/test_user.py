import os
import sqlite3
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tools.user import user
from web.app import Application
from web.people import users

with sqlite3.connect(":memory:") as newer:
    newer.execute("PRAGMA user_version = 1000")
    NEWER = newer.serialize()
newer.close()


@pytest.fixture
def run(tmp_path):
    def run_(*arguments, typed=""):
        return CliRunner().invoke(user, [*arguments, "--home", str(tmp_path)], input=typed)

    return run_


@pytest.mark.slow
def test_an_account_is_made_changed_listed_and_removed(run, tmp_path):
    assert run("list").output == ""
    result = run("add", "anna", typed="correct horse\n")
    assert (result.exit_code, result.output) == (0, "anna can sign in\n")
    with Application(tmp_path).app_context():
        assert users.verify("anna", "correct horse")
    assert run("list").output == "anna\tadmin\n"
    assert run("password", "anna", typed="battery staple\n").exit_code == 0
    with Application(tmp_path).app_context():
        assert users.verify("anna", "correct horse") is None
        assert users.verify("anna", "battery staple")
    assert run("remove", "anna").exit_code == 0
    assert run("list").output == ""


def test_an_account_has_a_role(run):
    run("add", "anna", typed="correct horse\n")
    run("add", "ben", "--role", "viewer", typed="correct horse\n")
    assert run("role", "anna", "operator").output == "anna is operator now\n"
    assert run("list").output == "anna\toperator\nben\tviewer\n"
    run("password", "anna", typed="battery staple\n")
    assert "anna\toperator" in run("list").output
    assert "nobody" in run("role", "nobody", "admin").output


@pytest.mark.parametrize(
    ("arguments", "typed", "reason"),
    [
        (("add", "anna"), "short\n", "at least 8"),
        (("add", "anna"), "", "at least 8"),
        (("add", "x" * 65), "correct horse\n", "visible characters"),
        (("password", "nobody"), "correct horse\n", "nobody"),
        (("remove", "nobody"), "", "nobody"),
    ],
)
def test_a_mistake_is_one_clear_line(run, arguments, typed, reason):
    result = run(*arguments, typed=typed)
    assert result.exit_code == 1
    assert reason in result.output
    assert result.output.count("\n") == 1


def test_a_name_is_not_given_away_twice(run):
    run("add", "anna", typed="correct horse\n")
    result = run("add", "anna", typed="correct horse\n")
    assert result.exit_code == 1
    assert "exists" in result.output


def test_a_file_of_a_newer_version_is_one_clear_line(run, tmp_path):
    path = tmp_path / "web.sqlite"
    path.write_bytes(NEWER)
    for arguments in (("list",), ("add", "anna"), ("remove", "anna")):
        result = run(*arguments, typed="correct horse\n")
        assert result.exit_code == 1
        assert f"{path}: " in result.output
        assert "install that one" in result.output
        assert result.output.count("\n") == 1
    assert path.read_bytes() == NEWER


def test_a_damaged_file_is_put_aside_and_accounts_begin_anew(run, tmp_path, caplog):
    content = b"not a database" * 100
    (tmp_path / "web.sqlite").write_bytes(content)
    assert run("add", "anna", typed="correct horse\n").exit_code == 0
    assert "put a copy of it back" in caplog.text
    (aside,) = tmp_path.glob("web.damaged-*.sqlite")
    assert aside.read_bytes() == content
    assert "anna" in run("list").output


def test_a_home_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "home").write_text("a file")
    result = CliRunner().invoke(user, ["list", "--home", str(tmp_path / "home" / "x")])
    assert result.exit_code == 1
    assert "cannot be made (Not a directory)" in result.output
    assert result.output.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_what_root_writes_into_the_home_of_a_service_belongs_to_its_user(run, tmp_path):
    secret = tmp_path.parent / "secret"
    secret.write_text("")
    (tmp_path / "web.sqlite-shm").symlink_to(secret)
    os.chown(tmp_path, 4711, 4712)
    assert run("list").exit_code in (0, 1)
    (tmp_path / "web.sqlite-shm").unlink(missing_ok=True)
    assert run("add", "anna", typed="correct horse\n").exit_code == 0
    for file in tmp_path.glob("web.sqlite*"):
        status = file.stat()
        assert (status.st_uid, status.st_gid) == (4711, 4712)
    assert secret.stat().st_uid == 0, "what a link leads to stays"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_the_home_of_another_user_is_one_clear_line(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    program = (
        "import os; from tools.user import owner_of; from pathlib import Path; os.setuid(65534); "
        f"owner_of(Path({str(home)!r}))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "belongs to another user: run this by sudo" in run.stderr
