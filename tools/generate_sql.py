"""`jph generateSQL`: the SQL that provisions the database from the configuration, for psql."""

import sys
from pathlib import Path

import click

from jph.bus.wire import is_codifier
from jph.config.model import Config
from jph.errors import ConfigError, StoreError
from jph.files import password_in
from tools import addresses, options, provision
from tools.addresses import Target

HEAD = (
    "-- For psql, as a role that may make roles and databases: jph generateSQL … |"
    " sudo -u postgres psql"
)
LATER = "-- The Statistics component computes what is marked here, oldest first."


class _Code(click.ParamType[str]):
    name = "code"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value)
        if not is_codifier(text):
            self.fail(f"{text!r} is no Codifier: two printable ASCII characters", param, ctx)
        return text


CODE = _Code()


@click.command("generateSQL")
@options.source
@options.home
@click.option("-c", "--code", "writer", type=CODE, help="Of this HistoryWriter, not of the first.")
@click.option("-d", "--database", "whole", is_flag=True, help="Role, database, tables, views.")
@click.option("-f", "--force", is_flag=True, help="With -d: drop them first, with all readings.")
@click.option("-l", "--limit", "only", type=CODE, help="Only the views of one Codifier.")
@click.option("-s", "--statistics", "one", type=CODE, help="Compute statistics of one anew.")
@click.option("-S", "--all-statistics", "every", is_flag=True, help="Compute all of them anew.")
@click.option("-p", "--password", "person", metavar="USER:PASSWORD", help="Add or change a user.")
@click.option("-T", "--truncate", is_flag=True, help="Delete all readings and statistics.")
def generate_sql(
    source: str,
    home: Path,
    writer: str | None,
    whole: bool,
    force: bool,
    only: str | None,
    one: str | None,
    every: bool,
    person: str | None,
    truncate: bool,
) -> None:
    """Print the SQL that makes the database of the configuration.

    Pipe it into psql, run by a role that may make roles and databases. It may be run again.
    """
    if force and not whole:
        raise click.UsageError("-f drops the database, so it needs -d, which makes it again")
    if not (whole or only or one or every or person or truncate):
        raise click.UsageError("nothing asked for: give -d, -l, -s, -S, -p or -T")
    config = options.load(source, home)
    target = addresses.target_in(config, source, writer)
    user = None if person is None else _hashed(person)
    try:
        lines = [HEAD, *provision.begin()]
        if whole:
            lines += _whole(config, source, target, writer, force, only)
        else:
            lines += [*_connected(target), *provision.become(target.role)]
        if only and not whole:
            lines += provision.make_views(*_known(config, only), [only])
        if truncate:
            lines += provision.truncate()
        if one or every:
            lines += [LATER, *provision.rebuild_statistics(None if every else one)]
        if user:
            lines += provision.set_user(*user)
    except ConfigError as error:
        raise options.WrongConfig(error, source) from error
    except StoreError as error:  # a password file
        raise options.WrongConfig(ConfigError(str(error)), source) from error
    click.echo("\n".join([*lines, ""]).encode(), nl=False)  # UTF-8, whatever the locale


def _whole(
    config: Config, source: str, target: Target, writer: str | None, force: bool, only: str | None
) -> list[str]:
    database, role = provision.check_name(target.database), provision.check_name(target.role)
    others = addresses.others_in(config, addresses.address_in(config, source, writer), target)
    codifiers, data_types = _known(config, only)
    lines = provision.drop(database, role) if force else []
    for each in (target, *others):
        file = each.password_file
        password = None if file is None else password_in(file)
        lines += provision.make_role(provision.check_name(each.role), password)
    lines += provision.join(role)
    lines += provision.make_database(database, role)
    lines += provision.connect(database)
    lines += provision.grant(database, role, provision.view_names(codifiers))
    for other, writes in others.items():
        if writes:
            lines += provision.grant_to_other(database, role, other.role, True)
    lines += provision.become(role)
    lines += provision.make_tables()
    lines += provision.make_views(codifiers, data_types, None if only is None else [only])
    for other, writes in others.items():
        if not writes:
            lines += ["RESET ROLE;"]
            lines += provision.grant_to_other(database, role, other.role, False)
            lines += provision.become(role)
    return lines


def _connected(target: Target) -> list[str]:
    provision.check_name(target.role)
    return provision.connect(provision.check_name(target.database))


def _known(config: Config, further: str | None) -> tuple[list[str], dict[str, str]]:
    """Return the Codifiers that have views, and what kind of readings those of Sensors have."""
    components = config.components.values()
    codifiers = [component.codifier for component in components]
    codifiers += [proxy for component in components for proxy in component.serves]
    data_types: dict[str, str] = {each.codifier: each.data_type for each in components}
    return list(dict.fromkeys([*codifiers, *filter(None, [further])])), data_types


def _hashed(person: str) -> tuple[str, str]:
    """Return name and bcrypt hash from `user:password`; without the colon it is asked for."""
    try:
        import bcrypt

        from web.users import check_name, check_password
    except ImportError as error:
        raise click.ClickException(f"-p needs pip install 'jph[web]' ({error})") from error
    name, colon, password = person.partition(":")
    if not colon:
        if sys.stdin.isatty():
            password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        else:
            password = sys.stdin.readline().rstrip("\r\n")
    try:
        check_name(name)
        check_password(password)
        return name, bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="-p") from error
