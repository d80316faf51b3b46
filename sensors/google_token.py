"""Access to an API of Google's: from a refresh token in a file to an access token for an hour."""

import json
import logging
import os
import re
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from jph.bus.wire import number_of
from jph.errors import SensorError
from jph.tcp import plain
from sensors import json_api, json_text

log = logging.getLogger(__name__)

_KEYS = ("client_id", "client_secret", "refresh_token")
_MOST_BYTES = 1 << 16  # of the file, and of an answer; both have less than 1 KB
_MARGIN_S = 60.0  # a token is not used so shortly before its end
_LIFE_S = 300.0  # of a token that comes without one


@dataclass
class GoogleToken:
    """Keeps an access token until shortly before its end.

    The file is read whenever a new one is needed, so that a new refresh token needs no restart.

    Args:
        path: of a JSON object with client_id, client_secret and refresh_token.
        url: where tokens are given.
    """

    path: Path
    url: str
    _token: str = field(default="", init=False, repr=False)
    _until_s: float = field(default=0.0, init=False)
    _warned: bool = field(default=False, init=False)

    def get(self, timeout_s: float) -> str:
        """Return a token that is good now.

        Raises:
            SensorError: the file is not in order, or its credentials get no token.
        """
        if not self._token or time.monotonic() >= self._until_s:
            self._renew(timeout_s)
        return self._token

    def drop(self) -> None:
        """Forget the token, since it was refused."""
        self._token = ""

    def _renew(self, timeout_s: float) -> None:
        form = {**self._credentials(), "grant_type": "refresh_token"}
        answer = json_api.ask(
            self.url,
            timeout_s=timeout_s,
            method="POST",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
            most_bytes=_MOST_BYTES,
        )
        if answer.status in (400, 401):
            raise SensorError(f"{answer.address}: {self._refusal(answer)}")
        given = json_api.members(answer)
        token, life_s = given.get("access_token"), number_of(given.get("expires_in"))
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,8192}", token):
            raise SensorError(f"{answer.address}: there is no access_token in the answer")
        if life_s is None:
            life_s = _LIFE_S
        self._token = token
        self._until_s = time.monotonic() + max(life_s - _MARGIN_S, life_s / 2)

    def _refusal(self, answer: "json_api.Answer") -> str:
        """Return what to do; the words of the answer are for programmers."""
        try:
            code = json_text.pick(json_text.parse(answer.body, answer.charset), "error")
        except ValueError:
            code = None
        if code == "invalid_grant":
            return (
                f"the refresh token is refused; sign in again and put the new one into {self.path}"
            )
        if code in ("invalid_client", "unauthorized_client"):
            return f"client_id or client_secret in {self.path} is refused"
        return f"gives no token: {answer.status} {plain(code or '')}".rstrip()

    def _credentials(self) -> dict[str, str]:
        try:
            with open(self.path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = json.loads(file.read(_MOST_BYTES))
        except OSError as error:
            raise SensorError(f"{self.path}: {error.strerror or error}") from error
        except (ValueError, RecursionError):  # whose text would show a secret
            content = None
        if not isinstance(content, dict):
            raise SensorError(f"{self.path}: is no JSON object with {', '.join(_KEYS)}")
        absent = [key for key in _KEYS if not isinstance(content.get(key), str) or not content[key]]
        if absent:
            raise SensorError(f"{self.path}: has no {', '.join(absent)}")
        if mode & stat.S_IRWXO and not self._warned:
            log.warning("%s: everybody on this machine can read it; chmod o= it", self.path)
        self._warned = bool(mode & stat.S_IRWXO)
        return {key: content[key] for key in _KEYS}
