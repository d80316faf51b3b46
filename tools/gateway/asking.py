"""What the commands ask a gateway that runs: JSON over HTTP, by the token of the home directory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from jph.config.model import Component, Config
from jph.errors import HttpError
from tools import options

PORTS: Mapping[str, int] = {"Tenta": 8421}  # of the gateways that there are, where none is set
DEADLINE_S = 20.0
MOST_BYTES = 64 << 20
ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # and where they answer

code = click.option("-c", "--code", metavar="CODE", help="The gateway, if there are several.")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway of this home."""

    component: Component
    home: Path

    @property
    def address(self) -> str:
        """The URL that it answers at."""
        settings = self.component.settings
        host = str(settings.get("Host") or "")
        host = ALL_ADDRESSES.get(host, host)
        port = settings.get("Port", PORTS[self.component.type])
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def ask(self, path: str) -> Any:
        """Return what it answers below /jph, or end the program and say why it does not."""
        from jph import http

        token = self.home / "gateways" / "token"
        try:
            headers = {"Authorization": f"Bearer {token.read_text(encoding='ascii').strip()}"}
        except FileNotFoundError:
            raise self._error(f"has never run with the home {self.home}") from None
        except (OSError, ValueError) as error:
            raise self._error(f"cannot be asked: {token}: {error}") from error
        try:
            answer = http.request(
                "GET",
                f"{self.address}/jph/{path}",
                deadline_s=DEADLINE_S,
                most_bytes=MOST_BYTES,
                headers=headers,
            )
        except (HttpError, ValueError) as error:
            raise self._error(f"does not answer at {self.address}: {error}") from error
        if answer.status != 200:
            reason = f"{answer.status} {_details(answer.body) or answer.reason}"
            raise self._error(f"answers at {self.address}: {reason}")
        try:
            return json.loads(answer.body)
        except ValueError:
            raise self._error(f"answers at {self.address}, but not in JSON") from None

    def _error(self, what: str) -> click.ClickException:
        hint = "start it with jph up, or name its home with --home"
        return click.ClickException(f"{self.component.codifier} {what}; {hint}")

    def device(self, named: str) -> dict[str, Any]:
        """Return a device by network/name or identifier, or end the program if there is none."""
        devices = self.ask("devices")
        for device in devices:
            if named in (name_of(device), device["identifier"]):
                return dict(device)
        known = ", ".join(name_of(device) for device in devices[:10]) or "none yet"
        more = ", …" if len(devices) > 10 else ""
        raise click.ClickException(f"there is no device {named}; there are: {known}{more}")


def name_of(device: Mapping[str, Any]) -> str:
    """Return what people call a device."""
    return f"{device['network']}/{device['name']}"


def gateways(config: Config, home: Path, codifier: str | None) -> list[Gateway]:
    """Return the gateways of a network, or the named one; end the program if there is none."""
    found = [
        Gateway(component, home)
        for component in config.components.values()
        if component.type in PORTS and codifier in (None, component.codifier)
    ]
    if not found:
        which = f"no gateway {codifier}" if codifier else f"no component of type {', '.join(PORTS)}"
        raise click.ClickException(f"there is {which} in {config.source}")
    return found


def only(source: str, home: Path, codifier: str | None) -> Gateway:
    """Return the one gateway of a network, or the named one; end the program otherwise."""
    found = gateways(options.load(source, home), home, codifier)
    if len(found) > 1:
        codes = ", ".join(one.component.codifier for one in found)
        raise click.ClickException(f"there are several gateways ({codes}): name one with --code")
    return found[0]


def printable(text: str) -> str:
    """Return a text of a device as one line that cannot move the cursor."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _details(body: bytes) -> str:
    try:
        found = json.loads(body)
        return str(found["details"])
    except (ValueError, KeyError, TypeError):
        return ""
