"""`jph up` under the `Logging` document of an existing network: what its syslog and console get."""

import contextlib
import json
import socket

import pytest

from tests.helpers import LOOPBACK, eventually, free_tcp_port, new_bus
from tests.tools.program import start

PATIENCE_S = 40.0


@pytest.fixture
def syslog(tmp_path):
    """Return the path of the socket that stands for /dev/log, and a function that reads it."""
    path = tmp_path / "log"
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.setblocking(False)

        def lines() -> list[str]:
            with contextlib.suppress(BlockingIOError):
                while True:
                    # After "<priority>" the syslog takes what is before "[" as the program.
                    heard.append(receiver.recv(65536).decode().rstrip("\0").partition(">")[2])
            return heard

        yield path, lines


def older_logging(address):
    short = {"class": "logging.Formatter", "datefmt": "%I:%M:%S"}
    console = {
        "class": "logging.StreamHandler",
        "formatter": "verbose",
        "stream": "ext://sys.stdout",
    }
    both = {"handlers": ["syslog", "console"], "level": "INFO"}
    return {
        "version": 1,
        "disable_existing_loggers": True,
        "formatters": {
            "brief": {
                **short,
                "format": "%(name)s[%(process)d]: (%(codifier)s) %(levelname)s %(message)s",
            },
            "verbose": {
                **short,
                "format": "%(name)s %(codifier)s %(levelname)s (%(lineno)d) %(message)s",
            },
        },
        "handlers": {
            "operator": {**console, "level": "ERROR"},
            "console": {**console, "level": "INFO"},
            "syslog": {
                "level": "INFO",
                "class": "logging.handlers.SysLogHandler",
                "facility": "daemon",
                "formatter": "brief",
                "address": str(address),
            },
        },
        "loggers": {"jphMonitor": both, "jphRedis": both, "jphPostgreSQL": both},
        "root": {"handlers": ["operator"], "level": "NOTSET"},
    }


def test_console_and_syslog_of_an_existing_network_get_every_fault_with_its_codifier(
    syslog, tmp_path
):
    address, lines = syslog
    common = {"KeepAliveInterval": 5, "SensorInterval": 0.5, "Active": True}
    sensors = [
        {"Codifier": "C1", "Type": "TempLinux", "Sensor": {"Pipe": str(tmp_path / "none")}},
        {"Codifier": "R1", "Type": "jphRedis",
         "Sensor": {"URL": f"redis://{LOOPBACK}:{free_tcp_port()}/0"}},
        {"Codifier": "CF", "Type": "Flask", "Sensor": {"Port": 0}},
    ]  # fmt: skip
    document = new_bus().document(*({**common, **each} for each in sensors))
    document["Logging"] = older_logging(address)
    (tmp_path / "config.json").write_text(json.dumps(document))
    process = start(tmp_path, "up", "-u", str(tmp_path / "config.json"))
    name = f"[{process.pid}]: "

    def console() -> str:
        return (tmp_path / "out").read_text()

    try:
        missing = eventually(
            lambda: [line for line in lines() if line.startswith(f"jph.TempLinux{name}(C1) ")],
            PATIENCE_S,
            "the missing file in the syslog",
        )
        assert str(tmp_path / "none") in missing[0]
        eventually(
            lambda: [
                each for each in console().splitlines() if each.startswith("jph.TempLinux C1 ")
            ],
            PATIENCE_S,
            "the missing file on the console",
        )
        # Redis is away: noticed by a thread of the component, not by one of its callbacks.
        eventually(
            lambda: [line for line in lines() if f"{name}(R1) ERROR redis://" in line], PATIENCE_S
        )
    finally:
        process.terminate()
        assert process.wait(20) == 0
    assert all(line.startswith("jph") and name in line for line in lines())
