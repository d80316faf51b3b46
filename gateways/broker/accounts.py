"""The accounts of our brokers, in the home directory; passwords are kept as hashes only.

broker/account        password of our own account, which every gateway of this home uses
broker/accounts.json  those of devices: their names, and the hashes that each engine knows
"""

import base64
import hashlib
import json
import re
import secrets
from pathlib import Path

from gateways.kept_secret import kept_secret
from jph.errors import ConfigError
from jph.files import write_file
from jph.tcp import is_loopback

OWN = "jph"
# How long a guess takes, of PBKDF2 and bcrypt: of who has the file, and of a broker at each
# connection. Nobody guesses a password that we made, and hundreds of boards may connect at once.
ITERATIONS, COST = 20_000, 10
ITERATIONS_MADE, COST_MADE = 101, 4
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FOLDER = "broker"


def folder_of(home: Path) -> Path:
    """Return the folder of the broker's files, which only its user may read."""
    folder = home.absolute() / _FOLDER  # the broker has another working directory
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def file_of(home: Path) -> Path:
    """Return the file of the devices' accounts."""
    return home / _FOLDER / "accounts.json"


def own_password(home: Path) -> str:
    """Return the password of our own account, made the first time.

    Raises:
        ConfigError: the home directory cannot be written.
    """
    try:
        return kept_secret(folder_of(home) / "account")
    except OSError as error:
        raise ConfigError(f"the account at the broker cannot be kept: {error}") from None


def lets_anybody_in(host: object, anonymous: object) -> bool:
    """Tell whether devices need no account, by the settings of a Broker."""
    return is_loopback(str(host)) if anonymous is None else bool(anonymous)


def accounts(home: Path) -> dict[str, dict[str, str | bool]]:
    """Return the accounts by name: hashes `mosquitto` and `nats`, and what they may do.

    `all` is for every device, `program` for a program such as Home Assistant.

    Raises:
        ConfigError: the file is damaged.
    """
    path = file_of(home)
    try:
        found = json.loads(path.read_text())
        if all(isinstance(entry, dict) for entry in found.values()):
            return dict(found)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: {error}; remove it and add the accounts again") from None
    raise ConfigError(f"{path} is damaged; remove it and add the accounts again")


def add(
    home: Path,
    name: str,
    password: str,
    *,
    all_devices: bool = False,
    program: bool = False,
    is_made: bool = False,
) -> None:
    """Add an account, or change its password.

    Args:
        name: the identifier of the sensor that uses it.
        all_devices: it may publish for every sensor, whatever its own name is.
        program: it may read everything and give commands, as Home Assistant does.
        is_made: the password is random, and long.

    Raises:
        ConfigError: no such name or password can be taken.
    """
    if name == OWN or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name of an account: letters, digits, '.', '_' and '-', up to 64"
            if name != OWN
            else f"{OWN} is the account of the gateways themselves"
        )
    if not 8 <= len(password.encode()) <= 72:
        raise ConfigError("the password must have 8 to 72 bytes")
    rights = {"all": all_devices, "program": program}
    _write(home, {**accounts(home), name: {**hashes(password, is_made), **rights}})


def remove(home: Path, name: str) -> None:
    """Remove an account.

    Raises:
        ConfigError: there is none of this name.
    """
    found = accounts(home)
    if found.pop(name, None) is None:
        raise ConfigError(f"there is no account {name!r}")
    _write(home, found)


def hashes(password: str, is_made: bool) -> dict[str, str | bool]:
    """Return the hashes of a password that the engines know.

    Args:
        is_made: it is random, and long.
    """
    import bcrypt

    iterations, cost = (ITERATIONS_MADE, COST_MADE) if is_made else (ITERATIONS, COST)
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations)
    encoded = (base64.b64encode(part).decode() for part in (salt, digest))
    return {
        "mosquitto": f"$7${iterations}${'$'.join(encoded)}",
        "nats": bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost, prefix=b"2a")).decode(),
    }


def _write(home: Path, found: dict[str, dict[str, str | bool]]) -> None:
    folder_of(home)
    write_file(file_of(home), json.dumps(found, indent=1).encode(), mode=0o600)
