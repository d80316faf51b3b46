"""`jph gateway tenta`: what is particular to the gateway of Tenta."""

import importlib.util
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jph.config.model import Component, Config
from jph.errors import ConfigError
from jph.paths import state_dir, static_dir
from tools import options
from tools.gateway.tenta_component import component_in, store_of
from tools.gateway.tenta_serve import ENV_FILE, configured, serve
from tools.gateway.tenta_users import user
from tools.progress import Progress

if TYPE_CHECKING:
    from gateways.store import Store
    from gateways.tenta.importing import Imported

WORDS = {
    "user": "users",
    "network": "networks",
    "sensor": "sensors",
    "permission": "permissions",
    "session": "access tokens",
    "configuration": "revisions of configurations",
    "measurement": "data points",
    "log": "lines of logs",
}


@click.group()
def tenta() -> None:
    """Move from Tenta or hermes to JPH, and look after the users of its API."""


tenta.add_command(serve)
tenta.add_command(user)


@tenta.command()
@click.option(
    "--populate", is_flag=True, help="Add two networks with twelve example sensors, and a user."
)
@click.option(
    "--env-file", type=ENV_FILE, help="A .env file, by which the configuration is made first."
)
@click.option("-c", "--code", metavar="CODE", help="The Tenta component, if not the first one.")
@options.network
def initialize(
    populate: bool, env_file: Path | None, code: str | None, source: str, home: Path
) -> None:
    """Make the tables in the store, which the gateway would do at its first start.

    The password of the example user is shown once.
    """
    from gateways.store import Store
    from gateways.tenta import tables

    if env_file is not None:
        source = str(configured(env_file, home, {}))
    with options.wrong_config(source):
        gateway = component_in(options.load(source, home), code)
        url, password_file = store_of(gateway)
    with (
        options.telling_why(),
        closing(Store.open(url, home, password_file, tables.STEPS)) as store,
        store.writing(),
    ):
        name = store.name
    click.echo(f"{name} has the tables of Tenta")
    if populate:
        _populate(gateway, home)


def _populate(gateway: Component, home: Path) -> None:
    """Put the examples into the store of a gateway, and say how to ask for them."""
    from gateways.tenta.examples import component as examples

    with options.telling_why():
        added = examples.populate(gateway, home)
        password = examples.add_user(gateway, home)
    click.echo(f"{added} new example sensors")
    if password is None:
        click.echo(
            f"the user {examples.USER} is there; jph gateway tenta user add {examples.USER}"
            " gives it a new password"
        )
    else:
        click.echo(f"user of the API: {examples.USER}, password: {password}")


@tenta.command()
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for all files that JPH writes; by default one of its own.",
)
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the pages.")
@click.pass_context
def develop(ctx: click.Context, home: Path | None, port: int | None) -> None:
    """Run a broker, the gateway, the pages and example sensors, to try things out."""
    from tools.up import up

    document = str(static_dir() / "examples" / "tenta.json")
    place = home or state_dir() / "tenta-develop"
    _populate(component_in(options.load(document, place), None), place)
    ctx.invoke(up, source=document, home=place, port=port, take_over=False)


@tenta.command("import")
@click.argument("url")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="File with the password for the database at URL.",
)
@click.option("--to", metavar="URL", help="Store; by default that of the Tenta component.")
@click.option(
    "--to-password-file",
    type=click.Path(path_type=Path),
    help="File with the password for the store of --to.",
)
@click.option("-c", "--code", metavar="CODE", help="The Tenta component, if not the first one.")
@options.network
def import_(
    url: str,
    password_file: Path | None,
    to: str | None,
    to_password_file: Path | None,
    code: str | None,
    source: str,
    home: Path,
) -> None:
    """Take over what Tenta or hermes has stored in the PostgreSQL database at URL.

    Nothing there is changed. You may interrupt it and run it again, also while both servers run:
    run it once more after the old one has ended.
    """
    try:
        from gateways.store import Store
        from gateways.tenta import tables
        from gateways.tenta.configurations import Outgoing
        from gateways.tenta.importing import take_over
        from gateways.tenta.originals import Original
    except ImportError as error:
        raise click.ClickException(
            f"needs packages ({error}): pip install 'jph[gateways,postgres]'"
        ) from error
    outgoing = None
    if to is None:
        with options.wrong_config(source):
            component = target_in(options.load(source, home), code)
            to, to_password_file = store_of(component)
            base = component.settings.get("BaseTopic") or ""
            outgoing = Outgoing(component.codifier, str(base))
    with (
        options.telling_why(),
        closing(Store.open(to, home, to_password_file, tables.STEPS)) as store,
        closing(Original(url, password_file)) as original,
    ):
        imported = take_over(original, store, _Shown(), outgoing)
        _tell(imported, original.name, store)


def target_in(config: Config, code: str | None) -> Component:
    """Return the Tenta component whose store is meant; see `component_in`."""
    try:
        return component_in(config, code)
    except ConfigError as error:
        raise ConfigError(f"{error}, or name the store by --to") from None


class _Shown:
    """Shows the progress of one kind after the other."""

    def __init__(self) -> None:
        self._kind, self._done = "", 0
        self._progress: Progress | None = None

    def __call__(self, kind: str, done: int, total: int) -> None:
        if kind != self._kind:
            self._kind, self._done = kind, 0
            self._progress = Progress(WORDS[kind], total)
        if self._progress is not None:
            self._progress.add(done - self._done)
            self._done = done
            if done >= total:
                self._progress.end()


def _tell(imported: "Imported", name: str, store: "Store") -> None:
    """Print what was brought, and what a person must know of it."""
    from sqlalchemy import func, select

    from gateways.tenta import tables

    new = {WORDS[kind]: count for kind, count in imported.added.items() if count}
    counts = ", ".join(f"{count:,} {words}" for words, count in new.items())
    click.echo(f"{name} -> {store.name}: {counts or 'nothing new'}")
    for kind, before, now in imported.renamed:
        click.echo(f"the {kind} {before} is {now} here, where another one had that name")
    if imported.left_out:
        click.echo(f"{imported.left_out:,} values are no finite numbers or have no time: left out")
    hashed = tables.user.c.password_hash
    with store.reading() as connection:
        query = select(func.count()).where(hashed.startswith("$argon2"))
        users = connection.scalar(query) or 0
    if users and importlib.util.find_spec("argon2") is None:
        click.echo(
            f"{users:,} users have a password of Tenta, which needs a package: "
            "pip install argon2-cffi; access tokens work without it"
        )
