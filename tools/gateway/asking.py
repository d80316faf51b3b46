"""What the commands of gateways share: which gateway, which device, and what to print."""

from pathlib import Path
from typing import Any

import click

from jph.config.model import Config
from jph.devices import PORTS, Gateway, is_named, name_of
from jph.devices import gateways as all_gateways
from tools import options

code = click.option("-c", "--code", metavar="CODE", help="The gateway, if there are several.")


def ask(gateway: Gateway, *path: object) -> Any:
    """Return what a gateway answers, or end the program and say why it does not."""
    with options.telling_why():
        return gateway.ask(*path)


def device(gateway: Gateway, named: str) -> dict[str, Any]:
    """Return a device by network/name or identifier, or end the program if there is none."""
    devices = ask(gateway, "devices")
    for one in devices:
        if is_named(one, named):
            return dict(one)
    known = ", ".join(printable(name_of(one)) for one in devices[:10]) or "none yet"
    more = ", …" if len(devices) > 10 else ""
    raise click.ClickException(f"there is no device {named}; there are: {known}{more}")


def gateways(config: Config, home: Path, codifier: str | None) -> list[Gateway]:
    """Return the gateways of a network, or the named one; end the program if there is none."""
    found = [
        one for one in all_gateways(config, home) if codifier in (None, one.component.codifier)
    ]
    if not found:
        *others, last = PORTS
        types = f"{', '.join(others)} or {last}"
        which = f"no gateway {codifier}" if codifier else f"no component of type {types}"
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
