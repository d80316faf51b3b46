"""The devices of gateways, as pages and commands ask for them: JSON over HTTP, below `/jph`.

A gateway runs in a process of its own or in ours, and keeps what its devices send in a store of its
own. Whoever has its home directory, and so the token there, may ask it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode

from jph.config.model import Component, Config
from jph.errors import GatewayError, HttpError
from jph.tcp import netloc, where_it_answers

# Of the types that there are, where no Port is set.
PORTS: Mapping[str, int] = {"Esp32": 8000, "IotTalk": 9992, "Tenta": 8421}
MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway of this home."""

    component: Component
    home: Path

    @property
    def address(self) -> str:
        """The URL that it answers at."""
        settings = self.component.settings
        host = where_it_answers(str(settings.get("Host") or ""))
        port = settings.get("Port", PORTS[self.component.type])
        return f"http://{netloc(host, cast(int, port))}"

    def ask(
        self,
        *path: object,
        query: Mapping[str, object] | None = None,
        content: object = None,
        method: str = "",
        deadline_s: float = 20.0,
    ) -> Any:
        """Return what it answers below /jph.

        Args:
            path: its parts, which may be any text.
            content: to be sent; None: it is only asked.
            method: POST if there is a content, else GET, unless another one is given.

        Raises:
            GatewayError: it does not answer, or refuses.
        """
        from jph import http

        token = self.home / "gateways" / "token"
        try:
            headers = {"Authorization": f"Bearer {token.read_text(encoding='ascii').strip()}"}
        except FileNotFoundError:
            raise self._error(f"has not run yet with the home {self.home}: start it") from None
        except (OSError, ValueError) as error:
            raise self._error(f"cannot be asked: {token}: {error}") from error
        url = "/".join([self.address, "jph", *(quote(str(part), safe="") for part in path)])
        if query:
            url += f"?{urlencode(query)}"
        body = None
        if content is not None:
            body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        try:
            answer = http.request(
                method or ("GET" if body is None else "POST"),
                url,
                deadline_s=deadline_s,
                most_bytes=MOST_BYTES,
                headers=headers,
                body=body,
            )
        except (HttpError, ValueError) as error:
            why = f"does not answer at {self.address}: {error}; see whether it runs"
            raise self._error(why) from error
        try:
            found = json.loads(answer.body)
        except ValueError:
            found = None
        if answer.status in (200, 201) and found is not None:
            return found
        said = found if isinstance(found, dict) else {}
        reason = f"{answer.status} {said.get('details') or answer.reason}"
        mistakes = tuple(map(str, said.get("mistakes", ())))
        raise self._error(f"answers: {reason}", answer.status, mistakes)

    def devices(self, deadline_s: float = 20.0) -> list[dict[str, Any]]:
        """Return its devices; raises as `ask`."""
        found: list[dict[str, Any]] = self.ask("devices", deadline_s=deadline_s)
        return found

    def _error(
        self, what: str, status: int | None = None, mistakes: tuple[str, ...] = ()
    ) -> GatewayError:
        return GatewayError(f"{self.component.codifier} {what}", status, mistakes)


def gateways(config: Config, home: Path) -> list[Gateway]:
    """Return the gateways of a network whose devices can be asked for."""
    return [Gateway(one, home) for one in config.components.values() if one.type in PORTS]


def name_of(device: Mapping[str, Any]) -> str:
    """Return what people call a device: network/name, or its name where there are no networks."""
    return "/".join(filter(None, (device["network"], device["name"])))


def is_named(device: Mapping[str, Any], name: str) -> bool:
    """Tell whether a name or identifier is that of a device."""
    return name in (name_of(device), device["identifier"])


def device_of(config: Config, component: Component) -> tuple[str, str] | None:
    """Return gateway and device of a proxy whose value is one of a device, None for others."""
    server = config.server_of(component)
    if server is None or server.type not in PORTS:
        return None
    items = server.settings.get("Proxy")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping) and item.get("Codifier") == component.codifier:
            return server.codifier, str(item.get("Device", ""))
    return None
