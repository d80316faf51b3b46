"""The ini file of IoTtalk, as settings of components."""

from collections.abc import Mapping
from configparser import ConfigParser, ExtendedInterpolation
from configparser import Error as IniError
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from jph.errors import ConfigError

# What each key is, and its usual value. Other sections and keys of IoTtalk's own file are left
# alone: they configure what has no counterpart here.
SECTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "core": {
        "userdir": ("folder of the database, the pid files and the configuration", "~/.iottalk"),
        "host": ("address where devices register; 0.0.0.0: all of this machine", "127.0.0.1"),
        "port": ("port where devices register", "9992"),
        "db": ("database, sqlite:///… in userdir, or postgresql://…", "sqlite:///gateways.sqlite"),
        "sandbox": (
            "confine: functions run confined or not at all; limits-only: also where the kernel"
            " cannot confine",
            "confine",
        ),
    },
    "core-mqtt": {
        "scheme": ("mqtt, or mqtts for TLS", "mqtt"),
        "host": ("name or address of the broker", "localhost"),
        "port": ("port of the broker", "1883"),
        "username": ("user at the broker, if it wants one", ""),
        "password": ("password of that user", ""),
    },
    "core-ws": {
        "scheme": ("of MQTT over WebSocket at that broker: ws, or wss for TLS", "ws"),
        "port": ("its port, which device applications in browsers are told; none: nothing", ""),
    },
    "gui": {
        "host": ("address of the pages; 0.0.0.0: all of this machine", "127.0.0.1"),
        "port": ("port of the pages", "8080"),
    },
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What an ini file says."""

    userdir: Path
    core: Mapping[str, object]  # settings of the component IotTalk
    gui: Mapping[str, object]  # settings of the component Web
    password: str | None = field(default=None, repr=False)  # of the broker


def sample() -> str:
    """Return an ini file with all usual values."""
    lines = ["; Settings of iotctl. Take the ; away before a line to change its value."]
    for name, keys in SECTIONS.items():
        lines += ["", f"[{name}]"]
        for key, (words, usual) in keys.items():
            lines += [f"; {words}", f";{key} = {usual}".rstrip()]
    return "\n".join([*lines, ""])


def read(path: Path | None) -> tuple[Settings, list[str]]:
    """Return what an ini file says, without one the usual, and which of its keys mean nothing here.

    Raises:
        ConfigError: it cannot be read, or has mistakes.
    """
    parser = ConfigParser(interpolation=ExtendedInterpolation())
    parser.read_dict(
        {name: {key: usual for key, (_, usual) in keys.items()} for name, keys in SECTIONS.items()}
    )
    ignored: list[str] = []
    try:
        if path is not None:
            text = path.read_text(encoding="utf-8")
            parser.read_string(text, str(path))
            given = ConfigParser(interpolation=None)
            given.read_string(text, str(path))
            ignored = [
                f"[{name}] {key}"
                for name in given.sections()
                for key in given[name]
                if key not in SECTIONS.get(name, {})
            ]
        values = {name: {key: parser[name][key] for key in SECTIONS[name]} for name in SECTIONS}
    except OSError as error:
        raise ConfigError(error.strerror or str(error)) from None
    except (UnicodeDecodeError, IniError) as error:
        raise ConfigError(" ".join(str(error).split())) from None
    return _settings(values), ignored


def _settings(values: Mapping[str, Mapping[str, str]]) -> Settings:
    core, mqtt, socket, gui = (values[name] for name in SECTIONS)
    mistakes: list[str] = []

    def port(section: str) -> int:
        text = values[section]["port"]
        if text.isascii() and text.isdecimal() and 0 < int(text) < 65536:
            return int(text)
        mistakes.append(f"[{section}] port: {text!r} is none; give a number from 1 to 65535")
        return 0

    def one_of(section: str, key: str, *known: str) -> str:
        text = values[section][key]
        if text not in known:
            mistakes.append(f"[{section}] {key}: {text!r} is not {' or '.join(known)}")
        return text

    user = f"{quote(mqtt['username'], safe='')}@" if mqtt["username"] else ""
    host = f"[{mqtt['host']}]" if ":" in mqtt["host"] else mqtt["host"]
    scheme = one_of("core-mqtt", "scheme", "mqtt", "mqtts")
    ws = one_of("core-ws", "scheme", "ws", "wss")
    settings = Settings(
        Path(core["userdir"]).expanduser().absolute(),
        {
            "Broker": f"{scheme}://{user}{host}:{port('core-mqtt')}",
            "WebSocket": f"{ws}://{host}:{port('core-ws')}" if socket["port"] else "",
            "Host": core["host"],
            "Port": port("core"),
            "Store": core["db"],
            "Sandbox": one_of("core", "sandbox", "confine", "limits-only"),
        },
        {"Host": gui["host"], "Port": port("gui")},
        mqtt["password"] or None,
    )
    if mistakes:
        raise ConfigError(mistakes)
    return settings
