"""`jph gateway` and its subcommands, each in a module of its own."""

import click

from tools.lazy import LazyGroup

COMMANDS = {
    "account": "tools.gateway.account:account",
    "adopt": "tools.gateway.adopting:adopt",
    "esp32": "tools.gateway.esp32:esp32",
    "list": "tools.gateway.listing:list_",
    "log": "tools.gateway.listing:log",
    "tenta": "tools.gateway.tenta:tenta",
}


@click.group(cls=LazyGroup, modules=COMMANDS)
def gateway() -> None:
    """Work on the gateways, which bring devices of other systems on to the bus."""
