"""`jph backup` and `jph restore`: all that JPH keeps, in one file and back."""

import os
import time
from contextlib import suppress
from pathlib import Path

import click

from jph.errors import ConfigError, JphError, StoreError
from tools import options
from tools.progress import Progress
from tools.user import owner_of

SHOWN = 64 << 20  # bytes of large files from which on the progress is shown


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--history",
    is_flag=True,
    help="With the history, and with what devices of gateways sent, if they are in files.",
)
@options.network
def backup(file: Path, history: bool, source: str, home: Path) -> None:
    """Write configuration, accounts, tokens, graphs and rules to FILE, while all is at work.

    It holds the hashes of passwords and tokens, so only you can read it.
    """
    from web.backup import content, restoring, writing
    from web.configuration.file import ConfigFile
    from web.formatting import display

    if file.exists():
        raise click.ClickException(f"{file} is there already: name another file, or remove it")
    config = options.load(source, home)
    store = content.history_file(config, home) if history else None
    found = [path for _, path in writing.large(home, store, whole=history)]
    if history and store is None:
        reason = "the history is in no file: back it up with pg_dump"
        if not found:
            raise click.ClickException(reason)
        click.echo(reason, err=True)
    # What else is in it is small.
    size = sum(path.stat().st_size for path in found)
    progress = Progress("backup", size, "bytes") if size > SHOWN else None
    part = file.with_name(f".{file.name}.part")
    try:
        with open(part, "xb", opener=restoring.private) as out:
            left_out = writing.write(
                out,
                home,
                ConfigFile(source, home).read(),
                store,
                whole=history,
                told=progress.add if progress else lambda size: None,
            )
            out.flush()
            os.fsync(out.fileno())
        part.rename(file)
    except (OSError, JphError) as error:
        with suppress(OSError):
            part.unlink()
        raise click.ClickException(f"no backup is written: {error}") from error
    if progress is not None:
        progress.end()
    for name in left_out:
        click.echo(f"{name} is too large for a backup", err=True)
    written = " ".join(display(file.stat().st_size, "B"))
    click.echo(f"{file}: {written}; keep it where nobody else reads it")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.network
def restore(file: Path, source: str, home: Path) -> None:
    """Take the backup FILE back; all of it is checked before anything changes.

    What was there is kept, and so is what devices of gateways sent. JPH may run meanwhile, unless
    the history is in FILE.
    """
    from web.backup import content, restoring

    owner = owner_of(home)
    try:
        with file.open("rb") as stream, restoring.unpacked(stream, home) as found:
            present = _present(source, home)
            network = options.load(source, home) if present is not None else None
            history = (
                home / "history.sqlite" if network is None else content.history_file(network, home)
            )
            kept = restoring.keep(home, present or b"{}")
            aside = restoring.apply(found, home, history)
            _write_config(source, home, found.config)
    except (OSError, JphError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        if owner is not None:
            for path in [home, *home.rglob("*")]:
                os.chown(path, *owner, follow_symlinks=False)
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.made_ms / 1000))
    click.echo(f"restored what was backed up at {when}")
    click.echo(f"what was there is in {kept}{f', its history in {aside}' if aside else ''}")
    if found.has_history and history is None:
        click.echo("the history of the backup is left out: that of this network is in no file")
    click.echo("everybody has to sign in again; if JPH runs, jph control reload loads the rest")


def _present(source: str, home: Path) -> bytes | None:
    """Return the present configuration, None if there is none."""
    from web.configuration.file import ConfigFile

    try:
        return ConfigFile(source, home).read()
    except ConfigError:
        return None


def _write_config(source: str, home: Path, text: bytes) -> None:
    """Put a document into the file of the configuration.

    Raises:
        StoreError: it cannot be written, or is fetched from a URL.
    """
    from jph.files import write_file
    from web.configuration.file import ConfigFile

    place = ConfigFile(source, home)
    if place.is_url:
        raise StoreError(
            f"all but the configuration is restored: that is of {source}; change it there"
        )
    try:
        write_file(place.path, text, like=place.path if place.path.exists() else None)
    except OSError as error:
        raise StoreError(
            f"all but the configuration is restored: {place.path}: {error.strerror}"
        ) from error
