"""Certificates of servers: what a server of ours shows, and how our own programs know it."""

import re
import ssl
from pathlib import Path

from jph.errors import ConfigError

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def load(context: ssl.SSLContext, chain: Path, key: Path) -> None:
    """Let a server show the certificate of a file, with its chain.

    Raises:
        ConfigError: the files cannot be read, or do not fit.
    """
    for file in (chain, key):
        try:
            file.read_bytes()
        except OSError as error:
            raise ConfigError(f"{file} cannot be read ({error.strerror})") from error
    try:
        context.load_cert_chain(chain, key, password=_no_password)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise ConfigError(
            f"{chain} and {key} are no certificate with its key ({reason}): name files in PEM, "
            "the key without a password"
        ) from error


def _no_password() -> str:
    raise ValueError("the key has a password")


def pinned(chain: Path) -> ssl.SSLContext:
    """Return what accepts the certificate of a file and no other, whatever names it is for.

    Only the first one in the file counts: those who signed it have signed others, too.

    Raises:
        OSError: the file cannot be read, or has no certificate.
    """
    found = _CERTIFICATE.search(chain.read_text(encoding="ascii", errors="replace"))
    context = ssl.create_default_context(cadata=found[0] if found else "")
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return context
