"""The full check of a configuration: every mistake at once, each with its path.

The pydantic models are made of the dataclasses of `jph.config` and of the component classes, so
that there is one place for keys, bounds and defaults. `python -m jph.schema` checks the document
on its standard input; this is the only module that imports pydantic.
"""

import dataclasses
import json
import math
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast, get_origin

import pydantic
from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from jph import config, document, registry, rules, settings
from jph.config import Component, Document
from jph.errors import ConfigError
from jph.host import is_same_host, this_host

_TAG = "|"  # begins the parts of an error's place that name an option of a union

_WORDS = {
    "missing": "is required",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "greater_than": "must be > {gt}",
    "greater_than_equal": "must be >= {ge}",
    "less_than_equal": "must be <= {le}",
}


class Model(pydantic.BaseModel):
    """Base of the models: JSON types as they are, null as absent, unknown keys left out."""

    model_config = ConfigDict(strict=True, extra="ignore", protected_namespaces=())
    takes_null: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, content: object) -> object:
        if not isinstance(content, Mapping):
            return content
        return {k: v for k, v in content.items() if v is not None or k in cls.takes_null}


def check(content: object) -> tuple[list[str], list[str]]:
    """Return the mistakes and the warnings of a parsed document, in its order."""
    if not isinstance(content, dict):
        return ["the document must be an object"], []
    mistakes = _mistakes(Document, content, "")
    mistakes += config.channel_mistakes(content.get("Multicast"))
    mistakes += rules.logging_mistakes(content.get("Logging"))
    mistakes += [
        f"{path}: must not hold a password; name the file that holds it in PasswordFile"
        for path, value in document.walk(content)
        if isinstance(value, str) and document.holds_password(value)
    ]
    warnings = _unknown_keys(Document, content, "")
    network = rules.network_of(content.get("Sensors"))
    for index, entry in enumerate(rules.as_list(content.get("Sensors"))):
        if isinstance(entry, dict):
            found = _check_component(entry, index, network)
            mistakes += found[0]
            warnings += found[1]
    # A Proxy item without Codifier breaks the rules of its type and those of the network.
    return sorted(dict.fromkeys(mistakes), key=_place), sorted(warnings, key=_place)


def model_of(cls: type, without: frozenset[str] = frozenset()) -> type[Model]:
    """Return the pydantic model of a dataclass whose fields are settings."""
    return _model_of(cls, without)


@lru_cache(maxsize=256)
def _model_of(cls: type, without: frozenset[str]) -> type[Model]:
    own = settings.settings_of(cls, without)
    parts: dict[str, Any] = {}
    for item in own:
        default = ... if item.is_required else None  # what it is otherwise, the class knows
        parts[f"{item.name}_"] = (_annotation(item, item.hint), Field(default, alias=item.key))
    model = pydantic.create_model(cls.__name__, __base__=Model, **parts)
    model.takes_null = frozenset(item.key for item in own if item.takes_null)
    return model


def _annotation(item: settings.Setting, hint: Any) -> Any:
    """Return the pydantic annotation of a setting's annotation."""
    options = settings.options_of(hint)
    if len(options) == 1:
        found = _option(item, options[0])
    else:
        tagged = [Annotated[_option(item, o), Tag(f"{_TAG}{i}")] for i, o in enumerate(options)]
        union = tagged[0]
        for one in tagged[1:]:
            union = union | one
        found = Annotated[
            union,
            Discriminator(
                _chooser(options),
                custom_error_type="shape",
                custom_error_message=f"must be {settings.expected(hint)}",
            ),
        ]
    return found | None if settings.accepts_none(hint) and hint is not object else found


def _option(item: settings.Setting, hint: Any) -> Any:
    origin = get_origin(hint) or hint
    if origin in (Any, object):
        return Any
    if origin is Literal or origin in (str, bool):
        return hint
    if origin is Path:
        return str
    if origin in (int, float):
        mend = BeforeValidator(_whole if origin is int else _real)
        return Annotated[origin, mend, Field(gt=item.gt, ge=item.ge, le=item.le)]
    if dataclasses.is_dataclass(hint):
        return model_of(cast(type, hint))
    inner: Any = _annotation(item, settings.item_of(hint))
    return list[inner] if settings.is_list(hint) else dict[str, inner]


def _chooser(options: tuple[object, ...]) -> Callable[[object], str | None]:
    def choose(value: object) -> str | None:
        for given in (value, settings.unquoted(value)):
            for i, option in enumerate(options):
                if settings.has_shape(option, given):
                    return f"{_TAG}{i}"
        return None

    return choose


