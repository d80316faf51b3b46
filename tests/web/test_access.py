"""Tests of the roles: who may use which view."""

import pytest

from tests.web.client import Client
from web.access import NEEDED, Role, needs
from web.app import Application

PASSWORD = "correct horse"


@pytest.fixture
def sign_in(web, tmp_path):
    """Return what makes an account of a role and signs in with it."""

    def make(role: Role) -> Client:
        from web import users
        from web.database import transaction

        with Application(tmp_path).app_context():
            users.set_password(role.word, PASSWORD)
            with transaction() as session:
                session.get(users.Account, role.word).role = role
        client = Client(web.bound_port)
        client.post("/sign-in", csrf=client.token(), name=role.word, password=PASSWORD)
        return client

    return make


@pytest.mark.parametrize("role", Role)
def test_commands_need_an_operator(web, sign_in, role):
    person = sign_in(role)
    answer = person.command("A1", "H", person.token("/"))
    assert answer.status == (403 if role < Role.OPERATOR else 200)
    assert bool(web.channel.sent) == (role >= Role.OPERATOR)


def test_a_viewer_is_told_which_role_it_takes(sign_in):
    person = sign_in(Role.VIEWER)
    answer = person.command("A1", "H", person.token("/"))
    assert answer.json["error"] == "This needs the role operator; you are viewer."


def test_a_viewer_gets_no_buttons(sign_in):
    assert 'class="more"' not in sign_in(Role.VIEWER).get("/").text
    assert 'class="more"' in sign_in(Role.OPERATOR).get("/").text


def test_a_change_of_role_holds_at_once(web, tmp_path, sign_in):
    person = sign_in(Role.OPERATOR)
    token = person.token("/")
    sign_in(Role.VIEWER)
    from web import users
    from web.database import transaction

    with Application(tmp_path).app_context(), transaction() as session:
        session.get(users.Account, "operator").role = Role.VIEWER
    assert person.command("A1", "H", token).status == 403


def test_a_mark_survives_other_decorators():
    assert getattr(needs(Role.ADMIN)(lambda: ""), NEEDED) is Role.ADMIN
