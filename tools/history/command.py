"""`jph history`: copying history to another store, and importing that of older networks."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from jph.errors import ConfigError, StoreError
from jph.stores import open_history
from jph.stores.address import DEFAULT_HISTORY, StoreAddress
from tools import addresses, options
from tools.history.rows import FIRST_MS, open_rows

SHOWN = 20  # Codifiers whose counts differ


@click.group()
def history() -> None:
    """Copy history from one store to another, or import that of an older network."""


@history.command()
@click.option("--from", "from_", metavar="URL", help="By default the file in the home.")
@click.option("--to", metavar="URL", help="By default what the configuration names.")
@addresses.password_file
@options.source
@options.home
def copy(
    from_: str | None, to: str | None, password_file: Path | None, source: str, home: Path
) -> None:
    """Copy all readings to another store, which keeps what it has.

    May be interrupted and done again, and both stores may be in use: after a move, run it once more
    to fetch what came meanwhile. Statistics are computed anew by the Statistics component.
    """
    from tools.history.copying import copy_all

    origin = StoreAddress(from_ or DEFAULT_HISTORY, password_file)
    goal = _goal(to, password_file, source, home)
    if origin.url == goal.url:
        raise click.ClickException(f"from and to are the same, {goal.url}: give --from or --to")
    name = f"copy {origin.url} -> {goal.url}"
    with _errors(), closing(open_history(goal.url, home, goal.password_file)) as target:
        target.last("@@", 0)  # raises, where it cannot be used
        while True:
            with open_rows(origin, home) as rows:
                copied = copy_all(rows, target, home, name)
                click.echo(f"{copied.read:,} readings copied, {copied.new:,} of them were new")
                have = rows.counts(FIRST_MS, copied.until_ms)
            with open_rows(goal, home) as rows:
                got = rows.counts(FIRST_MS, copied.until_ms)
            missing = {code: n - got.get(code, 0) for code, n in have.items()}
            missing = {code: n for code, n in missing.items() if n > 0}
            if not (missing and copied.was_continued):
                break
            click.echo("late readings came meanwhile: looking at all again", err=True)
    click.echo(f"{origin.url}: {sum(have.values()):,} readings of {len(have)} Codifiers")
    if missing:
        click.echo(f"{goal.url}: {sum(missing.values()):,} of them are missing")
        for code in sorted(missing)[:SHOWN]:
            click.echo(f"  {code}: {have[code]:,} there, {got.get(code, 0):,} here")
        raise click.ClickException("readings are missing: run it again")
    more = sum(got.values()) - sum(have.values())
    click.echo(f"{goal.url}: all of them" + (f" and {more:,} more" if more else ""))


@history.command("import")
@click.option("--from", "from_", metavar="URL", help="By default the database of the writer.")
@click.option("--to", metavar="URL", help="By default what the configuration names.")
@click.option("--codifier", "codifiers", metavar="CODE", multiple=True, help="May be repeated.")
@click.option("--all", "every", is_flag=True, help="All Codifiers of the configuration.")
@click.option("--again", is_flag=True, help="From the beginning, not where the last run ended.")
@click.option("--rename", is_flag=True, help="Rename each table at its end, to NAME_old.")
@click.option("--timezone", default="UTC", help="Of times that name none; by default UTC.")
@addresses.password_file
@options.source
@options.home
def import_(
    from_: str | None,
    to: str | None,
    codifiers: tuple[str, ...],
    every: bool,
    again: bool,
    rename: bool,
    timezone: str,
    password_file: Path | None,
    source: str,
    home: Path,
) -> None:
    """Import the tables sensor_CODIFIER (timestamp, value) of an older network.

    May be interrupted and done again. Readings that the history has already are left out.
    """
    if every == bool(codifiers):
        raise click.UsageError("give --codifier CODE or --all")
    config = options.load(source, home)
    goal = _goal(to, password_file, source, home)
    origin = goal if from_ is None else StoreAddress(from_, password_file)
    if not addresses.is_postgres(origin.url):
        raise click.UsageError("older networks have their tables in PostgreSQL: give --from")
    components = config.components.values()
    configured = [component.codifier for component in components]
    configured += [proxy for component in components for proxy in component.serves]
    with _errors():
        from tools.history.import_run import Importing

        with closing(open_history(goal.url, home, goal.password_file)) as target:
            target.last("@@", 0)
            work = Importing(origin, goal, target, home, again)
            work.run(list(dict.fromkeys(configured)), codifiers, timezone, rename)


def _goal(to: str | None, password_file: Path | None, source: str, home: Path) -> StoreAddress:
    if to is not None:
        return StoreAddress(to, password_file)
    return addresses.address_in(options.load(source, home), source)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    except StoreError as error:
        raise click.ClickException(f"{error} (what was copied stays; run it again)") from error
    except KeyboardInterrupt:
        click.echo("\nstopped; the same command goes on there", err=True)
        raise click.exceptions.Exit(130) from None
