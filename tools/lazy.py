"""Groups whose commands are imported when they are called, so that each starts fast."""

import importlib
from collections.abc import Mapping

import click


class LazyGroup(click.Group):
    """A group of commands by name.

    Args:
        modules: subcommand to module:attribute.
    """

    def __init__(self, *arguments: object, modules: Mapping[str, str], **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._modules:
            return None
        module, _, attribute = self._modules[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command
