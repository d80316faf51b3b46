"""Servers that answer sensors with JSON: one request, and its answer or SensorError.

Redirects are not followed, since they may lead anywhere.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jph.errors import HttpError, SensorError
from jph.tcp import plain, shown
from sensors import json_text

if TYPE_CHECKING:
    from jph.http import Answer as Answer
    from jph.http_auth import SignIn

MOST_BYTES = 1 << 20
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def check(url: str, key: str, *, secure: bool = False) -> None:
    """Refuse a URL that is not the address of a server.

    Args:
        key: of the setting, for the message.
        secure: https only, unless the server is this machine.

    Raises:
        ValueError: names the key.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{key}: is no address: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        # Without the address, which may be of another kind and hold a password.
        raise ValueError(f"{key}: must begin with http:// or https://, and a host")
    if secure and parts.scheme == "http" and host not in _LOOPBACK:
        raise ValueError(f"{key}: must begin with https://, since it is sent secrets")


def ask(
    url: str,
    *,
    timeout_s: float,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    most_bytes: int = MOST_BYTES,
    sign_in: "SignIn | None" = None,
    ca_file: str = "",
) -> "Answer":
    """Return the answer, whatever its status; SensorError if there is none; see `jph.http`."""
    from jph import http  # only here, see there

    try:
        return http.request(
            method,
            url,
            deadline_s=timeout_s,
            headers=headers,
            body=body,
            most_bytes=most_bytes,
            sign_in=sign_in,
            ca_file=ca_file,
        )
    except HttpError as error:
        raise SensorError(f"{shown(url)}: {error}") from error
    except ValueError as error:  # its text may hold a header, and that a token
        raise SensorError(f"{shown(url)}: the address or a header cannot be sent") from error


def document(
    answer: "Answer", *, mend: bool = False, unsigned: str = "user and password are not sent"
) -> object:
    """Return the JSON document in an answer.

    Args:
        mend: see `json_text.parse`.
        unsigned: what to say where the server wants to know who asks.

    Raises:
        SensorError: there is none, or the status is another than 200.
    """
    if answer.status != 200:
        hint = f"; {unsigned}" if answer.status == 401 else ""
        if 300 <= answer.status < 400:
            hint = "; redirects are not followed"
        said = f"{answer.address}: answered {answer.status} {answer.reason}"
        raise SensorError(said.rstrip() + hint)
    try:
        return json_text.parse(answer.body, answer.charset, mend=mend)
    except ValueError as error:
        raise SensorError(f"{answer.address}: {plain(error)}") from error


def members(answer: "Answer") -> Mapping[str, object]:
    """Return the JSON object in an answer; SensorError as of `document`, or if it is no object."""
    found = document(answer)
    if not isinstance(found, dict):
        raise SensorError(f"{answer.address}: the answer is no object")
    return found
