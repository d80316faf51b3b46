"""Values on their way through a graph: lists of JSON values."""

from collections.abc import Sequence

MOST_VALUES = 4096  # of one message


def as_list(value: object) -> list[object]:
    """Return a value as clients mean it: what is no list counts as a list of one."""
    return value if isinstance(value, list) else [value]


def flat(values: list[object]) -> object:
    """Return a list as a function gets it: of one value, the value."""
    return values[0] if len(values) == 1 else values


def fitted(values: list[object], length: int | None) -> list[object]:
    """Return as many values as an output feature has; null where there are too few."""
    if length is None or len(values) == length:
        return values
    return (values + [None] * (length - len(values)))[:length]


def checked(values: list[object], length: int | None) -> list[object]:
    """Return the values of an input; ValueError if they are more or fewer than it has."""
    if len(values) > MOST_VALUES:
        raise ValueError(f"{len(values)} values in one message; at most {MOST_VALUES} are taken")
    if length is not None and len(values) != length:
        raise ValueError(f"{len(values)} values came, {length} are expected")
    return values


def difference(
    values: Sequence[object], before: Sequence[object], count: int | None
) -> list[object]:
    """Return by how much values differ from the ones before; those behind `count` are tags.

    Raises:
        ValueError: one of them is no number, or there are more or fewer than before.
    """
    count = len(values) if count is None else min(count, len(values))
    if len(before) < count:
        raise ValueError(f"{count} values came, {len(before)} before them")
    pairs = list(zip(values[:count], before[:count], strict=True))
    for value in (each for pair in pairs for each in pair):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"variant needs numbers, not {value!r:.60}")
    return [new - old for new, old in pairs] + list(values[count:])  # type: ignore[operator]
