"""What a gateway of ESP32 boards serves over HTTP.

home     /jph/…, for our own pages and tools, by the token of the home directory
views    the pages of the boards, for people
people   who may see them: signing in, and pages of other sites
live     what changes, for pages that are open
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateways.endpoints import make_app
from gateways.esp32.pages.home import HOME, Asked
from gateways.esp32.pages.views import pages
from gateways.esp32.service import Service
from gateways.kept_secret import kept_secret
from jph.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def app_of(service: Service, token: str, host: str, password: str | None) -> "WSGIApplication":
    """Return the application of a gateway.

    Args:
        token: of the home directory.
        host: the address it listens on.
        password: that people sign in with; None: they need not.
    """
    home, people = make_app(Asked(service, token), HOME), pages(service, token, host, password)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        app = home if environ["PATH_INFO"].startswith("/jph/") else people
        return app(environ, start)

    return answer


def password_of(home: Path, file: Path | None) -> str:
    """Return the password of the pages, from its file or made the first time.

    Raises:
        ConfigError: it cannot be read, or is empty.
    """
    try:
        if file is None:
            return kept_secret(home / "gateways" / "esp32-password")
        password = file.expanduser().read_text().strip()
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise ConfigError(f"PagePasswordFile: {error}") from None
    if not password:
        raise ConfigError(f"PagePasswordFile: {file} is empty")
    return password
