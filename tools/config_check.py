"""`jph config`: check a configuration, and print what it needs, a schema, or an example of one."""

import json
import os
import re
import sys
from collections.abc import Iterable, Sized
from pathlib import Path

import click

from jph.config import checks, document, loading
from jph.config.model import Component, build
from jph.config.schema import json_schema
from jph.errors import ConfigError
from tools import places
from tools.config_example import example
from tools.needs import extras_needed
from tools.options import EX_CONFIG, WrongConfig


@click.group()
def config() -> None:
    """Check a configuration, or print what it needs, its JSON Schema, or an example."""


config.add_command(example)


@config.command()
@click.argument("source", metavar="[PATH_OR_URL]", required=False)
def check(source: str | None) -> None:
    """Check a configuration and list its components.

    Without an argument, it checks the configuration that JPH_CONFIG names, by default that of the
    network that runs here. It writes no file and starts no component.
    """
    where = source
    if where is None:
        home = os.environ.get("JPH_HOME")
        place = places.find(os.environ.get("JPH_CONFIG"), Path(home) if home else None)
        where = loading.in_force(place.source, place.home)
    content: object = None
    components: list[Component] = []
    warnings: list[str] = []
    try:
        content = document.parse(document.read(where))
        mistakes, warnings = checks.check(content)
        if not mistakes:
            components = list(build(content).components.values())
    except ConfigError as error:
        mistakes = error.mistakes
    for line in mistakes:
        click.echo(f"{where}: {_with_codifier(line, content)}", err=True)
    for line in warnings:
        click.echo(f"{where}: warning: {_with_codifier(line, content)}", err=True)
    counts = f"{_count(mistakes, 'mistake')}, {_count(warnings, 'warning')}"
    if mistakes:
        if content is not None:  # else the one mistake says all
            click.echo(f"{where}: {counts}", err=True)
        sys.exit(EX_CONFIG)
    for row in _table(components):
        click.echo(row)
    click.echo(f"{where}: {_count(components, 'component')}, {counts if warnings else 'all good'}")


@config.command()
def schema() -> None:
    """Print a JSON Schema of the configuration, for editors and for programs that make forms."""
    click.echo(json.dumps(json_schema(), indent=1, ensure_ascii=False))


@config.command()
@click.argument("source", metavar="PATH_OR_URL")
def needs(source: str) -> None:
    """Print the extras that the components of this machine need.

    That is what is between the brackets of pip install 'jph[...]', separated by commas.
    """
    try:
        click.echo(",".join(extras_needed(build(document.parse(document.read(source)), source))))
    except ConfigError as error:
        raise WrongConfig(error.mistakes, source) from error


def _with_codifier(line: str, content: object) -> str:
    """Return a line that begins with the path of a component, with its Codifier in front."""
    found = re.match(r"Sensors\[(\d+)\]", line)
    if found is None or not isinstance(content, dict):
        return line
    entry = content["Sensors"][int(found[1])]
    codifier = entry.get("Codifier") if isinstance(entry, dict) else None
    return f"{codifier}: {line}" if isinstance(codifier, str) else line


def _count(things: Sized, noun: str) -> str:
    count = len(things)
    return f"{count or 'no'} {noun}{'s' * (count != 1)}"


def _table(components: Iterable[Component]) -> Iterable[str]:
    """Yield the lines of a table, with columns as wide as their longest cell."""
    rows = [("Codifier", "Type", "Host", "Name")]
    rows += [(c.codifier, c.type_name, c.host or "any", c.name) for c in components]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[3]])
