"""Values from a device or program that answers HTTP GET with a JSON document."""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from jph.bus.wire import Value
from jph.config.host import this_host
from jph.config.model import Config
from jph.errors import SensorError, StoreError
from jph.files import password_in
from jph.http_auth import SignIn
from jph.settings import setting
from sensors import json_api, json_text
from sensors.missing_values import MissingValues


@dataclass(frozen=True, slots=True)
class FieldOf:
    """The field whose value a proxy has."""

    codifier: str = setting(key="Codifier", doc="the proxy")
    field: str = setting(doc="dotted path of its value")


@dataclass
class JsonHttp:
    """Read several values with one GET."""

    codifier: str
    follows: ClassVar[tuple[str, ...]] = ("Web",)

    config: Config
    url: str = setting(
        key="URL", doc="address; one that begins with / is on this web server", title="Address"
    )
    field: str = setting(
        doc="dotted path of the value in the document, as main.temp or list.0.t",
        title="Path of the value",
    )
    proxy: tuple[FieldOf, ...] = setting(
        (), doc="further fields, each the value of a proxy", title="Further values"
    )
    timeout_s: float = setting(5.0, key="Timeout", gt=0, doc="longest wait for the answer, s")
    infinity: float | None = setting(None, doc="value to send for an infinite number, as 0")
    most_bytes: int = setting(json_api.MOST_BYTES, gt=0, doc="a longer answer is refused")
    user: str = setting("", doc="user of the device, where it asks who reads")
    password_file: Path | None = setting(None, doc="path of the file with that user's password")
    ca_file: Path | None = setting(None, key="CAFile", doc="the only certificates to be accepted")
    _sign_in: SignIn | None = dataclasses.field(default=None, init=False, repr=False)
    _gaps: MissingValues = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        json_api.check(self._address(), "URL")
        _check_user(self.user, self.password_file)
        self._gaps = MissingValues(self.codifier)

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], codifiers: Collection[str]) -> None:
        """Refuse settings that contradict each other; see `jph.config.checks`."""
        if not given["url"].startswith("/"):
            json_api.check(given["url"], "URL")
        _check_user(given.get("user", ""), given.get("password_file"))

    def read(self) -> Mapping[str, Value]:
        """Return the values of the component and of its proxies that the document has.

        Raises:
            SensorError: no answer, no JSON, or not one of the fields in it.
        """
        answer = json_api.ask(
            self._address(),
            timeout_s=self.timeout_s,
            most_bytes=self.most_bytes,
            sign_in=self._signs_in(),
            ca_file=str(self.ca_file or ""),
        )
        unsigned = f"it refuses {self.user} with this password" if self.user else "set User"
        document = json_api.document(answer, mend=True, unsigned=unsigned)

        def find(path: str) -> Value:
            value = json_text.pick(document, path, infinity=self.infinity)
            if value is None:
                raise SensorError(f"{answer.address}: no value at {path}")
            return value

        proxies = [(each.codifier, each.field) for each in self.proxy]
        return self._gaps.collect([(self.codifier, self.field), *proxies], find)

    def _signs_in(self) -> SignIn | None:
        """Return user and password; the file is read each time, so that it may change."""
        if self.password_file is None:
            return None
        try:
            password = password_in(self.password_file)
        except StoreError as error:
            raise SensorError(str(error)) from error
        if self._sign_in is None or self._sign_in.password != password:
            self._sign_in = SignIn(self.user, password)
        return self._sign_in

    def _address(self) -> str:
        if not self.url.startswith("/"):
            return self.url
        web = self.config.first("Web")
        if web is None:
            raise ValueError(f"URL: {self.url} is on the web server, but no component is one")
        host = str(web.settings.get("Host") or "127.0.0.1")
        if host in ("0.0.0.0", "::"):
            host = "127.0.0.1" if web.runs_on(this_host()) else str(web.host)
        if ":" in host:
            host = f"[{host}]"
        return f"http://{host}:{web.settings.get('Port') or 8080}{self.url}"


def _check_user(user: str, password_file: Path | None) -> None:
    if ":" in user:
        raise ValueError("User: must have no colon")
    if user and password_file is None:
        raise ValueError("PasswordFile: is required with User")
    if password_file is not None and not user:
        raise ValueError("User: is required with PasswordFile")
