"""A program that asks Tenta's API over HTTP."""

import http.client
import json
from dataclasses import dataclass
from typing import Any

from gateways.tenta import people

HASH = "$2b$04$ZGVyZ2VyZ2VyZ2VyZ2VyZe"  # of no password
HOME_TOKEN = "a" * 64


@dataclass
class Answer:
    """An answer: its status, what its JSON says, its headers."""

    status: int
    json: Any
    headers: dict[str, str]


class Client:
    """Asks one server over one connection."""

    def __init__(self, port, token=None):
        self.port = port
        self.token = token
        self.network = self.sensor = self.user = None
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def close(self):
        """Close the connection."""
        self._connection.close()

    def ask(self, method, path, body=None, *, token=..., raw=None, headers=()):
        """Return the answer to a request; every one of them has to be JSON."""
        token = self.token if token is ... else token
        sent = dict(headers)
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, data, sent)
        response = self._connection.getresponse()
        text = response.read()
        found: dict[str, str] = {}
        for name, value in response.getheaders():  # as a browser joins those that are there twice
            found[name.lower()] = ", ".join(filter(None, (found.get(name.lower()), value)))
        if text:
            assert found["content-type"] == "application/json", text
        return Answer(response.status, json.loads(text) if text else None, found)

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.ask("POST", path, body, **options)

    def put(self, path, body=None, **options):
        return self.ask("PUT", path, body, **options)

    def begin(self, store, name="ada"):
        """Become a user with a network and a sensor; by the store, since to hash takes long."""
        with store.writing() as connection:
            self.user = people.create_user(connection, name, HASH)
            self.token = people.create_session(connection, self.user)
            self.network = people.create_network(connection, f"{name}-net", self.user)
            self.sensor = people.create_sensor(connection, self.network, "bed-3")
        return self

    @property
    def path(self):
        """The path of the sensor."""
        return f"/networks/{self.network}/sensors/{self.sensor}"
