"""A program that uses the API, with a token of its own."""

import json
from contextlib import closing
from dataclasses import replace
from itertools import count
from urllib.parse import urlencode

from jph.stores import open_history, row_of
from tests.helpers import new_bus
from tests.web.bus import reading
from tests.web.client import Answer, Client
from web.app import Application
from web.people import tokens
from web.people.access import Role

numbers = count()


def token_of(web, role: Role = Role.ADMIN) -> str:
    """Return a new token."""
    with Application(web.home).app_context():
        return tokens.make(f"test {next(numbers)}", role, "test")


def give_file(web, path):
    """Give a server a file as its configuration, of a network of its own."""
    path.write_text(json.dumps(new_bus().document({"Codifier": "W1", "Type": "Web"})))
    process = web.channel.process
    process.config = replace(process.config, source=str(path))


def stores(web):
    """Return what puts readings (codifier, timestamp_ms, value) into the history of a server."""

    def store(*readings):
        with closing(open_history("sqlite:///history.sqlite", web.home)) as history:
            history.append(
                [
                    row_of(reading(codifier, value, timestamp_ms=time_ms, sequence=n))
                    for n, (codifier, time_ms, value) in enumerate(readings)
                ]
            )

    return store


class Program:
    """Asks a server with a token; without one if `token` is empty."""

    def __init__(self, web, role: Role = Role.ADMIN, token: str | None = None) -> None:
        self.web = web
        self.token = token_of(web, role) if token is None else token

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send one request; header names with underscores for hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            data = body if isinstance(body, str | bytes) else json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        return Client(self.web.bound_port).ask(method, f"/api/v1{path}", data, sent)

    def get(self, path: str, **query: object) -> Answer:
        """Ask for something; lists make repeated parameters."""
        return self.ask("GET", f"{path}?{urlencode(query, doseq=True)}" if query else path)

    def post(self, path: str, body: object) -> Answer:
        """Send something."""
        return self.ask("POST", path, body)

    def delete(self, path: str, **query: object) -> Answer:
        """Remove what the query names."""
        return self.ask("DELETE", f"{path}?{urlencode(query)}")

    def put(self, path: str, body: object) -> Answer:
        """Put something in a place."""
        return self.ask("PUT", path, body)
