"""The OpenAPI document of a gateway, made from the declarations of its endpoints."""

from http import HTTPStatus
from inspect import getdoc
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.json_schema import JsonSchemaMode
from typing_extensions import TypedDict

from gateways.endpoints import Endpoint, Endpoints, NoQuery
from jph.openapi import REFERENCE, parameters_of, placed


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
        + (_query(endpoint.query, schemas) if endpoint.query is not NoQuery else []),
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


def _query(query: type[BaseModel], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    return parameters_of(query.model_json_schema(ref_template=REFERENCE), schemas)


def _schema(kind: Any, mode: JsonSchemaMode, schemas: dict[str, Any]) -> dict[str, Any]:
    return placed(TypeAdapter(kind).json_schema(ref_template=REFERENCE, mode=mode), schemas)
