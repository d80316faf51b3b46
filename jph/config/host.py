"""The name of this machine, as `Host` of a component gives it."""

import os


def this_host() -> str:
    """Return JPH_HOST, or else this machine's host name."""
    return os.environ.get("JPH_HOST") or os.uname().nodename


def is_same_host(one: str, other: str) -> bool:
    """Tell whether two names mean one machine; `pi3` and `PI3.example.org` do."""
    one, other = one.casefold().rstrip("."), other.casefold().rstrip(".")
    if "." in one and "." in other:
        return one == other
    return one.partition(".")[0] == other.partition(".")[0]
