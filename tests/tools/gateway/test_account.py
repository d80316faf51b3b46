"""`jph gateway account`, as a person types it."""

import re
import subprocess

import pytest

from gateways.broker import accounts
from tests.tools.program import JPH, environment, jph

SENSOR = "81bf7042-e20f-4a97-ac44-c15853e3618f"


@pytest.fixture
def account(fresh_home):
    return lambda *arguments: jph(fresh_home, "gateway", "account", *arguments)


def costs(home, name):
    """Return how often the hashes of a password are computed, of mosquitto and of nats."""
    found = accounts.accounts(home)[name]
    _, kind, iterations, *_ = found["mosquitto"].split("$")
    _, _, cost, _ = found["nats"].split("$")
    assert kind == "7"
    return int(iterations), int(cost)


def test_an_account_is_added_listed_and_removed(account, fresh_home):
    assert "account add NAME" in account("list").stdout
    run = account("add", SENSOR)
    assert run.returncode == 0, run.stderr
    assert re.search(r"^password: \S{24}$", run.stdout, re.MULTILINE)
    assert account("list").stdout == f"{SENSOR}  may publish under its own name\n"
    assert costs(fresh_home, SENSOR) == (101, 4)  # hundreds of devices may connect at once
    assert account("remove", SENSOR).returncode == 0
    assert accounts.accounts(fresh_home) == {}
    run = account("remove", SENSOR)
    assert (run.returncode, run.stderr) == (1, f"Error: there is no account '{SENSOR}'\n")


def test_a_password_that_is_piped_is_taken_and_not_shown(fresh_home):
    command = [*JPH, "gateway", "account", "add", "station", "--all"]
    run = subprocess.run(
        command,
        input="a long password\n",
        env=environment(fresh_home),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (run.returncode, run.stdout) == (0, "station may publish for every device\n")
    assert accounts.accounts(fresh_home)["station"]["all"] is True
    assert costs(fresh_home, "station") == (20_000, 10)  # somebody may try to guess it


@pytest.mark.parametrize("name, why", [("jph", "gateways themselves"), ("a/b", "no name")])
def test_a_name_that_cannot_be_taken_is_said(account, name, why):
    run = account("add", name)
    assert run.returncode == 1
    assert why in run.stderr
    assert "Traceback" not in run.stderr
