"""The parts of a page that people copy: indented commands, and blocks of a language."""

import re


def commands(page: str) -> list[str]:
    """Return the commands of the indented blocks of a page, in their order, without comments."""
    without = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    lines = re.findall(r"^    (?:\$ )?(\S.*)$", without, re.MULTILINE)
    return [command for line in lines if (command := re.sub(r"(^|\s)#.*", "", line).rstrip())]


def fenced(page: str, language: str) -> str:
    """Return the only block of a language."""
    [found] = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return found
