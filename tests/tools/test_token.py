import pytest
from click.testing import CliRunner

from tools.token import token
from web.app import Application
from web.people import tokens
from web.people.access import Role


@pytest.fixture
def run(tmp_path):
    return lambda *arguments: CliRunner().invoke(token, [*arguments, "--home", str(tmp_path)])


def test_a_token_is_made_listed_and_removed(run, tmp_path):
    assert run("list").output == ""
    made = run("add", "grafana").output.strip()
    with Application(tmp_path).app_context():
        assert tokens.find(made).role == Role.VIEWER
    other = run("add", "robot", "--role", "operator", "--days", "30").output.strip()
    assert other != made
    lines = [line.split("\t") for line in run("list").output.splitlines()]
    assert [line[1:4] for line in lines] == [
        ["robot", "operator", "never used"],
        [*["grafana", "viewer"], lines[1][3]],
    ]
    assert lines[0][4].startswith("ends ")
    assert lines[1][3].startswith("used ")
    assert lines[1][4] == "does not end"
    assert made not in run("list").output
    assert run("remove", lines[1][0]).output == "grafana is removed\n"
    with Application(tmp_path).app_context():
        assert tokens.find(made) is None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("remove", "7"), "there is no token 7"),
        (("add", ""), "visible characters"),
        (("add", "a", "--days", "0"), "days"),
    ],
)
def test_a_mistake_is_one_clear_line(run, arguments, reason):
    result = run(*arguments)
    assert result.exit_code == 1
    assert reason in result.output
    assert result.output.count("\n") == 1
