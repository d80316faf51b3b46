"""`jph history`: copy history to another store, and import that of an older network."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from jph.errors import ConfigError, StoreError
from jph.stores import open_history
from jph.stores.address import DEFAULT_HISTORY, StoreAddress
from tools import addresses, options
from tools.history import quarantine as apart
from tools.history.copying import copy_all, copy_quarantine
from tools.history.importing import import_all
from tools.history.repairing import damaged_in
from tools.history.repairing import repair as repair_file
from tools.history.rows import FIRST_MS, open_rows
from tools.progress import Position

SHOWN = 20  # most Codifiers that are listed if their counts differ


@click.group()
def history() -> None:
    """Copy history from one store to another, import that of an older network, and more."""


@history.command()
@click.option("--from", "from_", metavar="URL", help="Source; by default history.sqlite.")
@click.option("--to", metavar="URL", help="Target; by default that of the configuration.")
@addresses.password_file
@options.network
def copy(
    from_: str | None, to: str | None, password_file: Path | None, source: str, home: Path
) -> None:
    """Copy all readings to another store, which keeps what it has.

    You may interrupt it and run it again, and both stores may be in use: after a move, run it once
    more for the readings that arrived meanwhile. The Statistics component computes the statistics.
    """
    origin = StoreAddress(from_ or DEFAULT_HISTORY, password_file)
    goal = addresses.address_for(to, password_file, source, home)
    if origin.url == goal.url:
        raise click.ClickException(
            f"source and target are the same, {goal.url}; give --from or --to"
        )
    position = Position(home, f"copy {origin.url} -> {goal.url}")
    with _errors(), closing(open_history(goal.url, home, goal.password_file)) as target:
        target.last("@@", 0)  # raises an error if it cannot be used
        while True:
            with open_rows(origin, home) as rows:
                until_ms, was_continued = copy_all(rows, target, position)
                have = rows.counts(FIRST_MS, until_ms)
            with open_rows(goal, home) as rows:
                got = rows.counts(FIRST_MS, until_ms)
            missing = have - got
            if not (missing and was_continued):
                break
            click.echo(
                "late readings arrived meanwhile; copying from the beginning again", err=True
            )
        with open_rows(origin, home) as rows:
            without_room = copy_quarantine(rows, target)
    click.echo(f"{origin.url}: {have.total():,} readings of {len(have)} Codifiers")
    if missing:
        click.echo(f"{goal.url}: {missing.total():,} of them are missing:")
        for code in sorted(missing)[:SHOWN]:
            click.echo(f"  {code}: {have[code]:,} in the source, {got[code]:,} in the target")
        raise click.ClickException("readings are missing; run the command again")
    more = got.total() - have.total()
    click.echo(f"{goal.url}: all of them" + (f" and {more:,} more" if more else ""))
    if without_room:
        raise click.ClickException(
            f"{without_room:,} readings in quarantine have no room in that of {goal.url}; accept or"
            " drop some there (jph history quarantine --to URL), and run the command again"
        )


@history.command("import")
@click.option("--from", "from_", metavar="URL", help="Source; by default the database of --to.")
@click.option("--to", metavar="URL", help="Target; by default that of the configuration.")
@click.option(
    "--codifier",
    "codifiers",
    metavar="CODE",
    multiple=True,
    help="Codifier to import; may be repeated.",
)
@click.option("--all", "all_codifiers", is_flag=True, help="Import all configured Codifiers.")
@click.option(
    "--again", is_flag=True, help="Begin with the first row, not where the last run ended."
)
@click.option("--rename", is_flag=True, help="Rename each imported table to NAME_old.")
@click.option(
    "--timezone", "zone", default="UTC", help="Time zone of times that name none; by default UTC."
)
@addresses.password_file
@options.network
def import_(
    from_: str | None,
    to: str | None,
    codifiers: tuple[str, ...],
    all_codifiers: bool,
    again: bool,
    rename: bool,
    zone: str,
    password_file: Path | None,
    source: str,
    home: Path,
) -> None:
    """Import the tables sensor_CODIFIER (timestamp, value) of an older network.

    You may interrupt it and run it again. Readings that the history has already are left out.
    """
    if all_codifiers == bool(codifiers):
        raise click.UsageError("give --codifier CODE or --all")
    config = options.load(source, home)
    goal = addresses.address_for(to, password_file, source, home)
    origin = goal if from_ is None else StoreAddress(from_, password_file)
    if not addresses.is_postgres(origin.url):
        raise click.UsageError(
            "older networks have their tables in PostgreSQL; give its URL by --from"
        )
    with _errors():
        configured = addresses.codifiers_in(config)
        import_all(
            origin, goal, home, configured, codifiers, zone=zone, again=again, renames=rename
        )


@history.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[FILE]…")
@click.option("--to", metavar="URL", help="Target; by default the history of the configuration.")
@addresses.password_file
@options.network
def repair(
    files: tuple[Path, ...], to: str | None, password_file: Path | None, source: str, home: Path
) -> None:
    """Take over what can be read of damaged files, by default of all that JPH put aside.

    You may interrupt it and run it again, while JPH runs. The Statistics component computes the
    statistics of the readings.
    """
    goal = addresses.address_for(to, password_file, source, home)
    with _errors(), closing(open_history(goal.url, home, goal.password_file)) as target:
        target.last("@@", 0)  # raises an error if it cannot be used
        found = files or damaged_in(target, home)
        if not found:
            click.echo(f"{goal.url}: no damaged file waits for a repair; to repair one, name it")
        for file in found:
            if target.path is not None and target.path.exists() and file.samefile(target.path):
                raise click.ClickException(
                    f"{file} is the history itself; JPH puts it aside if it is damaged"
                )
            repair_file(file, target)


@history.command()
@click.option("--to", metavar="URL", help="History; by default that of the configuration.")
@click.option("--accept", "what", flag_value="accept", help="Move them into the history.")
@click.option("--drop", "what", flag_value="drop", help="Delete them.")
@click.option(
    "--codifier", "codifiers", metavar="CODE", multiple=True, help="Only of this; may be repeated."
)
@addresses.password_file
@options.network
def quarantine(
    to: str | None,
    what: str | None,
    codifiers: tuple[str, ...],
    password_file: Path | None,
    source: str,
    home: Path,
) -> None:
    """List readings whose time cannot be right, or move them into the history, or delete them.

    A reading of a live bus is kept apart if its time is more than a year back or a day ahead.
    """
    place = addresses.address_for(to, password_file, source, home)
    with _errors(), closing(open_history(place.url, home, place.password_file)) as store:
        if what is None:
            apart.show(store)
        elif what == "accept":
            apart.accept(store, codifiers)
        else:
            apart.drop(store, codifiers)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    except StoreError as error:
        raise click.ClickException(
            f"{error} (the readings copied so far stay; run the command again)"
        ) from error
    except KeyboardInterrupt:
        click.echo("\nstopped; run the same command again to continue", err=True)
        raise click.exceptions.Exit(130) from None
