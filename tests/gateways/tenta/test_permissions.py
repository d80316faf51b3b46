"""Whose a network is, told and changed over the API; on both kinds of store."""

import pytest

from gateways.tenta import people
from tests.gateways.tenta.client import HASH

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def path(mine):
    return f"/networks/{mine.network}/permissions"


@pytest.fixture
def bob(store):
    """Return identifier and token of another user."""
    with store.writing() as connection:
        identifier = people.create_user(connection, "bob", HASH)
        return str(identifier), people.create_session(connection, identifier)


def is_error(answer, status, details):
    return (answer.status, answer.json) == (status, {"details": details})


def test_a_network_becomes_another_users_too(mine, path, bob):
    identifier, token = bob
    network = f"/networks/{mine.network}/sensors"
    assert is_error(mine.get(network, token=token), 403, "Forbidden")
    assert is_error(mine.get(path, token=token), 403, "Forbidden")
    assert is_error(mine.post(path, {"user_name": "bob"}, token=token), 403, "Forbidden")
    made = mine.post(path, {"user_name": "bob"})
    assert (made.status, made.json) == (201, {"user_identifier": identifier})
    assert mine.get(network, token=token).status == 200
    assert mine.get(path, token=token).json == [
        {"user_identifier": str(mine.user), "user_name": "ada"},
        {"user_identifier": identifier, "user_name": "bob"},
    ]
    assert is_error(mine.post(path, {"user_name": "bob"}), 409, "Conflict")
    assert is_error(mine.post(path, {"user_name": "nobody"}), 404, "Not Found")


def test_it_is_taken_away_again_but_never_from_the_last(mine, path, bob):
    identifier, token = bob
    mine.post(path, {"user_name": "bob"})
    taken = mine.ask("DELETE", f"{path}/{mine.user}", token=token)
    assert (taken.status, taken.json) == (200, {})
    assert is_error(mine.get(path), 403, "Forbidden")
    for user, status in ((mine.user, 404), (UNKNOWN, 404), (identifier, 409), ("x", 400)):
        assert mine.ask("DELETE", f"{path}/{user}", token=token).status == status, user


def test_the_order_of_checks_is_that_of_the_other_routes(mine, path):
    none = f"/networks/{UNKNOWN}/permissions"
    for body, where, token, status in (
        ({"user_name": "B"}, path, None, 400),
        ({"user_name": "bob"}, path, None, 401),
        ({"user_name": "bob"}, none, "0" * 64, 401),
        ({"user_name": "bob"}, none, mine.token, 404),
    ):
        assert mine.post(where, body, token=token).status == status
