"""Fixtures of Tenta's API: a real server on loopback, over each kind of store."""

from contextlib import ExitStack, closing

import pytest

from gateways.http import JsonServer, listen
from gateways.tenta.configurations import Outgoing
from gateways.tenta.routes import app_of
from gateways.tenta.service import Service
from tests.gateways.tenta.client import HOME_TOKEN, Client


@pytest.fixture
def serve(store):
    """Return a function that serves the store and gives a client."""
    opened = ExitStack()

    def begin(**settings):
        settings = {"registration": True, **settings}
        service = Service(store, Outgoing("TG"), HOME_TOKEN, **settings)
        server = JsonServer(listen("127.0.0.1", 0), app_of(service))
        opened.enter_context(closing(server))
        return opened.enter_context(closing(Client(server.port)))

    with opened:
        yield begin


@pytest.fixture
def client(serve):
    """Return a client of a server whose store is empty."""
    return serve()


@pytest.fixture
def mine(client, store):
    """Return the client, signed in, with a network and a sensor of its own."""
    client.begin(store)
    return client
