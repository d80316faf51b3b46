"""Parts of OpenAPI documents that are made from JSON Schemas, for all servers of ours. Pure.

The schemas come from pydantic, which the core does not need: `json_schema(ref_template=REFERENCE)`.
"""

from typing import Any

REFERENCE = "#/components/schemas/{model}"


def placed(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Put schemas of objects, this one and those that it names, beside the others; return the rest.

    Args:
        schemas: of the document, by name.
    """
    schemas.update(schema.pop("$defs", {}))
    title = schema.get("title")
    if schema.get("type") == "object" and title:
        schemas[title] = schema
        return {"$ref": REFERENCE.format(model=title)}
    return schema


def parameters_of(query: dict[str, Any], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters behind the question mark, by the schema of the object they make."""
    schemas.update(query.pop("$defs", {}))
    parameters = []
    for name, schema in query["properties"].items():
        schema.pop("title", None)
        options = [it for it in schema.pop("anyOf", ()) if it != {"type": "null"}]
        schema.update(options[0] if options else {})  # a parameter is there or not, never null
        if schema.get("default", ...) is None:
            del schema["default"]
        parameter = {"name": name, "in": "query", "schema": schema}
        if name in query.get("required", ()):
            parameter["required"] = True
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        parameters.append(parameter)
    return parameters
