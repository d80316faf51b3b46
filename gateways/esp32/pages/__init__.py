"""What a gateway of ESP32 boards serves over HTTP."""

from pathlib import Path

from flask import Flask

from gateways.endpoints import make_app
from gateways.esp32.pages.home import HOME, Asked
from gateways.esp32.service import Service
from gateways.kept_secret import kept_secret
from jph.errors import ConfigError


def app_of(service: Service, token: str, host: str, password: str | None) -> Flask:
    """Return the application of a gateway.

    Args:
        token: of the home directory.
        host: the address it listens on.
        password: that people sign in with; None: they need not.
    """
    return make_app(Asked(service, token), HOME)


def password_of(home: Path, file: Path | None) -> str:
    """Return the password of the pages, from its file or made the first time.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        if file is None:
            return kept_secret(home / "gateways" / "esp32-password")
        return file.expanduser().read_text().strip()
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise ConfigError(f"PagePasswordFile: {error}") from None
