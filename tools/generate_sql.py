"""`jph generateSQL`: SQL for psql that makes the database of the configuration."""

import functools
from pathlib import Path

import click

from jph.bus.wire import is_codifier
from jph.config.model import Config
from jph.files import password_in
from tools import addresses, options, provision
from tools.addresses import Target

HEAD = (
    "-- For psql, as a role that may make roles and databases: jph generateSQL … |"
    " sudo -u postgres psql"
)
LATER = "-- The Statistics component computes the intervals marked here, oldest first."


def _codifier(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_codifier(value):
        raise click.BadParameter(
            f"{value!r} is not a Codifier, which has two printable ASCII characters"
        )
    return value


_code_option = functools.partial(click.option, metavar="CODE", callback=_codifier)


@click.command("generateSQL")
@options.network
@_code_option("-c", "--code", "writer", help="The HistoryWriter, if not the first one.")
@click.option("-d", "--database", is_flag=True, help="Make role, database, tables, views.")
@click.option("-f", "--force", is_flag=True, help="With -d: drop them first, with all readings.")
@_code_option("-l", "--limit", "--sqlto", "views_of", help="Make only the views of one Codifier.")
@_code_option("-s", "--statistics", "--stats", help="Compute the statistics of one Codifier again.")
@click.option(
    "-S", "--all-statistics", "--allStats", is_flag=True, help="Compute all of them again."
)
@click.option(
    "-p",
    "--password",
    "--user",
    "account",
    metavar="USER:PASSWORD",
    help="Add or change a user.",
)
@_code_option("-t", "emptied", help="Delete the readings and statistics of one Codifier.")
@click.option("-T", "--truncate", is_flag=True, help="Delete all readings and statistics.")
def generate_sql(
    source: str,
    home: Path,
    writer: str | None,
    database: bool,
    force: bool,
    views_of: str | None,
    statistics: str | None,
    all_statistics: bool,
    account: str | None,
    emptied: str | None,
    truncate: bool,
) -> None:
    """Print the SQL that makes the database of the configuration.

    Pipe it into psql, run by a role that may make roles and databases. You may run it again.
    """
    if force and not database:
        raise click.UsageError("-f drops the database; give -d too, which makes it again")
    wanted = (database, views_of, statistics, all_statistics, account, emptied, truncate)
    if not any(wanted):
        raise click.UsageError("there is nothing to print; give -d, -l, -s, -S, -p, -t or -T")
    config = options.load(source, home)
    with options.wrong_config(source):
        target = addresses.target_in(config, writer)
        user = None if account is None else _hashed(account)
        for name in (target.database, target.role):
            provision.check_name(name)
        lines = [HEAD, *provision.BEGIN]
        if database:
            lines += _whole(config, target, force, views_of)
        else:
            lines += [*provision.connect(target.database), *provision.become(target.role)]
            if views_of:
                lines += provision.make_views(*_known(config, views_of), views_of)
        if truncate:
            lines += [provision.TRUNCATE]
        if emptied:
            lines += provision.empty(emptied)
        if statistics or all_statistics:
            codifier = None if all_statistics else statistics
            lines += [LATER, *provision.rebuild_statistics(codifier)]
        if user:
            lines += provision.set_user(*user)
    click.echo("\n".join([*lines, ""]).encode(), nl=False)  # UTF-8, whatever the locale


def _whole(config: Config, target: Target, force: bool, only: str | None) -> list[str]:
    database, role = target.database, target.role
    others = addresses.others_in(config, target)
    codifiers, data_types = _known(config, only)
    lines = provision.drop(database, role) if force else []
    for each in (target, *others):
        password = None if each.password_file is None else password_in(each.password_file)
        lines += provision.make_role(provision.check_name(each.role), password)
    lines += provision.join(role)
    lines += provision.make_database(database, role)
    lines += provision.connect(database)
    lines += provision.grant(database, role, provision.view_names(codifiers))
    lines += provision.become(role)
    lines += provision.make_tables()
    lines += provision.make_views(codifiers, data_types, only)
    if others:  # at the end, since readers are granted the tables and views that are there
        lines += ["RESET ROLE;"]
        for other, writes in others.items():
            lines += provision.grant_to_other(database, role, other.role, writes)
        lines += provision.become(role)
    return lines


def _known(config: Config, further: str | None) -> tuple[list[str], dict[str, str]]:
    """Return the Codifiers that have views, and the DataType of components."""
    codifiers = addresses.codifiers_in(config)
    if further is not None and further not in codifiers:
        codifiers.append(further)
    return codifiers, {code: each.data_type for code, each in config.components.items()}


def _hashed(account: str) -> tuple[str, str]:
    """Return name and bcrypt hash of `user:password`; without a colon, ask for the password."""
    try:
        import bcrypt

        from web.people.users import check_name, check_password
    except ImportError as error:
        raise click.ClickException(f"to use -p, run pip install 'jph[web]' ({error})") from error
    name, colon, password = account.partition(":")
    if not colon:
        password = options.ask_password()
    try:
        check_name(name)
        check_password(password)
        return name, bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="-p") from error
