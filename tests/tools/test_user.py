import sqlite3

import pytest
from click.testing import CliRunner

from tools.user import user
from web import users
from web.app import Application

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
    assert run("list").output == "anna\n"
    assert run("password", "anna", typed="battery staple\n").exit_code == 0
    with Application(tmp_path).app_context():
        assert users.verify("anna", "correct horse") is None
        assert users.verify("anna", "battery staple")
    assert run("remove", "anna").exit_code == 0
    assert run("list").output == ""


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
