"""The `jph` command."""

import importlib

import click

# Subcommand -> module:attribute; imported when it is called, so that each starts fast.
COMMANDS = {
    "backup": "tools.backup:backup",
    "alerts": "tools.alerts:alerts",
    "config": "tools.config_check:config",
    "control": "tools.control:control",
    "db": "tools.db:db",
    "generateSQL": "tools.generate_sql:generate_sql",
    "history": "tools.history.command:history",
    "restore": "tools.backup:restore",
    "run": "tools.up:run",
    "token": "tools.token:token",
    "up": "tools.up:up",
    "user": "tools.user:user",
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="jph", prog_name="jph")
def main() -> None:
    """JPH, a sensor bus for a local network."""


if __name__ == "__main__":
    main()
