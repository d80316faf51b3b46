"""`jph alerts`: try the contacts of the network's alerts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jph.alerts.zone import zone_of
from jph.clock import time_now_ms
from jph.config.model import Component, Config
from jph.settings import arguments
from tools import options

if TYPE_CHECKING:
    from collectors.alerts.contacts import Contact


@click.group()
def alerts() -> None:
    """Try what the alerts of the network do."""


@alerts.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@options.network
def test(names: tuple[str, ...], source: str, home: Path) -> None:
    """Send a test message to the contacts NAME, or to all of them.

    It goes out from this machine, so try it on the one that runs the Alerts component. Ends with 1
    if one of them did not take it.
    """
    from collectors.alerts.contacts import Undelivered
    from collectors.alerts.messages import Writer

    config = options.load(source, home)
    told = dict(_contacts(config))
    unknown = [name for name in names if name not in told]
    if unknown or not told:
        known = f"there are {', '.join(told)}" if told else "the configuration has none"
        what = f"no contact {unknown[0]!r}" if unknown else "no contact"
        raise click.ClickException(f"{what}: {known}; they stand in Sensor.Contacts of Alerts")
    failed = False
    for name in names or told:
        component, given, contact = told[name]
        zone = zone_of(str(given["time_zone"]) if given.get("time_zone") else None)
        writer = Writer(
            config.components, zone, str(given.get("public_url") or ""), component.codifier
        )
        try:
            contact.deliver(writer.test(name, time_now_ms()))
        except Undelivered as error:
            failed = True
            click.echo(f"{name}: not delivered: {error}", err=True)
        else:
            click.echo(f"{name}: took the test message")
    if failed:
        raise click.exceptions.Exit(1)


def _contacts(
    config: Config,
) -> Iterator[tuple[str, tuple[Component, Mapping[str, Any], "Contact"]]]:
    """Yield the contacts of all Alerts components by their names, with the settings there."""
    from collectors.alerts.component import Alerts

    for component in config.components.values():
        if component.type == "Alerts":
            place = f"Sensors[{component.index}].Sensor"
            with options.wrong_config(config.source):
                given: dict[str, Any] = arguments(Alerts, component.settings, place)
            for contact in given.get("contacts", ()):
                yield contact.name, (component, given, contact)
