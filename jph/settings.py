"""Settings of a component: from a JSON object to the arguments of a dataclass.

A field of the dataclass is a setting. Its key in the JSON document is the field's name in
PascalCase (`sensor_interval_s` -> `SensorInterval`, `url` -> `URL`) unless `setting` names
another. Its annotation says what may stand there: text, numbers, booleans, None, Literal, Path,
lists, tuples, mappings, unions of them, and other dataclasses; `null` counts as absent where None
is no value. `jph.config.schema` describes the same fields, so that keys, bounds and defaults stand
in one place.
"""

import math
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from types import EllipsisType, NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from jph.errors import ConfigError

INJECTED = frozenset({"codifier", "channel", "config", "home"})  # given by the node, never read

_CAPITALS = {"url": "URL", "sql": "SQL", "ttl": "TTL"}
_UNITS = {"s": "s", "hz": "Hz", "mb": "MB", "v": "V", "kohm": "kΩ", "days": "days", "bytes": "B"}
_WORDS: dict[object, str] = {
    str: "text",
    Path: "text",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a class.

    Args:
        hint: what may stand there, as a resolved annotation.
        default: the value when the key is absent; MISSING if it is required.
        gt, ge, le: bounds of the number, or of each number in it.
    """

    name: str
    key: str
    hint: Any
    default: object
    gt: float | None = None
    ge: float | None = None
    le: float | None = None
    doc: str = ""
    title: str = ""

    @property
    def unit(self) -> str:
        """The unit of the number, which the field's name ends with; empty if it has none."""
        head, _, word = self.name.rpartition("_")
        return _UNITS.get(word, "") if head else ""

    @property
    def is_required(self) -> bool:
        """Tell whether the key must be there."""
        return self.default is MISSING

    @property
    def takes_null(self) -> bool:
        """Tell whether null is a value of its own."""
        return accepts_none(self.hint)

    def out_of_bounds(self, number: float) -> str | None:
        """Return the bound that a number breaks, in words; None if it is within its bounds."""
        if self.gt is not None and not number > self.gt:
            return f"must be > {number_text(self.gt)}"
        if self.ge is not None and not number >= self.ge:
            return f"must be >= {number_text(self.ge)}"
        if self.le is not None and not number <= self.le:
            return f"must be <= {number_text(self.le)}"
        return None


def setting(
    default: object = ...,
    *,
    key: str | None = None,
    gt: float | None = None,
    ge: float | None = None,
    le: float | None = None,
    doc: str = "",
    form: object = None,
    title: str = "",
) -> Any:
    """Declare a field of a dataclass as a setting.

    Args:
        default: without it the setting is required; a list or dict is copied for each instance.
        key: its name in the JSON object, if it is not the field's name in PascalCase.
        gt, ge, le: bounds of a number.
        doc: its meaning in a few words, with the unit.
        form: annotation of the JSON value, if it is not the field's own.
        title: its label in a form, if it is not the words of its key.
    """
    metadata = {"key": key, "gt": gt, "ge": ge, "le": le, "doc": doc, "form": form, "title": title}
    if isinstance(default, EllipsisType):
        return field(metadata=metadata)
    if isinstance(default, list | dict | set):
        return field(default_factory=lambda: copy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def arguments(
    cls: type,
    settings: Mapping[str, object],
    path: str,
    *,
    without: frozenset[str] = INJECTED,
) -> dict[str, object]:
    """Return the constructor's arguments that a JSON object gives, defaults left out.

    Args:
        cls: a dataclass; another class has no settings, it reads `channel.component.settings`.
        settings: the JSON object; keys that the class does not know are left out.
        path: where the object stands in the document, for error messages.
        without: names of fields that are no settings.

    Raises:
        ConfigError: a key is missing or a value is wrong; names every such key.
    """
    mistakes: list[str] = []
    result = _arguments(cls, settings, path, without, mistakes)
    if mistakes:
        raise ConfigError(mistakes)
    return result


@lru_cache(maxsize=256)
def settings_of(cls: type, without: frozenset[str] = INJECTED) -> tuple[Setting, ...]:
    """Return the settings of a dataclass in the order of its fields; none of another class."""
    if not is_dataclass(cls):
        return ()
    return tuple(
        _setting(cls, item)
        for item in fields(cls)
        if item.init and item.name not in without and not item.name.startswith("_")
    )


def key_of(name: str) -> str:
    """Return the JSON key of a field name: its words with capitals; URL, SQL and TTL in full.

    A final `_s` is left out, since seconds are the unit of time of the document.
    """
    words = name.removesuffix("_s").split("_")
    return "".join(_CAPITALS.get(word, word[:1].upper() + word[1:]) for word in words)


def title_of(key: str) -> str:
    """Return a key as the words of a label: KeepAliveInterval is Keep alive interval."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+[a-z]*", key)
    text = " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)
    return text[:1].upper() + text[1:]


def accepts_none(hint: object) -> bool:
    """Tell whether null is a value of this annotation."""
    return hint in (Any, object, NoneType) or NoneType in get_args(hint)


def options_of(hint: object) -> tuple[object, ...]:
    """Return the members of a union, without None; any other annotation is its own only one."""
    if get_origin(hint) in (Union, UnionType):
        return tuple(option for option in get_args(hint) if option is not NoneType)
    return (hint,)


def has_shape(hint: object, value: object) -> bool:
    """Tell whether a JSON value is of the kind that an annotation asks for, its parts apart."""
    origin = get_origin(hint) or hint
    if origin in (Any, object):
        return True
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(hint))
    if origin in (str, Path):
        return isinstance(value, str)
    if origin is bool:
        return isinstance(value, bool)
    if origin is int:
        return _is_number(value) and (isinstance(value, int) or cast(float, value).is_integer())
    if origin is float:
        return _is_number(value)
    if is_list(hint):
        return isinstance(value, list | tuple)
    return isinstance(value, Mapping)


def is_list(hint: object) -> bool:
    """Tell whether a JSON list stands for this annotation."""
    origin = get_origin(hint) or hint
    return isinstance(origin, type) and origin is not str and issubclass(origin, Sequence)


def item_of(hint: object) -> object:
    """Return the annotation of the items of a list or of the values of a mapping."""
    given = [argument for argument in get_args(hint) if argument is not ...]
    return given[-1] if given else object


def expected(hint: object) -> str:
    """Return the words for an annotation that follow "must be"."""
    options = options_of(hint)
    if len(options) > 1:
        return " or ".join(dict.fromkeys(expected(option) for option in options))
    (option,) = options
    if get_origin(option) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(option))
    if is_list(option):
        return "a list"
    return _WORDS.get(option, "an object")


def lines_of(error: ValueError) -> list[str]:
    """Return the mistakes that an error names: its arguments, where there are several texts."""
    several = len(error.args) > 1 and all(isinstance(it, str) for it in error.args)
    return list(error.args) if several else [str(error)]


def unquoted(value: object) -> object:
    """Return the number in a text that is one, as older configurations write them: "2"."""
    if not isinstance(value, str) or not value.isascii():
        return value
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def number_text(number: float) -> str:
    """Return a bound as a person writes it."""
    return str(int(number)) if number == int(number) else str(number)


def _setting(cls: type, item: Field[Any]) -> Setting:
    data = item.metadata
    default = item.default
    if item.default_factory is not MISSING:
        default = item.default_factory()
    key = data.get("key") or key_of(item.name)
    return Setting(
        item.name,
        key,
        data.get("form") or _resolved(cls, item),
        default,
        data.get("gt"),
        data.get("ge"),
        data.get("le"),
        data.get("doc", ""),
        data.get("title") or title_of(key),
    )


def _resolved(cls: type, item: Field[Any]) -> object:
    """Resolve one annotation.

    Not those of the whole class: an injected field may name a class that only a type checker
    imports.
    """
    alone = SimpleNamespace(__annotations__={"it": item.type})
    for base in cls.__mro__:
        names = vars(sys.modules.get(base.__module__, SimpleNamespace()))
        try:
            return get_type_hints(alone, globalns=dict(names))["it"]
        except NameError:
            continue
    raise TypeError(f"{cls.__qualname__}.{item.name}: cannot resolve {item.type!r}")


def _arguments(
    cls: type,
    settings: Mapping[str, object],
    path: str,
    without: frozenset[str],
    mistakes: list[str],
) -> dict[str, object]:
    result: dict[str, object] = {}
    for item in settings_of(cls, without):
        value = settings.get(item.key)
        where = f"{path}.{item.key}" if path else item.key
        if item.key not in settings or (value is None and not item.takes_null):
            if item.is_required:
                mistakes.append(f"{where}: is required")
        else:
            result[item.name] = _value(item, item.hint, value, where, mistakes)
    return result


def _value(item: Setting, hint: Any, value: object, path: str, mistakes: list[str]) -> object:
    """Return the Python value of a JSON value, or add to the mistakes."""
    if value is None and accepts_none(hint):
        return None
    if not any(has_shape(o, value) for o in options_of(hint)):
        value = unquoted(value)
    option = next((o for o in options_of(hint) if has_shape(o, value)), None)
    if option is None:
        mistakes.append(f"{path}: must be {expected(hint)}")
        return None
    if isinstance(option, type) and is_dataclass(option) and isinstance(value, Mapping):
        before = len(mistakes)
        found = _arguments(option, value, path, frozenset(), mistakes)
        if len(mistakes) > before:
            return None
        try:
            return option(**found)
        except ValueError as error:  # of its __post_init__: settings that disagree
            mistakes += [f"{path}.{line}" for line in lines_of(error)]
            return None
    if is_list(option) and isinstance(value, list | tuple):
        inner = item_of(option)
        values = [_value(item, inner, v, f"{path}[{i}]", mistakes) for i, v in enumerate(value)]
        return tuple(values) if (get_origin(option) or option) is tuple else values
    if isinstance(value, Mapping) and option not in (Any, object):
        inner = item_of(option)
        return {k: _value(item, inner, v, f"{path}.{k}", mistakes) for k, v in value.items()}
    if option in (int, float):
        return _number(item, option, value, path, mistakes)
    return _path(value) if option is Path and isinstance(value, str) else value


def _path(text: str) -> Path:
    with suppress(RuntimeError):  # who runs this has no home
        return Path(text).expanduser()
    return Path(text)


def _number(item: Setting, option: Any, value: Any, path: str, mistakes: list[str]) -> object:
    try:
        number: float = option(value)
    except OverflowError:  # a whole number beyond 1.8e308
        number = math.inf
    is_finite = isinstance(number, int) or math.isfinite(number)
    wrong = item.out_of_bounds(number) if is_finite else "must be a finite number"
    if wrong:
        mistakes.append(f"{path}: {wrong}")
    return number


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
