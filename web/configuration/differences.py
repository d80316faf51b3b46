"""What two documents of the configuration have different, by the paths of their keys."""

import json
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from difflib import unified_diff
from typing import Any, NamedTuple

from web.configuration.text import codifiers_of, is_same

Path = tuple[str | int, ...]

ORDER = "(order)"  # last step of the path where components stand in another order


class _Absent:
    """Stands for the value of a key that is not there."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


class Difference(NamedTuple):
    """One value that differs.

    Args:
        path: keys and places from the top; a component is named by its Codifier.
        before, after: the values; ABSENT where there is none.
    """

    path: Path
    before: object
    after: object

    @property
    def codifier(self) -> str:
        """The component that it belongs to; empty for the whole network."""
        is_inside = len(self.path) > 1 and self.path[0] == "Sensors"
        return str(self.path[1]) if is_inside else ""


def differences(before: object, after: object, path: Path = ()) -> list[Difference]:
    """Return what differs, in the order of the documents."""
    return list(_differences(before, after, path))


def _differences(before: object, after: object, path: Path) -> Iterator[Difference]:
    if is_same(before, after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _of_members(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        names, others = codifiers_of(before), codifiers_of(after)
        if before and after and names is not None and others is not None:
            yield from _of_members(
                dict(zip(map(str, names), before, strict=True)),
                dict(zip(map(str, others), after, strict=True)),
                path,
            )
            common = [name for name in others if name in names]
            if common != [name for name in names if name in others]:
                yield Difference((*path, ORDER), names, others)
        elif len(before) == len(after):
            for place, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from _differences(one, other, (*path, place))
        else:
            yield Difference(path, before, after)
    else:
        yield Difference(path, before, after)


def _of_members(
    before: Mapping[str, object], after: Mapping[str, object], path: Path
) -> Iterator[Difference]:
    for key in [*before, *(key for key in after if key not in before)]:
        one, other = before.get(key, ABSENT), after.get(key, ABSENT)
        if one is ABSENT or other is ABSENT:
            yield Difference((*path, key), one, other)
        else:
            yield from _differences(one, other, (*path, key))


def applied(document: object, changes: Iterable[Difference]) -> Any:
    """Return a copy of a document with these changes, where what they change is still there."""
    result = deepcopy(document)
    for change in changes:
        if change.path[-1:] == (ORDER,):
            continue
        target = result
        for step in change.path[:-1]:
            target = _inside(target, step)
        _put(target, change.path[-1], deepcopy(change.after))
    return result


def overlapping(mine: Iterable[Difference], theirs: Iterable[Difference]) -> list[Difference]:
    """Return those of mine that touch what theirs touch, and to another end."""
    others = list(theirs)
    return [
        one
        for one in mine
        if any(
            (one.path[: len(other.path)] == other.path or other.path[: len(one.path)] == one.path)
            and not (one.path == other.path and is_same(one.after, other.after))
            for other in others
        )
    ]


def path_text(path: Path) -> str:
    """Return a path as people read it: Sensors[LA].Sensor.Pipe."""
    text = ""
    for place, step in enumerate(path):
        if isinstance(step, int) or (place == 1 and path[0] == "Sensors"):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def value_text(value: object) -> str:
    """Return a value as people read it in a list of differences; empty for none."""
    return "" if value is ABSENT else json.dumps(value, ensure_ascii=False)


def text_differences(before: str, after: str) -> list[str]:
    """Return the lines that differ, with some around them; each begins with -, +, @ or a space."""
    lines = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    return list(lines)[2:]


def _inside(container: Any, step: str | int) -> Any:
    if isinstance(container, list) and isinstance(step, str):
        return next(
            (it for it in container if isinstance(it, dict) and it.get("Codifier") == step), None
        )
    try:
        return container[step]
    except (KeyError, IndexError, TypeError):
        return None


def _put(container: Any, step: str | int, value: object) -> None:
    if isinstance(container, list) and isinstance(step, str):
        found = _inside(container, step)
        if value is not ABSENT:
            container.append(value) if found is None else container.__setitem__(
                container.index(found), value
            )
        elif found is not None:
            container.remove(found)
    elif isinstance(container, list) and isinstance(step, int) and step < len(container):
        container[step] = value
    elif isinstance(container, dict):
        if value is ABSENT:
            container.pop(step, None)
        else:
            container[step] = value
