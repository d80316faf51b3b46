"""`jph gateway tenta user` beside a server that has the same store."""

import json
import re
import subprocess
from contextlib import closing

import pytest
from click.testing import CliRunner

from gateways.http import JsonServer, listen
from gateways.store import Store
from gateways.tenta import tables
from gateways.tenta.configurations import Outgoing
from gateways.tenta.routes import app_of
from gateways.tenta.service import Service
from tests.gateways.tenta.client import HOME_TOKEN, Client
from tests.helpers import new_bus
from tests.tools.program import JPH, environment
from tools.gateway.tenta_users import user as user_command


@pytest.fixture
def home(tmp_path):
    """Return a home with a Tenta component that lets nobody register."""
    component = {"Codifier": "TG", "Type": "Tenta", "Sensor": {"Registration": False}}
    (tmp_path / "network.json").write_text(json.dumps(new_bus().document(component)))
    return tmp_path


@pytest.fixture
def user(home):
    """Return a function that runs the command; one test starts the program itself."""
    where = ["--home", str(home), "--config", str(home / "network.json")]
    return lambda *arguments: CliRunner().invoke(user_command, [*arguments, *where])


@pytest.fixture
def client(home):
    """Return a client of the API over the store of that home."""
    with closing(Store.open("sqlite:///gateways.sqlite", home, steps=tables.STEPS)) as store:
        service = Service(store, Outgoing("TG"), HOME_TOKEN, registration=False)
        server = JsonServer(listen("127.0.0.1", 0), app_of(service))
        with closing(server), closing(Client(server.port)) as client:
            yield client.begin(store)


def sign_in(client, name, password):
    answer = client.post("/authentication", {"user_name": name, "password": password})
    return answer.json["access_token"] if answer.status == 201 else answer.status


def made_password(run):
    assert run.exit_code == 0, run.output
    return re.search(r"^password: (\S{24})$", run.stdout, re.MULTILINE)[1]


def test_who_may_not_register_is_added_with_a_network(user, client):
    run = user("add", "bob", "--network", "ada-net")
    first = made_password(run)
    assert run.stdout.startswith("bob  has ada-net\n")
    token = sign_in(client, "bob", first)
    assert client.get("/networks", token=token).json[0]["network_name"] == "ada-net"
    second = made_password(user("add", "bob"))
    assert client.get("/networks", token=token).status == 401, "its sessions have ended"
    assert sign_in(client, "bob", first) == 401
    token = sign_in(client, "bob", second)
    assert client.get("/networks", token=token).json[0]["network_name"] == "ada-net"
    assert user("list").stdout == "ada  has ada-net\nbob  has ada-net\n"
    assert user("remove", "bob").stdout == "bob is removed\n"
    assert client.get("/networks", token=token).status == 401
    assert sign_in(client, "bob", second) == 404
    run = user("remove", "bob")
    assert (run.exit_code, run.stderr.splitlines()[-1]) == (1, "Error: there is no user bob")


def test_a_password_that_is_piped_is_taken_and_not_shown(home, client):
    command = [*JPH, *["gateway", "tenta", "user", "add", "carl", "--config", "network.json"]]
    run = subprocess.run(
        command,
        input="a long password\n",
        env=environment(home),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (run.returncode, run.stdout) == (0, "carl  has no network\n"), run.stderr
    assert len(sign_in(client, "carl", "a long password")) == 64


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("add", "Bob"), "a name has up to 64 of a to z"),
        (("add", "bob", "--network", "none"), "there is no network none; there are: ada-net"),
        (("list", "-c", "XX"), "no component XX of type Tenta"),
    ],
)
def test_what_is_not_right_is_said(user, client, arguments, why):
    run = user(*arguments)
    assert run.exit_code != 0 and why in run.stderr
    assert isinstance(run.exception, SystemExit)


def test_without_users_it_says_how_to_add_one(user):
    assert "user add NAME" in user("list").stdout
