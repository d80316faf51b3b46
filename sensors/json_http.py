"""Values from a device or program that answers HTTP GET with a JSON document."""

import http.client
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from jph.config import Config
from jph.errors import SensorError
from jph.settings import setting
from jph.wire import Value

MOST_BYTES = 1 << 20
_AGENT = "JPH"


@dataclass(frozen=True, slots=True)
class FieldOf:
    """Which field of the document is the value of which proxy."""

    codifier: str = setting(key="Codifier", doc="the proxy")
    field: str = setting(doc="dotted path of its value")


@dataclass
class JsonHttp:
    """Read several values with one GET.

    Args:
        codifier: whose value `field` is.
        config: of the network; a URL that begins with "/" is on its own web server.
        url: http or https address of the JSON document.
        field: dotted path of the component's own value, as `main.temp` or `list.0.t`.
        proxy: further fields, each the value of a proxy.
        timeout_s: longest wait for the whole answer, in seconds.
        most_bytes: a longer answer is refused.
    """

    codifier: str
    config: Config
    url: str = setting(key="URL", doc="address; one that begins with / is on this web server")
    field: str = setting(doc="dotted path of the value in the document, as main.temp or list.0.t")
    proxy: tuple[FieldOf, ...] = setting((), doc="further fields, each the value of a proxy")
    timeout_s: float = setting(5.0, key="Timeout", gt=0, doc="longest wait for the answer, s")
    most_bytes: int = setting(MOST_BYTES, gt=0, doc="a longer answer is refused")

    def __post_init__(self) -> None:
        if urlsplit(self._address()).scheme not in ("http", "https"):
            raise ValueError(f"URL: must begin with http://, https:// or /, not {self.url!r}")

    def read(self) -> Mapping[str, Value]:
        """Return the values of the component and its proxies; those that are there.

        Raises:
            SensorError: no answer, no JSON, or not one of the fields in it.
        """
        address = self._address()
        document = _get_json(address, self.timeout_s, self.most_bytes)
        wanted = [(self.codifier, self.field)] + [(of.codifier, of.field) for of in self.proxy]
        values: dict[str, Value] = {}
        missing = []
        for codifier, path in wanted:
            value = _pick(document, path)
            if value is None:
                missing.append(path)
            else:
                values[codifier] = value
        if not values:
            raise SensorError(f"{address}: no value at {', '.join(missing)}")
        return values

    def _address(self) -> str:
        if not self.url.startswith("/"):
            return self.url
        web = self.config.first("Web")
        if web is None:
            raise ValueError(f"URL: {self.url} is on the web server, but no component is one")
        host = str(web.settings.get("Host") or "127.0.0.1")
        if host in ("0.0.0.0", "::"):
            host = "127.0.0.1"
        return f"http://{host}:{web.settings.get('Port') or 8080}{self.url}"


def _get_json(address: str, timeout_s: float, most_bytes: int) -> object:
    """Return the JSON document at an address; SensorError if there is none in time.

    http.client rather than urllib.request, which costs a node 5 MB and follows redirects to
    wherever they lead.
    """
    until_s = time.monotonic() + timeout_s
    parts = urlsplit(address)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"User-Agent": _AGENT, "Connection": "close"})
        with connection.getresponse() as answer:
            if answer.status != 200:
                raise SensorError(f"{address}: answered {answer.status} {answer.reason}")
            content = bytearray()
            while part := answer.read1(65536):
                content += part
                if len(content) > most_bytes:
                    raise SensorError(f"{address}: answer of more than {most_bytes} bytes")
                if time.monotonic() > until_s:
                    raise SensorError(f"{address}: not answered in full within {timeout_s:g} s")
        return json.loads(content)
    except TimeoutError as error:
        raise SensorError(f"{address}: no answer within {timeout_s:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        raise SensorError(f"{address}: {reason}") from error
    except (ValueError, RecursionError) as error:
        raise SensorError(f"{address}: no JSON: {error}") from error
    finally:
        connection.close()


def _pick(document: object, path: str) -> Value | None:
    """Return the value at a dotted path, booleans as 0 and 1; None if no value is there."""
    found = document
    for step in path.split("."):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    if isinstance(found, bool):
        return int(found)
    if isinstance(found, float):
        return found if math.isfinite(found) else None
    return found if isinstance(found, int | str) else None
