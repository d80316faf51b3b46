"""The `jph` command."""

import click

from tools.lazy import LazyGroup

COMMANDS = {
    "backup": "tools.backup:backup",
    "alerts": "tools.alerts:alerts",
    "config": "tools.config_check:config",
    "control": "tools.control:control",
    "db": "tools.db:db",
    "doctor": "tools.doctor:doctor",
    "gateway": "tools.gateway.command:gateway",
    "generateSQL": "tools.generate_sql:generate_sql",
    "history": "tools.history.command:history",
    "restore": "tools.backup:restore",
    "run": "tools.up:run",
    "token": "tools.token:token",
    "up": "tools.up:up",
    "user": "tools.user:user",
}


@click.group(
    cls=LazyGroup, modules=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="jph", prog_name="jph")
def main() -> None:
    """JPH, a sensor bus for a local network."""


if __name__ == "__main__":
    main()
