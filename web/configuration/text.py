"""The text of the configuration, changed where its values changed and nowhere else.

What a person wrote stays theirs: order, indentation, comments, and what stands on one line.
"""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import pairwise
from json.decoder import scanstring  # type: ignore[attr-defined]

from jph.config import document
from jph.errors import ConfigError

SPACE = re.compile(r"[ \t\n\r]*")
LITERAL = re.compile(r"[^\s,\]}]+")
SHORT = 100  # letters of a new object that stands on one line


@dataclass(slots=True)
class _Node:
    """A value in the text, from `start` to `end`.

    Args:
        parts: the members of an object, or the items of a list.
    """

    start: int
    end: int
    value: object
    parts: list["_Part"] = field(default_factory=list)


@dataclass(slots=True)
class _Part:
    """A member or an item, which begins with its key if it has one.

    Args:
        name: what it is known by in its container.
    """

    start: int
    name: object
    node: _Node


def merged(text: str, wanted: object) -> str:
    """Return a text of this document that differs from the given one as little as it can.

    Args:
        text: JSON that `jph.config.document.parse` takes.
    """
    node = _scan(text, _behind_space(text, 0))
    return text[: node.start] + _render(text, node, wanted) + text[node.end :]


def written(wanted: Mapping[str, object] | str, old: bytes) -> bytes:
    """Return the bytes to write for a document, or a text, in the place of others."""
    mark = BOM_UTF8 if old.startswith(BOM_UTF8) else b""
    if isinstance(wanted, str):
        return mark + wanted.encode("utf-8", "surrogatepass")
    try:
        document.parse(old)
        return mark + merged(old.decode("utf-8-sig"), wanted).encode("utf-8", "surrogatepass")
    except ConfigError:  # what stands there is no JSON
        return dumped(wanted)


def dumped(content: Mapping[str, object]) -> bytes:
    """Return the text of a document that has none."""
    return (json.dumps(content, ensure_ascii=False, indent=2, default=str) + "\n").encode()


def parsed(text: bytes) -> Mapping[str, object]:
    """Return the document of a text, an empty one if it is none."""
    with suppress(ConfigError):
        if isinstance(content := document.parse(text), dict):
            return content
    return {}


def position_of(text: str, path: str) -> tuple[int, int]:
    """Return line and column, from 1, of a path such as `Sensors[3].Sensor.Pipe`.

    Of a key that is not there, they are those of what it should stand in.
    """
    node = _scan(text, _behind_space(text, 0))
    place = node.start
    rest = path
    while rest:
        for part in node.parts:
            step = f"[{part.name}]" if isinstance(node.value, list) else str(part.name)
            behind = rest[len(step) :]
            if rest.startswith(step) and behind[:1] in ("", ".", "["):
                node, place, rest = part.node, part.start, behind.removeprefix(".")
                break
        else:
            break
    return text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)


