"""The JSON document of the configuration: fetched or read, and parsed strictly.

`jph.http` is imported only where a URL is fetched; it costs a small node 10 MB.
"""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from zlib import crc32

from jph.errors import ConfigError, HttpError, StoreError
from jph.files import password_in, write_file

MAX_SIZE = 4 << 20  # bytes; a network of a thousand components has about 0.4 MB
STEP_TIMEOUT_S = 5.0  # longest wait for a connection, or for the next bytes
FETCH_TIMEOUT_S = 30.0  # longest fetch altogether
MOST_REDIRECTS = 10
TOUCH_AFTER_S = 3600.0  # the age of a copy is true to the hour; more writes wear an SD card


class Unreachable(ConfigError):
    """A URL does not answer, or not with a document."""


def is_url(source: str) -> bool:
    """Tell whether a source is fetched rather than opened."""
    return re.match("https?://", source, re.IGNORECASE) is not None


def read(source: str) -> bytes:
    """Return the bytes of a document from a file or http(s) URL.

    Raises:
        Unreachable: the URL does not answer, or not with a document.
        ConfigError: the file cannot be read, or the URL is none.
    """
    if is_url(source):
        return _fetch(source)
    try:
        with open(path_of(source), "rb") as file:
            text = file.read(MAX_SIZE + 1)
    except FileNotFoundError:
        raise ConfigError("there is no such file", source) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", source) from error
    if len(text) > MAX_SIZE:
        raise ConfigError(f"is larger than {MAX_SIZE >> 20} MiB", source)
    return text


def path_of(source: str) -> str:
    """Return the path in a source that may be a file URL, as older networks write it."""
    path = source.removeprefix("file:")
    if path == source:
        return source
    return "/" + path.lstrip("/") if path.startswith("/") else path


def parse(text: bytes, source: str = "") -> object:
    """Return a JSON document, strictly: no key twice, no NaN, text that can be encoded.

    Raises:
        ConfigError: names line and column, or the path of the key.
    """
    twice: list[tuple[dict[str, object], str]] = []

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in items:
            if key in found:
                twice.append((found, key))
            found[key] = value
        return found

    try:
        document: object = json.loads(
            text.decode("utf-8-sig"), object_pairs_hook=pairs, parse_constant=_refuse
        )
        if re.search(rb"\\u[dD][89a-fA-F]", text):  # half of a pair passes json.loads
            json.dumps(document, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(f"{where}: not JSON: {error.msg}", source) from None
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"line {line}: is not UTF-8", source) from None
    except UnicodeEncodeError:
        raise ConfigError("holds half of a surrogate pair (\\ud800 to \\udfff)", source) from None
    except RecursionError:
        raise ConfigError("not JSON: nested too deeply", source) from None
    except ValueError as error:  # a number of thousands of digits, too
        raise ConfigError(f"not JSON: {error}", source) from None
    if twice:
        paths = {id(value): path for path, value in walk(document)}
        lines = [f"{join(paths.get(id(at), ''), key)}: this key stands twice" for at, key in twice]
        raise ConfigError(lines, source)
    return document


def walk(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield the path of every value of a document and the value, from the outside in."""
    yield path, value
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from walk(item, join(path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, f"{path}[{index}]")


def join(path: str, key: str) -> str:
    """Return the path of a key of an object."""
    return f"{path}.{key}" if path else key


def holds_password(text: str) -> bool:
    """Tell whether a text is a URL with a password.

    A password with a slash ends the authority of a URL early; what looks like its port tells.
    """
    found = re.match(r"[a-z][a-z0-9+.-]*://([^/?#]*)(.*)", text, re.IGNORECASE | re.DOTALL)
    if not found:
        return False
    authority, rest = found.groups()
    user, at, host = authority.rpartition("@")
    port = host.rpartition("]")[2].partition(":")[2]  # [::1]:80 is an address with colons
    return (
        (bool(at) and ":" in user)
        or (bool(port) and not port.isdigit() and "@" in rest)
        or bool(re.search(r"[?&#](password|passwd|pwd)=", rest, re.IGNORECASE))
    )


def copy_of(url: str, home: Path) -> Path:
    """Return where the last good copy of a URL lies."""
    name = re.sub("[^A-Za-z0-9]+", "-", url.partition("://")[2])[:60].strip("-")
    return home / "config" / f"{name}-{crc32(url.encode()):08x}.json"


def keep(copy: Path, text: bytes) -> None:
    """Store the last good copy, if it changed; its modification time says when it was fetched."""
    try:
        if copy.read_bytes() == text:
            if time.time() - copy.stat().st_mtime > TOUCH_AFTER_S:
                os.utime(copy)
            return
    except FileNotFoundError:
        pass
    write(copy, text)


def write(path: Path, text: bytes) -> None:
    """Write a file so that others, and a start after a power cut, see it whole or not at all."""
    write_file(path, text)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON number")


def _token() -> dict[str, str]:
    """Return the header with the token that the environment names a file of, if it does.

    A password in the URL would stand in logs and in lists of processes.
    """
    path = os.environ.get("JPH_TOKEN_FILE")
    if not path:
        return {}
    try:
        return {"Authorization": f"Bearer {password_in(Path(path))}"}
    except StoreError as error:
        raise ConfigError(f"JPH_TOKEN_FILE: {error}") from error


def _fetch(url: str) -> bytes:
    from jph import http

    headers = _token()
    try:
        answer = http.request(
            "GET",
            url,
            deadline_s=FETCH_TIMEOUT_S,
            step_s=STEP_TIMEOUT_S,
            most_bytes=MAX_SIZE,
            headers=headers,
            redirects=MOST_REDIRECTS,
        )
    except ValueError as error:
        raise ConfigError(f"is no URL: {error}", url) from None
    except HttpError as error:
        raise Unreachable(f"cannot be fetched: {error}", url) from error
    if answer.status in (401, 403):
        what = "refuses the token in" if headers else "wants a token: name a file that holds one in"
        raise Unreachable(f"answers {answer.status}: it {what} JPH_TOKEN_FILE", url)
    if answer.status != 200:
        raise Unreachable(f"answers {answer.status} {answer.reason}".rstrip(), url)
    if answer.content_type.partition(";")[0].strip().lower() == "text/html":
        raise Unreachable("answers with a page, not with JSON", url)  # of a portal, a sign-in
    return answer.body
