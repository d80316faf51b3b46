"""`jph config`: check a configuration, and print a schema or an example of one."""

import json
import os
import sys
from collections.abc import Iterable

import click

from jph import paths
from jph.config import checks, document
from jph.config.model import Component, build
from jph.config.schema import json_schema
from jph.errors import ConfigError
from tools.config_example import example
from tools.options import EX_CONFIG


@click.group()
def config() -> None:
    """Check a configuration, or print its JSON Schema or an example."""


config.add_command(example)


@config.command()
@click.argument("source", metavar="[PATH_OR_URL]", required=False)
def check(source: str | None) -> None:
    """Check a configuration and list its components.

    Without an argument, it checks the configuration that JPH_CONFIG names, by default the shipped
    network. It writes no file and starts no component.
    """
    where = source or os.environ.get("JPH_CONFIG") or str(paths.shipped_config())
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
        click.echo(f"{where}: {line}", err=True)
    for line in warnings:
        click.echo(f"{where}: warning: {line}", err=True)
    if mistakes:
        sys.exit(EX_CONFIG)
    click.echo(f"{len(components)} component{'s' * (len(components) != 1)}, all good")
    for row in _table(components):
        click.echo(row)


@config.command()
def schema() -> None:
    """Print a JSON Schema of the configuration, for editors and for programs that make forms."""
    click.echo(json.dumps(json_schema(), indent=1, ensure_ascii=False))


def _table(components: Iterable[Component]) -> Iterable[str]:
    """Yield the lines of a table, with columns as wide as their longest cell."""
    rows = [("Codifier", "Type", "Host", "Name")]
    rows += [(c.codifier, c.type_name, c.host or "any", c.name) for c in components]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[3]])
