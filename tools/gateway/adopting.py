"""`jph gateway adopt`: a value of a device gets a Codifier."""

import json
from pathlib import Path
from typing import Any

import click

from jph.config import checks, document
from jph.config.adopt import adopt as adopted
from jph.errors import ConfigError
from tools import options
from tools.gateway import asking
from tools.gateway.asking import code, only, printable


@click.command()
@click.argument("device")
@click.argument("attribute")
@click.option(
    "--codifier", metavar="XX", help="By default the next free one of the gateway's Codifiers."
)
@click.option("--name", help="What people call the value; by default device and attribute.")
@click.option("--symbol", default="", help="Its unit, such as °C.")
@click.option(
    "--timeout",
    "timeout_s",
    type=options.Number(0),
    default=600.0,
    show_default=True,
    help="Silence after which the pages show it as silent, in seconds.",
)
@click.option("--write", is_flag=True, help="Write the entries into the configuration.")
@code
@options.network
def adopt(
    device: str,
    attribute: str,
    codifier: str | None,
    name: str | None,
    symbol: str,
    timeout_s: float,
    write: bool,
    code: str | None,
    source: str,
    home: Path,
) -> None:
    """Put ATTRIBUTE of DEVICE on the bus: print the two entries, or write them.

    DEVICE is network/name, or an identifier, by which it is still known when it has another name.
    """
    gateway = only(source, home, code)
    found = asking.device(gateway, device)
    values = {each["attribute"]: each for each in found["attributes"]}
    if attribute not in values:
        sent = ", ".join(map(printable, sorted(values))) or "nothing yet"
        raise click.ClickException(f"{device} has not sent {attribute}; it sent: {sent}")
    if known := values[attribute]["codifier"]:
        raise click.ClickException(f"{attribute} of {device} is on the bus already, as {known}")
    entry: dict[str, Any] = {"Name": name or f"{found['name']} {attribute}"}
    if symbol:
        entry["Symbol"] = symbol
    timeout = int(timeout_s) if timeout_s.is_integer() else timeout_s
    entry |= {"DataType": "double", "TimeoutWarning": timeout}
    server = gateway.component.codifier
    from web.configuration.file import ConfigFile
    from web.configuration.text import written

    file = ConfigFile(source, home)
    with options.telling_why():
        before = file.read()
        content = document.parse(before, file.reads)
        assert isinstance(content, dict)  # it was loaded
        item = {"Device": device, "Attribute": attribute}
        made, given = adopted(content, server, item, entry, codifier)
        if not write:
            _show(made, server, given)
            return
        text = written(made, before)
        mistakes, _ = checks.check(document.parse(text), checks.runs_nothing)
        if mistakes:
            raise ConfigError(mistakes, file.reads)
        file.write(text, before)
    click.echo(f"{given} is {attribute} of {device}, in {file.path}")
    click.echo("jph control reload @@ loads it")


def _show(made: dict[str, Any], server: str, codifier: str) -> None:
    """Print what is new in a document."""
    entries = {entry["Codifier"]: entry for entry in made["Sensors"]}
    item = entries[server]["Sensor"]["Proxy"][-1]
    click.echo(f"in Sensor.Proxy of {server}:  {json.dumps(item, ensure_ascii=False)}")
    click.echo(f"in Sensors:  {json.dumps(entries[codifier], ensure_ascii=False)}")
    click.echo("--write writes both", err=True)
