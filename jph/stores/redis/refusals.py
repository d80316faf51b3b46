"""Plain words for the errors of redis-py: why a Redis refuses or does not answer."""

from collections.abc import Iterator
from socket import gaierror
from ssl import SSLCertVerificationError

from redis import exceptions
from redis.sentinel import MasterNotFoundError

from jph.errors import StoreError
from jph.stores.redis.url import RedisAddress

TIMEOUT_S = 2.0  # for each step: to connect, to send, until more of a reply comes
MARK = "jph:state"

# The remedy, by the first word of the refusal.
ADVICE = {
    "OOM": "it has reached its maxmemory: raise that, or remove other data from it",
    "READONLY": "it is a read-only replica: name the primary, or its sentinels, in the URL",
    "MISCONF": "it cannot save to its disk and refuses to be written: see its log",
    "NOAUTH": "it needs a password: name a file with it in PasswordFile",
    "WRONGPASS": "it refuses the user or the password: look into the PasswordFile",
    "NOPERM": "its user may not do that: allow it SET and GET of the key jph:state, HSET, HDEL,"
    " HGETALL and SCAN of the keys ??, and in a cluster CLUSTER SLOTS and COMMAND",
    "WRONGTYPE": f"the key {MARK} holds something else: delete it, or name another database",
    "MOVED": "it is a cluster, whose servers share the keys: write redis+cluster:// in the URL",
}
# Refusals that pass: it loads its data, a script runs, a replica waits for its primary.
PASSING = {"LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN"}
# Words in refusals that begin with ERR only.
_PHRASES = {
    "without any password": "it has no password: leave out the PasswordFile",
    "DB index": "it has no database {address.database}: name another one in the URL",
    "cluster support disabled": "it is no cluster: write redis:// in the URL",
}
# redis-py takes the first word away where it has a class for it.
_CODES: dict[type[BaseException], str] = {
    exceptions.AskError: "ASK",
    exceptions.AuthenticationError: "NOAUTH",
    exceptions.BusyLoadingError: "LOADING",
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.MasterDownError: "MASTERDOWN",
    exceptions.MovedError: "MOVED",
    exceptions.NoPermissionError: "NOPERM",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.TryAgainError: "TRYAGAIN",
}
_NO_ANSWER = f"no answer within {TIMEOUT_S:g} s"
_NO_REDIS = "another program than Redis listens there"
_REASONS: dict[type[Exception], str] = {
    MasterNotFoundError: "no sentinel answers that knows a primary {address.primary}",
    exceptions.TimeoutError: _NO_ANSWER,
    TimeoutError: _NO_ANSWER,
    ConnectionRefusedError: "nothing listens there; is redis-server running?",
    FileNotFoundError: "a file or socket that its URL names is not there; is redis-server running?",
    gaierror: "no such host: {error.strerror}",
    SSLCertVerificationError: "its certificate is refused, {error.verify_message}:"
    " name the file of its CA by ?ssl_ca_certs= in the URL",
    exceptions.InvalidResponse: _NO_REDIS,
    ValueError: _NO_REDIS,
}


class RedisFault(StoreError):
    """A Redis refuses, or does not answer.

    Args:
        text: the server, the reason, and what to do.
        code: first word of the refusal, such as WRONGTYPE; "" where it does not answer.
    """

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


def fault_of(error: BaseException, address: RedisAddress, *, has_password: bool) -> RedisFault:
    """Return the meaning of an error of redis-py.

    Args:
        error: with its causes, of which the innermost is the most exact.
        has_password: the client sent one.
    """
    code, reason = "", str(error)
    for cause in _causes(error):
        if found := _code(cause, has_password):
            phrases = (advice for phrase, advice in _PHRASES.items() if phrase in str(cause))
            advice = next(phrases, ADVICE.get(found))
        else:
            advice = next((it for kind, it in _REASONS.items() if isinstance(cause, kind)), None)
        if found or advice:
            code = found
            reason = advice.format(error=cause, address=address) if advice else str(cause)
    return RedisFault(f"{address}: {reason}", code)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _code(error: BaseException, has_password: bool) -> str:
    """Return the first word of a refusal, "" for another error."""
    if code := _CODES.get(type(error)):
        return "WRONGPASS" if code == "NOAUTH" and has_password else code
    if not isinstance(error, exceptions.ResponseError):
        return ""
    word = str(error).partition(" ")[0]
    return word if word.isupper() else "ERR"
