"""`jph gateway esp32`: what is particular to the gateway of ESP32 boards."""

import signal
import threading
from pathlib import Path

import click

from jph.errors import ConfigError
from tools import options

TYPE = "Esp32"
SHOWN_EVERY_S = 5.0
FIRST = 1001  # those before are of components of type Esp32Examples


@click.group()
def esp32() -> None:
    """Try out the gateway of ESP32 boards."""


@esp32.command()
@click.option(
    "-n", "--boards", type=click.IntRange(1, 1000), default=4, show_default=True, help="How many."
)
@click.option(
    "--first",
    type=click.IntRange(1, 1_000_000),
    default=FIRST,
    show_default=True,
    help="Number of the first one, of which its MAC address is made.",
)
@click.option("-c", "--code", metavar="CODE", help="The Esp32 component, if not the first one.")
@options.network
def simulate(boards: int, first: int, code: str | None, source: str, home: Path) -> None:
    """Be boards at the broker of the gateway, until Ctrl-C.

    They do what the firmware does: join, report light every 2 s and a button now and then, and
    switch their LED when they are told to. Whoever runs this twice at a time gives the second one
    another number to begin with, as two boards with one MAC address disturb each other.
    """
    from gateways.esp32.examples.boards import fleet_of
    from gateways.examples import broker_of

    with options.wrong_config(source):
        config = options.load(source, home)
        found = [
            component
            for component in config.components.values()
            if component.type == TYPE and code in (None, component.codifier)
        ]
        if not found:
            which = f"component {code} of type" if code else "component of type"
            raise ConfigError(f"there is no {which} {TYPE} in Sensors: add one")
        address = broker_of(found[0], config, home)
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    fleet = fleet_of(boards, address, first=first)
    click.echo(f"{boards} boards at {address.host}:{address.port}; Ctrl-C ends them")

    def tell() -> None:
        while not ending.wait(SHOWN_EVERY_S):
            at_work = sum(board.is_started for board in fleet.boards)
            click.echo(f"{at_work} at work")

    threading.Thread(target=tell, daemon=True).start()
    fleet.run(lambda: not ending.is_set())
