"""The configuration's document as a JSON Schema, draft 2020-12, for editors and for forms.

It is made of the declarations that `jph.config.checks` uses. Only the check finds what a schema has
no words for: two components with one Codifier, who sends for whom,
settings that disagree, bounds of a number in quotes, passwords in URLs, and what `Logging` holds.

Source: https://json-schema.org/draft/2020-12
"""

import sys
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from jph import registry
from jph.bus.group import Group, Multicast
from jph.config.model import DERIVED, Component, Document
from jph.errors import ConfigError
from jph.settings import (
    INJECTED,
    Setting,
    accepts_none,
    is_list,
    item_of,
    options_of,
    settings_of,
)

UNIT = "x-unit"  # unit of a number, for forms
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

# What `jph.settings.unquoted` takes for a number: older configurations have them in quotes.
_QUOTED = r"^\s*[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)([eE][+-]?\d+(_\d+)*)?\s*$"
_QUOTED_WHOLE = r"^\s*[+-]?\d+(_\d+)*(\.0*)?\s*$"
_CODIFIER = r"^(?!@@$)[!-~]{2}$"
_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_GROUP_ADDRESS = rf"^(22[4-9]|23[0-9])(\.{_OCTET}){{3}}$"


def json_schema() -> Schema:
    """Return the schema of the whole document, with the settings of every type known here."""
    component = _object_of(Component, without=DERIVED)
    properties = component["properties"]
    properties["Codifier"]["pattern"] = _CODIFIER
    properties["Type"]["examples"] = registry.names()
    component["allOf"] = [rule for name in registry.names() for rule in _rules(name)]
    document = _object_of(Document)
    document["properties"]["Sensors"]["items"] = component
    return {"$schema": DIALECT, "title": "The configuration of a JPH network", **document}


def component_schema(type_name: str) -> Schema:
    """Return the schema of one entry of `Sensors` of this type, with the settings of the type.

    Raises:
        ConfigError: the type is unknown, or a package that it needs is not installed.
    """
    component = _object_of(Component, without=DERIVED)
    component["properties"]["Codifier"]["pattern"] = _CODIFIER
    if registry.current(type_name) in registry.NEVER_RUN:
        return component
    cls = registry.find(type_name)
    if is_dataclass(cls):
        own = _object_of(cls, without=INJECTED, given=registry.preset(type_name))
        component["properties"]["Sensor"] |= own
        if "required" in own:
            component["required"] = [*component["required"], "Sensor"]
    return component


def multicast_schema() -> Schema:
    """Return the schema of the object of the channels."""
    return _object_of(Multicast)


def _rules(type_name: str) -> list[Schema]:
    """Return the rules for entries of this type, beyond those for all entries."""
    if registry.current(type_name) in registry.NEVER_RUN or not registry.is_run(type_name):
        return []
    try:
        cls = registry.find(type_name)
    except ConfigError:  # a package that it needs is not installed: the check says so
        return []
    if not is_dataclass(cls):
        return []
    own = _object_of(cls, without=INJECTED, given=registry.preset(type_name))
    then: Schema = {"properties": {"Sensor": _or_null(own)}}
    if "required" in own:
        then = {"properties": {"Sensor": own}, "required": ["Sensor"]}
    return [{"if": {"properties": {"Type": {"const": type_name}}}, "then": then}]


def _object_of(
    cls: type,
    *,
    without: frozenset[str] = frozenset(),
    given: Mapping[str, object] | None = None,
) -> Schema:
    """Return the schema of the JSON object of a dataclass whose fields are settings.

    Args:
        without: names of fields that are no settings.
        given: settings that need not stand there, since an older type name implies them.
    """
    found: Schema = {"type": "object", "properties": {}}
    required = []
    for item in settings_of(cls, without):
        is_required = item.is_required and item.key not in (given or {})
        found["properties"][item.key] = _property(item, is_required)
        if is_required:
            required.append(item.key)
    if cls is Group:
        found["properties"]["Address"]["pattern"] = _GROUP_ADDRESS
    if required:
        found["required"] = required
    return found


def _property(item: Setting, is_required: bool) -> Schema:
    found = _value(item, item.hint)
    if not is_required or item.takes_null:
        found = _or_null(found)
    found["title"] = item.title
    if item.doc:
        found["description"] = item.doc
    if item.unit:
        found[UNIT] = item.unit
    if not item.is_required and isinstance(item.default, bool | int | float | str):
        found["default"] = item.default
    return found


def _value(item: Setting, hint: Any) -> Schema:
    """Return the schema of the JSON values that an annotation takes."""
    options = [option for one in options_of(hint) for option in _options(item, one)]
    found = options[0] if len(options) == 1 else {"anyOf": options}
    return _or_null(found) if accepts_none(hint) and hint not in (Any, object) else found


def _options(item: Setting, hint: Any) -> list[Schema]:
    origin = get_origin(hint) or hint
    if origin in (Any, object):
        return [{}]
    if origin is Literal:
        return [{"enum": list(get_args(hint))}]
    if origin in (str, Path):
        return [{"type": "string"}]
    if origin is bool:
        return [{"type": "boolean"}]
    if origin in (int, float):
        return [_number(item, origin), _quoted(origin)]
    if is_dataclass(hint):
        return [_object_of(hint)]  # type: ignore[arg-type]
    inner = _value(item, item_of(hint))
    if is_list(hint):
        return [{"type": "array", "items": inner}]
    return [{"type": "object", "additionalProperties": inner}]


def _number(item: Setting, kind: type) -> Schema:
    limit = sys.float_info.max  # JSON has longer numbers, which are no finite ones here
    found: Schema = {"type": "integer" if kind is int else "number"}
    if kind is float:
        found |= {"minimum": -limit, "maximum": limit}
    bounds = {"exclusiveMinimum": item.gt, "minimum": item.ge, "maximum": item.le}
    return found | {word: bound for word, bound in bounds.items() if bound is not None}


def _quoted(kind: type) -> Schema:
    return {"type": "string", "pattern": _QUOTED_WHOLE if kind is int else _QUOTED}


def _or_null(schema: Schema) -> Schema:
    """Return what takes null too, which counts as absent."""
    if _takes_null(schema):
        return schema
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}


def _takes_null(schema: Schema) -> bool:
    options = schema.get("anyOf", [schema])
    return any(not option or "null" in option.get("type", ()) for option in options)
