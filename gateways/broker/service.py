"""The mosquitto that a Linux distribution runs on this machine, beside ours.

Source: mosquitto.conf(5), and /etc/mosquitto/mosquitto.conf of Debian.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from jph.tcp import is_loopback

CONFIG = Path("/etc/mosquitto/mosquitto.conf")
DEFAULT_PORT, DEFAULT_QUEUE = 1883, 1000


def drops(host: str, port: int, config: Path = CONFIG) -> str:
    """Return a warning if it runs at this address and drops messages of a gateway; else nothing."""
    try:
        lines = list(_lines(config))
    except OSError:  # there is none, or its files are closed to us
        return ""
    pid_files = [Path(value) for key, value in lines if key == "pid_file"]
    if not is_loopback(host) or not any(file.exists() for file in pid_files):
        return ""
    ports = [value.split()[0] for key, value in lines if key in ("listener", "port") and value]
    most = next((value for key, value in reversed(lines) if key == "max_queued_messages"), "")
    if str(port) not in (ports or [str(DEFAULT_PORT)]) or most == "0":
        return ""
    folder = next((value for key, value in lines if key == "include_dir"), "")
    place = Path(folder) / "jph.conf" if folder else config
    return (
        f"the mosquitto of this machine keeps {most or DEFAULT_QUEUE} messages while a gateway is"
        f" away, and drops the others: write max_queued_messages 0 into {place},"
        " and type: sudo systemctl restart mosquitto"
    )


def _lines(config: Path) -> Iterator[tuple[str, str]]:
    """Yield the settings of a file, and of those in the folder that it includes."""
    for key, value in _settings(config):
        yield key, value
        if key == "include_dir":
            for file in sorted(Path(value).glob("*.conf")):
                with suppress(OSError):
                    yield from _settings(file)


def _settings(file: Path) -> Iterator[tuple[str, str]]:
    for line in file.read_text(errors="replace").splitlines():
        key, *rest = line.split(maxsplit=1) or [""]
        if key and not key.startswith("#"):
            yield key, "".join(rest).strip()
