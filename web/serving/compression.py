"""Pages and answers compressed for whoever takes gzip.

Live streams are packed in web/live/stream.py.
"""

import gzip
from functools import lru_cache

from flask import Response, request

LEAST_BYTES = 600  # less fits into one packet as it is
LEVEL = 6
TYPES = frozenset(
    {"text/html", "text/css", "text/javascript", "application/json", "image/svg+xml", "text/plain"}
)


def compress(response: Response) -> Response:
    """Compress the body of a response if that is worth it; a file keeps its ETag, weakly."""
    if (
        response.mimetype not in TYPES
        or response.status_code == 206
        or "Content-Encoding" in response.headers
        or (response.content_length or LEAST_BYTES) < LEAST_BYTES
    ):
        return response
    response.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"] <= 0:
        return response
    is_file = response.direct_passthrough
    response.direct_passthrough = False
    body = response.get_data()
    if len(body) < LEAST_BYTES:
        return response
    response.set_data(_packed_file(body) if is_file else gzip.compress(body, LEVEL))
    response.headers["Content-Encoding"] = "gzip"
    tag, _ = response.get_etag()
    if tag is not None:
        response.set_etag(tag, weak=True)
    return response


@lru_cache(maxsize=32)  # the files of static/, each of which many browsers ask for
def _packed_file(body: bytes) -> bytes:
    return gzip.compress(body, 9)
