"""`jph gateway list` and `log`: what devices sent, and what was refused of it."""

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from jph.devices import name_of
from tools import options
from tools.gateway import asking
from tools.gateway.asking import ask, code, gateways, only, printable

MOST_PAYLOAD = 200  # letters of a refused message
MOST_VALUE = 40  # letters of a value that is no number


@click.command("list")
@code
@click.option("--new", is_flag=True, help="Only values that are not on the bus yet.")
@options.network
def list_(code: str | None, new: bool, source: str, home: Path) -> None:
    """List devices with the values that they sent last, and the Codifiers these have."""
    rows: list[tuple[str, ...]] = []
    for gateway in gateways(options.load(source, home), home, code):
        for device in ask(gateway, "devices"):
            name = printable(name_of(device))
            for each in device["attributes"]:
                if not (new and each["codifier"]):
                    value, when = _value(each["value"]), shown(each["at_ms"])
                    attribute = printable(each["attribute"])
                    rows.append((name, attribute, value, when, each["codifier"] or "-"))
            if not device["attributes"] and not new:
                rows.append((name, "-", "-", shown(device["seen_ms"]), "-"))
    if rows:
        rows.insert(0, ("Device", "Attribute", "Value", "Time", "Codifier"))
        _print(rows)
    else:
        click.echo("everything is on the bus" if new else "no device is known yet")


@click.command()
@click.argument("device", required=False)
@code
@options.network
def log(device: str | None, code: str | None, source: str, home: Path) -> None:
    """Show the last messages that were refused, and why; or the last log lines of DEVICE.

    DEVICE is network/name, or an identifier.
    """
    gateway = only(source, home, code)
    if device is not None:
        identifier = asking.device(gateway, device)["identifier"]
        for line in reversed(ask(gateway, "devices", identifier, "logs")):
            click.echo(
                f"{shown(line['at_ms'])}  {line['severity']:7}  {printable(line['message'])}"
            )
        return
    refused = ask(gateway, "state")["refused"]
    for row in reversed(ask(gateway, "refusals")):
        payload = printable(row["payload"])
        cut = payload[:MOST_PAYLOAD] + "…" * (len(payload) > MOST_PAYLOAD)
        click.echo(f"{shown(row['at_ms'])}  {row['reason']}  {printable(row['topic'])}  {cut}")
    counts = ", ".join(f"{reason} ({count})" for reason, count in sorted(refused.items()))
    click.echo(f"refused: {counts or 'nothing'}")


def shown(at_ms: int | None) -> str:
    """Return a time as a clock here shows it."""
    if at_ms is None:
        return "never"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1000))


def _value(value: object) -> str:
    """Return a value as JSON allows it; None: there was none yet."""
    if value is None:
        return "-"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.7g}"
    text = printable(value if isinstance(value, str) else json.dumps(value))
    return text[:MOST_VALUE] + "…" * (len(text) > MOST_VALUE)


def _print(rows: Sequence[Sequence[str]]) -> None:
    columns: Iterable[Sequence[str]] = zip(*rows, strict=True)
    widths = [max(map(len, column)) for column in columns]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
