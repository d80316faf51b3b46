"""Errors of the API, in one shape: problem details (RFC 9457)."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from flask import Response

MIMETYPE = "application/problem+json"


def problem(
    code: int,
    detail: str,
    *,
    mistakes: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error as an answer.

    Args:
        mistakes: of what was sent, each with `where` it is and `what` it is.
    """
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(code).phrase,
        "status": code,
        "detail": detail,
    }
    if mistakes:
        body["mistakes"] = list(mistakes)
    return Response(json.dumps(body), code, headers, mimetype=MIMETYPE)