def _whole(value: object) -> object:
    """Take 10.0 for a whole number, as JSON does, and "10" too."""
    value = settings.unquoted(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _real(value: object) -> object:
    """Refuse what is not finite before its bounds are looked at, also integers beyond 1.8e308."""
    value = settings.unquoted(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise PydanticCustomError("finite_number", "must be a finite number")
    return value


def _mistakes(
    cls: type, content: object, path: str, without: frozenset[str] = frozenset()
) -> list[str]:
    """Return what is wrong with a JSON object that becomes an instance of a dataclass."""
    try:
        model_of(cls, without).model_validate(content)
    except pydantic.ValidationError as error:
        return [_mistake(one, path) for one in error.errors(include_url=False)]
    return []


def _mistake(error: ErrorDetails, path: str) -> str:
    for part in error["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith(_TAG):
            path = document.join(path, part)
    context = error.get("ctx", {})
    if error["type"] == "literal_error":
        return f"{path}: {_choice(error)}"
    words = _WORDS.get(error["type"])
    if words is None:
        return f"{path}: {error['msg']}"
    bounds = {k: settings.number_text(v) for k, v in context.items() if isinstance(v, int | float)}
    return f"{path}: {words.format(**bounds)}"


def _choice(error: ErrorDetails) -> str:
    # pydantic writes "'float', 'double' or 'json'"
    expected = str(error.get("ctx", {}).get("expected", ""))
    return "must be one of " + expected.replace(" or ", ", ").replace("'", "")


def _place(line: str) -> int:
    found = re.match(r"Sensors\[(\d+)\]", line)
    return int(found.group(1)) if found else -1


def _check_component(
    entry: dict[str, Any], index: int, network: rules.Network
) -> tuple[list[str], list[str]]:
    path = f"Sensors[{index}]"
    mistakes = _mistakes(Component, entry, path, config.DERIVED)
    warnings = _unknown_keys(Component, entry, path, config.DERIVED)
    codifier = entry.get("Codifier")
    if isinstance(codifier, str):
        mistakes += filter(None, [config.codifier_mistake(codifier, index)])
        if network.places[codifier] != index:
            mistakes.append(config.duplicate(codifier, index, network.places[codifier]))
    host = entry.get("Host")
    is_mine = not isinstance(host, str) or not host or is_same_host(host, this_host())
    type_name = entry.get("Type")
    if isinstance(type_name, str):
        found = _check_type(type_name, entry, path, is_mine, network)
        mistakes += found[0]
        warnings += found[1]
    mistakes += rules.proxy_mistakes(entry, index, network)
    if is_mine:
        warnings += rules.missing_files(entry.get("Sensor"), f"{path}.Sensor")
    return mistakes, warnings


def _check_type(
    type_name: str, entry: dict[str, Any], path: str, is_mine: bool, network: rules.Network
) -> tuple[list[str], list[str]]:
    if registry.canonical(type_name) is None:
        line = f"{path}.Type: {registry.unknown(type_name)}"
        # A type of another package need not be known where its component is not run.
        return ([line], []) if is_mine else ([], [line])
    if registry.current(type_name) in registry.NEVER_RUN:
        return [], []
    if not registry.is_run(type_name):
        line = f"{path}.Type: Type {type_name} is not in this version; the component is not run"
        return [], [line]
    warnings: list[str] = []
    note = registry.note(type_name)
    if note:
        warnings.append(f"{path}.Type: {type_name} {note}")
    try:
        cls = registry.find(type_name)
    except ConfigError as error:
        return [], [*warnings, f"{path}.Sensor: is not checked: {error}"]
    is_read = hasattr(cls, "read") and entry.get("Active") is not False
    if is_read and entry.get("SensorInterval") is None:
        warnings.append(f"{path}.SensorInterval: is absent, so the component is never read")
    given = {**registry.preset(type_name), **rules.own_settings(entry)}
    mistakes = _mistakes(cls, given, f"{path}.Sensor", settings.INJECTED)
    mistakes = mistakes or _disagreements(cls, given, f"{path}.Sensor", network.places)
    if dataclasses.is_dataclass(cls):
        warnings += _unknown_keys(cls, given, f"{path}.Sensor", settings.INJECTED)
    return mistakes, warnings


def _disagreements(
    cls: type, given: Mapping[str, object], path: str, codifiers: Collection[str]
) -> list[str]:
    """Return which settings are right by themselves, and wrong together: what a class finds.

    It finds what no annotation tells by `check_settings(given, codifiers)`, which raises ValueError
    with the key in front: of its constructor's arguments, defaults left out, and the Codifiers of
    the network.
    """
    try:
        arguments = settings.arguments(cls, given, path)
    except ConfigError as error:
        return error.mistakes
    try:
        if hasattr(cls, "check_settings"):
            cls.check_settings(arguments, codifiers)
    except ValueError as error:
        return [f"{path}.{error}"]
    return []


def _unknown_keys(
    cls: type, content: object, path: str, without: frozenset[str] = frozenset()
) -> list[str]:
    known = {item.key: item for item in settings.settings_of(cls, without)}
    warnings: list[str] = []
    for key, value in rules.as_object(content).items():
        where = document.join(path, key)
        if key in known:
            warnings += _unknown_inside(known[key].hint, value, where)
        elif not key.startswith("__"):
            hint = registry.suggestion(key, known)
            warnings.append(
                f"{where}: unknown key, ignored" + (f"; did you mean {hint}?" if hint else "")
            )
    return warnings


def _unknown_inside(hint: object, value: object, path: str) -> Iterable[str]:
    for option in settings.options_of(hint):
        if dataclasses.is_dataclass(option) and isinstance(value, dict):
            yield from _unknown_keys(cast(type, option), value, path)
        elif settings.is_list(option) and isinstance(value, list):
            for index, item in enumerate(value):
                yield from _unknown_inside(settings.item_of(option), item, f"{path}[{index}]")


def main() -> None:
    """Check the document on standard input; print an object of mistakes and warnings."""
    with os.fdopen(os.dup(1), "w") as answer:
        os.dup2(2, 1)  # what a component class prints when it is imported is no part of the answer
        mistakes, warnings = check(document.parse(sys.stdin.buffer.read()))
        json.dump({"mistakes": mistakes, "warnings": warnings}, answer)


if __name__ == "__main__":
    main()
