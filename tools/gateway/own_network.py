"""The network of a gateway that is configured elsewhere, as Tenta by an environment.

Its document is written at the first start. Later ones bring only the gateway in line with what is
said elsewhere, and keep everything else that somebody has changed.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

from jph.config import document
from jph.errors import ConfigError
from jph.files import write_file


def network_of(gateway: Mapping[str, object], number: int, pages_port: int) -> dict[str, Any]:
    """Return a network on the loopback interface: a gateway, last states, a history, and pages.

    Args:
        number: of its multicast groups and ports, from 0 to 99.
    """
    channels = {
        name: {
            **{"Address": f"239.76.80.{2 * number + at}", "Port": 7600 + 2 * number + at},
            **{"Interface": "127.0.0.1", "TTL": 0},
        }
        for at, name in enumerate(("Control-Channel", "Data-Channel"), 1)
    }
    more = [
        {
            **{"Codifier": "SC", "Name": "Last states: messages taken", "Symbol": "1/min"},
            **{"Type": "StateCache", "SensorInterval": 10, "Sensor": {"URL": "memory:"}},
        },
        {
            **{"Codifier": "HW", "Name": "History: readings taken", "Symbol": "1/min"},
            **{"Type": "HistoryWriter", "DataType": "json", "SensorInterval": 10},
            "Sensor": {"URL": "sqlite:///history.sqlite"},
        },
        {
            **{"Codifier": "WB", "Name": "Web server", "Type": "Web"},
            "Sensor": {"Host": "127.0.0.1", "Port": pages_port},
        },
    ]
    return {"Multicast": channels, "Sensors": [dict(gateway), *more]}


def bring_in_line(
    path: Path,
    first: Mapping[str, Any],
    said: Mapping[str, Mapping[str, object]],
    secrets: Mapping[str, tuple[str, str | None]],
) -> None:
    """Write what is said elsewhere into a document, if it says anything new.

    Args:
        path: of the document, beside which the files of passwords are.
        first: the document of a first start.
        said: settings by the type of the component; None are left as they are. The first type is
            that of the gateway.
        secrets: the setting that names a file, the file, and the password in it, if there is one.

    Raises:
        ConfigError: the file cannot be read or written, or has no such component.
    """
    content = deepcopy(dict(first))
    if path.exists():
        content = cast(Any, document.parse(document.read(str(path)), str(path)))
    before = deepcopy(content)
    found = {name: _settings_in(content, name, path) for name in said}
    for name, settings in found.items():
        settings.update({key: it for key, it in said[name].items() if it is not None})
    gateway = next(iter(found.values()))
    try:
        for key, (name, password) in secrets.items():
            gateway.pop(key, None)
            if password is not None:
                file = path.parent / name
                if not file.exists() or file.read_text(encoding="utf-8") != password:
                    write_file(file, password.encode(), mode=0o600)
                gateway[key] = str(file)
        if content != before or not path.exists():
            write_file(path, json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n")
    except OSError as error:
        raise ConfigError(str(error)) from None


def _settings_in(content: Any, type_name: str, path: Path) -> dict[str, object]:
    try:
        entry = next(each for each in content["Sensors"] if each.get("Type") == type_name)
    except (TypeError, KeyError, AttributeError, StopIteration):
        raise ConfigError(
            f"{path} has no component of type {type_name}: move it away, or add one"
        ) from None
    return cast(dict[str, object], entry.setdefault("Sensor", {}))
