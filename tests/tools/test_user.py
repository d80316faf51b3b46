from contextlib import closing

import pytest
from click.testing import CliRunner

from tools.user import user
from web.users import Accounts


@pytest.fixture
def run(tmp_path):
    def run_(*arguments, typed=""):
        return CliRunner().invoke(user, [*arguments, "--home", str(tmp_path)], input=typed)

    return run_


def test_an_account_is_made_changed_listed_and_removed(run, tmp_path):
    assert run("list").output == ""
    result = run("add", "anna", typed="correct horse\n")
    assert (result.exit_code, result.output) == (0, "anna can sign in\n")
    with closing(Accounts(tmp_path)) as accounts:
        assert accounts.verify("anna", "correct horse")
    assert run("list").output == "anna\n"
    assert run("password", "anna", typed="battery staple\n").exit_code == 0
    with closing(Accounts(tmp_path)) as accounts:
        assert accounts.verify("anna", "correct horse") is None
        assert accounts.verify("anna", "battery staple")
    assert run("remove", "anna").exit_code == 0
    assert run("list").output == ""


@pytest.mark.parametrize(
    ("arguments", "typed", "reason"),
    [
        (("add", "anna"), "short\n", "at least 8"),
        (("add", "anna"), "", "at least 8"),
        (("add", "x" * 65), "correct horse\n", "visible characters"),
        (("password", "nobody"), "correct horse\n", "no account nobody"),
        (("remove", "nobody"), "", "no account nobody"),
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
    assert "exists already" in result.output


def test_a_home_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "home").write_text("a file")
    result = CliRunner().invoke(user, ["list", "--home", str(tmp_path / "home" / "x")])
    assert result.exit_code in (1, 2)
    assert "Traceback" not in result.output
