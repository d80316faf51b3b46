"""`jph config example`: a network with any number of simulated sensors, to try JPH."""

import itertools
import json
import string
from collections.abc import Iterator

import click

from tools import options

_SIGNS = string.ascii_uppercase + string.ascii_lowercase + string.digits
_MOST = 3000  # letters and digits make 3,844 Codifiers, and some are taken
_INTERFACE = {"Interface": "127.0.0.1", "TTL": 0}
_COLLECTORS = (
    ("SC", "Last states", "StateCache"),
    ("HW", "History", "HistoryWriter"),
    ("ST", "Statistics", "Statistics"),
)
_PAGES = "WB"


@click.command()
@click.option(
    "--sensors",
    type=click.IntRange(1, _MOST),
    default=100,
    show_default=True,
    help="Number of simulated sensors.",
)
@click.option(
    "--interval",
    type=options.Number(0.01, 86400),
    default=1.0,
    show_default=True,
    help="Seconds between the readings of each.",
)
def example(sensors: int, interval: float) -> None:
    """Print the configuration of a network of simulated sensors.

    Its messages stay on this machine. It has a state cache, a history, statistics and pages:

        jph config example --sensors 1000 > big.json; jph up -u big.json
    """
    click.echo(json.dumps(network(sensors, interval), indent=1))


def network(sensors: int, interval_s: float) -> dict[str, object]:
    """Return the document of a network of simulated sensors."""
    return {
        "Multicast": {
            "Control-Channel": {"Address": "239.76.82.1", "Port": 7621, **_INTERFACE},
            "Data-Channel": {"Address": "239.76.82.2", "Port": 7622, **_INTERFACE},
        },
        "Sensors": [
            *(_sensor(code, at, interval_s) for at, code in enumerate(_codes(sensors))),
            *(
                {"Codifier": code, "Name": name, "Type": kind, "SensorInterval": 10}
                for code, name, kind in _COLLECTORS
            ),
            {"Codifier": _PAGES, "Name": "Web server", "Type": "Web"},
        ],
    }


def _sensor(codifier: str, at: int, interval_s: float) -> dict[str, object]:
    kind = "sine" if at % 2 else "walk"
    return {
        "Codifier": codifier,
        "Name": f"Simulated {kind} {at + 1}",
        "Symbol": "°C",
        "Type": "Simulated",
        "SensorInterval": interval_s,
        "Sensor": {"Kind": kind, "Period": 60 * (1 + at % 60)},
    }


def _codes(count: int) -> Iterator[str]:
    """Yield `count` Codifiers of two letters or digits: AA, AB, and so on."""
    taken = {_PAGES, *(code for code, *_ in _COLLECTORS)}
    pairs = map("".join, itertools.product(_SIGNS, repeat=2))
    return itertools.islice((code for code in pairs if code not in taken), count)
