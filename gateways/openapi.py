"""The OpenAPI document of a gateway, made from the declarations of its endpoints."""

from http import HTTPStatus
from inspect import getdoc
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import JsonSchemaMode
from typing_extensions import TypedDict

from gateways.endpoints import Endpoint, Endpoints, NoQuery

REFERENCE = "#/components/schemas/{model}"


class Error(TypedDict):
    """What went wrong."""

    details: str


def document(endpoints: Endpoints, title: str, version: str, about: str) -> dict[str, Any]:
    """Return the description of endpoints, by OpenAPI 3.1."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints.all:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    _schema(Error, "serialization", schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": about},
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    summary, _, description = (getdoc(endpoint.view) or "").partition("\n\n")
    operation: dict[str, Any] = {
        "operationId": endpoint.view.__name__,
        "summary": " ".join(summary.split()),
        "description": " ".join(description.split()),
        "tags": [endpoint.view.__module__.rpartition(".")[2]],
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": _schema(kind, "validation", {}),
            }
            for name, kind in endpoint.types.items()
        ]
        + _query(endpoint),
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.guard is not None:
        operation["security"] = [{"token": []}]
    if endpoint.body is not None:
        content: dict[str, Any] = {"schema": _schema(endpoint.body, "validation", schemas)}
        if endpoint.example is not None:
            content["example"] = endpoint.example
        operation["requestBody"] = {
            "required": not _may_be_empty(endpoint.body),
            "content": {"application/json": content},
        }
    return operation


def _may_be_empty(body: Any) -> bool:
    """Tell whether a request may have no body: it stands for an empty object."""
    try:
        TypeAdapter(body).validate_python({})
    except ValidationError:
        return False
    return True


def _query(endpoint: Endpoint) -> list[dict[str, Any]]:
    if endpoint.query is NoQuery:
        return []
    parameters = []
    for name, schema in endpoint.query.model_json_schema()["properties"].items():
        schema.pop("title", None)
        options = [it for it in schema.pop("anyOf", ()) if it != {"type": "null"}]
        schema.update(options[0] if options else {})  # a parameter is there or not, never null
        if schema.get("default", ...) is None:
            del schema["default"]
        parameter = {"name": name, "in": "query", "schema": schema}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        parameters.append(parameter)
    return parameters


def _responses(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": HTTPStatus(endpoint.code).phrase}
    if endpoint.answer is not None:
        schema = _schema(endpoint.answer, "serialization", schemas)
        good["content"] = {"application/json": {"schema": schema}}
    errors = {400, 413, 503, *endpoint.errors}
    content = {"application/json": {"schema": {"$ref": REFERENCE.format(model="Error")}}}
    return {str(endpoint.code): good} | {
        str(code): {"description": HTTPStatus(code).phrase, "content": content}
        for code in sorted(errors)
    }


def _schema(kind: Any, mode: JsonSchemaMode, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a type, and put those that it names beside the others."""
    schema = TypeAdapter(kind).json_schema(ref_template=REFERENCE, mode=mode)
    schemas.update(schema.pop("$defs", {}))
    title = schema.get("title")
    if schema.get("type") == "object" and title:
        schemas[title] = schema
        return {"$ref": REFERENCE.format(model=title)}
    return schema