def is_same(one: object, other: object) -> bool:
    """Tell whether two JSON values mean the same; true is not 1, but 1.0 is."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return one == other


def codifiers_of(items: Iterable[object]) -> list[object] | None:
    """Return the Codifiers of a list of components, by which they are known; None for others."""
    found: list[object] = []
    for item in items:
        codifier = item.get("Codifier") if isinstance(item, Mapping) else None
        if not isinstance(codifier, str) or codifier in found:
            return None
        found.append(codifier)
    return found


# Reading


def _scan(text: str, start: int) -> _Node:
    if text[start] == '"':
        value, end = scanstring(text, start + 1, True)
        return _Node(start, end, value)
    if text[start] in "{[":
        return _scan_container(text, start)
    found = LITERAL.match(text, start)
    assert found is not None
    return _Node(start, found.end(), json.loads(found[0]))


def _scan_container(text: str, start: int) -> _Node:
    is_object = text[start] == "{"
    parts: list[_Part] = []
    place = _behind_space(text, start + 1)
    while text[place] not in "}]":
        begin, name = place, len(parts)
        if is_object:
            name, place = scanstring(text, place + 1, True)
            place = _behind_space(text, _behind_space(text, place) + 1)
        node = _scan(text, place)
        parts.append(_Part(begin, name, node))
        place = _behind_space(text, node.end)
        if text[place] == ",":
            place = _behind_space(text, place + 1)
    values = [part.node.value for part in parts]
    value: object = values
    if is_object:
        value = dict(zip((str(part.name) for part in parts), values, strict=True))
    return _Node(start, place + 1, value, parts)


def _behind_space(text: str, place: int) -> int:
    found = SPACE.match(text, place)
    assert found is not None
    return found.end()


# Writing


def _render(text: str, node: _Node, value: object) -> str:
    """Return the text of a value in the place of a node."""
    if is_same(node.value, value):
        return text[node.start : node.end]
    if node.parts and value:
        if isinstance(node.value, dict) and isinstance(value, Mapping):
            wanted = {key: (f"{_dumps(key)}: ", item) for key, item in value.items()}
            return _render_parts(text, node, list(value), wanted)
        if isinstance(node.value, list) and isinstance(value, list):
            names = _names(node, value)
            wanted = {name: ("", item) for name, item in zip(names, value, strict=True)}
            return _render_parts(text, node, names, wanted)
    return _new(value, _indentation(text, node.start))


def _names(node: _Node, value: list[object]) -> list[object]:
    """Name the items of a new list after those of the old one that they come from.

    Components are known by their Codifiers; other items by what they hold, or else by their place.
    """
    old = [part.node.value for part in node.parts]
    before, after = codifiers_of(old), codifiers_of(value)
    if before is not None and after is not None:
        for part, codifier in zip(node.parts, before, strict=True):
            part.name = codifier
        return after
    if len(old) == len(value):
        return list(range(len(value)))
    names: list[object] = [("new", place) for place in range(len(value))]
    one, other = ([_dumps(item) for item in items] for items in (old, value))
    for at, to, size in SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks():
        names[to : to + size] = range(at, at + size)
    return names


def _render_parts(
    text: str,
    node: _Node,
    names: Sequence[object],
    wanted: Mapping[object, tuple[str, object]],
) -> str:
    """Return an object or a list: the parts that stay in their order, new ones between them."""
    kept = [part for part in node.parts if part.name in wanted]
    place = {name: at for at, name in enumerate(names)}
    if isinstance(node.value, list) and any(
        place[one.name] > place[following.name] for one, following in pairwise(kept)
    ):
        # Items in another order: those that stand still now would be a riddle.
        return _new([wanted[name][1] for name in names], _indentation(text, node.start))
    by_name = {part.name: part for part in kept}
    order = [part.name for part in kept]
    at = 0
    for name in names:  # behind the one that it stands behind in the new value
        if name in by_name:
            at = order.index(name) + 1
        else:
            order.insert(at, name)
            at += 1
    gap_before = _gaps(text, node)
    usual = next(iter(list(gap_before.values())[1:]), None)
    head = text[node.start : node.parts[0].start]
    gap = usual or "," + (head[1:] or " ")
    result = head
    for index, name in enumerate(order):
        part = by_name.get(name)
        if index:
            old = gap_before.get(name) if part else None
            gap = old or gap
            result += gap
        key, value = wanted[name]
        if part is None:
            result += key + _new(value, _last_line(result))
        else:
            result += text[part.start : part.node.start] + _render(text, part.node, value)
    return result + text[node.parts[-1].node.end : node.end]


def _gaps(text: str, node: _Node) -> dict[object, str]:
    """Return for each part what separates it from the one before; nothing for the first."""
    found: dict[object, str] = {node.parts[0].name: ""}
    for one, other in pairwise(node.parts):
        found[other.name] = text[one.node.end : other.start]
    return found


def _indentation(text: str, place: int) -> str:
    """Return the space at the beginning of the line of a place."""
    return _last_line(text[text.rfind("\n", 0, place) + 1 : place])


def _last_line(text: str) -> str:
    found = re.match(r"[ \t]*", text[text.rfind("\n") + 1 :])
    return found[0] if found else ""


def _new(value: object, indentation: str) -> str:
    """Return the text of a value: on one line if it is short, else with its parts on their own."""
    line = _dumps(value)
    parts: Sequence[tuple[str, object]] = ()
    if isinstance(value, Mapping):
        parts = [(f"{_dumps(key)}: ", item) for key, item in value.items()]
    elif isinstance(value, list):
        parts = [("", item) for item in value]
    if len(line) <= SHORT or not parts:
        return line
    inner = indentation + "  "
    body = f",\n{inner}".join(key + _new(item, inner) for key, item in parts)
    open_, close = line[0], line[-1]
    return f"{open_}\n{inner}{body}\n{indentation}{close}"


_dumps: Callable[[object], str] = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
