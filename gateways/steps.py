"""A step of the schema of a store, for both kinds of database."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the schema of a part. A released step never changes; a change is a new step.

    Args:
        part: whose tables these are; its steps count from 1 in the order they are given.
        sqlite: statements.
        postgresql: statements; a percent sign stands for itself.
    """

    part: str
    sqlite: tuple[str, ...]
    postgresql: tuple[str, ...]
