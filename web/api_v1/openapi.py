"""The OpenAPI document, made from the declarations of the endpoints."""

import re
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from inspect import getdoc
from typing import Any

from flask import request
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from jph.openapi import REFERENCE, parameters_of, placed
from web.api_v1 import models
from web.api_v1.endpoints import ENDPOINTS, Endpoint
from web.serving.problems import MIMETYPE

PARAMETER = re.compile(r"<(\w+):(\w+)>")
PARAMETERS: dict[str, dict[str, Any]] = {
    "codifier": {"type": "string", "pattern": "^[!-~]{2}$"},
    "int": {"type": "integer", "minimum": 0},
}
ABOUT = (
    "Components, states, history, commands and configuration of a JPH network. Send the token of a "
    "program, which an admin makes under Settings, as `Authorization: Bearer`. Times are ms since "
    "1970 (UTC). Errors are problem details (RFC 9457)."
)


@ENDPOINTS.add("GET", "/openapi.json", answer=models.Document)
def document() -> dict[str, Any]:
    """Return the description of this API, by OpenAPI 3.1."""
    return {**_document(), "servers": [{"url": f"{request.script_root}/api/v1"}]}


@cache
def _document() -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS.all:
        path = PARAMETER.sub(r"{\2}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    _schema(models.Problem, "serialization", schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "JPH", "version": version("jph"), "description": ABOUT},
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    summary, _, description = (getdoc(endpoint.view) or "").partition("\n\n")
    operation: dict[str, Any] = {
        "operationId": endpoint.view.__name__,
        "summary": " ".join(summary.split()),
        "description": " ".join([*description.split(), f"Needs the role {endpoint.role.word}."]),
        "tags": [endpoint.view.__module__.rpartition(".")[2]],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": PARAMETERS[kind]}
            for kind, name in PARAMETER.findall(endpoint.path)
        ]
        + (_query(endpoint.query, schemas) if endpoint.query else []),
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.body is not None:
        content = {"schema": _schema(endpoint.body, "validation", schemas)}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _responses(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": HTTPStatus(endpoint.code).phrase}
    if endpoint.answer is not None:
        content = {"schema": _schema(endpoint.answer, "serialization", schemas)}
        good["content"] = {"application/json": content}
        for kind in endpoint.streams:
            good["content"][kind] = {"schema": {"type": "string"}}
    errors = {401, 403, 429, 503, *endpoint.errors}
    if "<" in endpoint.path or endpoint.body is not None:
        errors.add(404)
    if endpoint.query is not None or endpoint.body is not None:
        errors.add(422)
    if endpoint.body is not None:
        errors |= {413, 415}
    problem = {"content": {MIMETYPE: {"schema": {"$ref": REFERENCE.format(model="Problem")}}}}
    return {str(endpoint.code): good} | {
        str(code): {"description": HTTPStatus(code).phrase, **problem} for code in sorted(errors)
    }


def _query(query: type[BaseModel], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    return parameters_of(query.model_json_schema(ref_template=REFERENCE), schemas)


def _schema(kind: Any, mode: JsonSchemaMode, schemas: dict[str, Any]) -> dict[str, Any]:
    return placed(TypeAdapter(kind).json_schema(ref_template=REFERENCE, mode=mode), schemas)
