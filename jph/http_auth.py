"""User and password for a web server: basic and digest authentication (RFC 7617, RFC 7616).

Nothing is sent until the server asks for it with 401 and a challenge. The challenge is kept, so
that the next request needs no answer of 401 before it. Digest goes before basic, which sends the
password itself.
"""

import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence

_PART = re.compile(
    r"""(?:^|,)\s* (?:([A-Za-z][\w-]*)\s+)? ([\w-]+)\s*=\s* (?:"((?:[^"\\]|\\.)*)" | ([^\s",]+))""",
    re.VERBOSE,
)
_ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256"}  # of digest, and the same with -sess
_RANK = ("basic", "MD5", "SHA-256")  # the best one last


class SignIn:
    """A user and a password, and how the server wants them.

    Args:
        user: without a colon.
        password: as a person types it.
    """

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self.password = password
        self._wanted: Mapping[str, str] | None = None  # the parameters of the challenge
        self._count = 0  # requests with its nonce

    def take(self, challenges: Sequence[str]) -> bool:
        """Take the best challenge of an answer of 401; return whether there is one to answer.

        Args:
            challenges: its headers WWW-Authenticate.
        """
        known = [each for text in challenges for each in _challenges(text) if _rank(each) >= 0]
        self._wanted = max(known, key=_rank, default=None)
        self._count = 0
        return self._wanted is not None

    def header(self, method: str, target: str) -> str | None:
        """Return the header Authorization of a request; None before the first challenge.

        Args:
            target: path and query, as they stand in the request.
        """
        wanted = self._wanted
        if wanted is None:
            return None
        if wanted["scheme"] == "basic":
            return "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode()
        self._count += 1
        fields = self._digest(wanted, method, target, os.urandom(16).hex())
        return "Digest " + ", ".join(f"{key}={value}" for key, value in fields.items())

    def _digest(
        self, wanted: Mapping[str, str], method: str, target: str, own_nonce: str
    ) -> dict[str, str]:
        from hashlib import new  # which most nodes never need

        algorithm = wanted.get("algorithm", "MD5")
        base = algorithm.upper().removesuffix("-SESS")

        def hashed(*parts: str) -> str:
            return new(
                _ALGORITHMS[base], ":".join(parts).encode(), usedforsecurity=False
            ).hexdigest()

        realm, nonce = wanted.get("realm", ""), wanted.get("nonce", "")
        count = f"{self._count:08x}"
        secret = hashed(self.user, realm, self.password)
        if base != algorithm.upper():
            secret = hashed(secret, nonce, own_nonce)
        request = hashed(method, target)
        fields = {
            "username": _quoted(self.user),
            "realm": _quoted(realm),
            "nonce": _quoted(nonce),
            "uri": _quoted(target),
        }
        if "algorithm" in wanted:
            fields["algorithm"] = algorithm
        if "opaque" in wanted:
            fields["opaque"] = _quoted(wanted["opaque"])
        if "qop" in wanted:
            fields |= {"qop": "auth", "nc": count, "cnonce": _quoted(own_nonce)}
            proof = hashed(secret, nonce, count, own_nonce, "auth", request)
        else:
            proof = hashed(secret, nonce, request)
        return {**fields, "response": _quoted(proof)}


def _challenges(text: str) -> Iterator[dict[str, str]]:
    """Yield the challenges in one header: their parameters by name, and `scheme`."""
    challenge: dict[str, str] = {}
    for scheme, key, quoted, plain in _PART.findall(text):
        if scheme:
            if challenge:
                yield challenge
            challenge = {"scheme": scheme.lower()}
        if challenge:
            challenge.setdefault(key.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
    if challenge:
        yield challenge


def _rank(challenge: Mapping[str, str]) -> int:
    """Return how good a challenge is, -1 for one that cannot be answered."""
    if challenge["scheme"] == "basic":
        return 0
    ways = challenge.get("qop", "auth").replace(" ", "").lower().split(",")
    base = challenge.get("algorithm", "MD5").upper().removesuffix("-SESS")
    if challenge["scheme"] != "digest" or base not in _ALGORITHMS or "auth" not in ways:
        return -1
    return _RANK.index(base)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
