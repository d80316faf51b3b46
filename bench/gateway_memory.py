"""Measure what a gateway of Tenta adds to the memory of a node that has the pages.

    python -m bench.gateway_memory [--messages 20000] [--store sqlite|postgresql]

Two runs of `jph up` with the shipped network, in processes of their own; one has a gateway, too. A
browser opens the pages in both. The gateway's is read when it has started, when it has stored
messages of ten sensors with a hundred readings each, and when programs have read pages of these.
The history of both is on the same kind of store as the gateway's, in a database of its own.
The API of the pages loads pydantic, too, when the first program asks it.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from uuid import UUID

from bench import common, memory
from bench.common import Network
from bench.ingest import LIMITS, Socket, messages_of
from gateways.store import Store
from gateways.tenta import people, tables
from jph.config.model import build
from jph.devices import Gateway
from jph.errors import GatewayError
from tests.brokers import running_mosquitto
from tests.helpers import eventually
from tests.servers import running_postgres

MOST_MB = 15.0
READINGS = 100
PAGES = 300
SETTLE_S = 8.0


def configuration(net: Network, port: int, gateway: dict[str, object] | None, history: str) -> Path:
    """Return the shipped configuration with its history there, and a gateway if it is given."""
    path = memory.shipped(net, port)
    document = json.loads(path.read_text())
    if gateway is not None:
        document["Sensors"].append({"Codifier": "TG", "Type": "Tenta", "Sensor": gateway})
        path = net.folder / "gateway.json"
    for entry in document["Sensors"]:
        if entry["Type"] == "HistoryWriter":
            entry["Sensor"]["URL"] = history
    path.write_text(json.dumps(document))
    return path


@contextmanager
def node(net: Network, name: str, config: Path, port: int) -> Iterator[int]:
    """Run a node whose home has been there for a while, and open its pages; yield its process."""
    command = [str(Path(sys.executable).with_name("jph")), "up", "--port", str(port)]
    command += ["--home", str(net.folder / name), "--config", str(config)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    log = net.folder / f"{name}.log"
    for is_first in (True, False):
        with (
            log.open("wb") as output,
            subprocess.Popen(command, stdout=output, stderr=output, env=environment) as process,
        ):
            try:
                time.sleep(SETTLE_S)
                memory.visit(log.read_text())
                if not is_first:
                    yield process.pid
            finally:
                process.terminate()


def sensors_of(url: str, home: Path) -> tuple[list[UUID], UUID, str]:
    """Make sensors; return them, their network and the token of a user who may read them."""
    with closing(Store.open(url, home, steps=tables.STEPS)) as store, store.writing() as connection:
        owner = people.create_user(connection, "bench", "none")
        network = people.create_network(connection, "bench", owner)
        names = [f"sensor-{number}" for number in range(10)]
        sensors = [people.create_sensor(connection, network, name) for name in names]
        return sensors, network, people.create_session(connection, owner)


def of_gateway(net: Network, port: int, url: str, history: str, count: int) -> dict[str, float]:
    """Return the memory of a node with a gateway, in MB, at each stage."""
    found = {}
    with running_mosquitto(*LIMITS) as broker:
        api_port = common.free_port()
        settings = {"Broker": broker.url, "Port": api_port, "Store": url}
        file = configuration(net, port, settings, history)
        home = net.folder / "gateway"
        with node(net, "gateway", file, port) as pid:
            gateway = Gateway(build(json.loads(file.read_text()), "bench").components["TG"], home)
            sensors, network, token = sensors_of(url, home)
            found["started"] = memory.resident_mb(pid)
            with closing(Socket(broker.port, "publisher")) as publisher:
                publisher.publish(messages_of(sensors, count, READINGS))

            def is_stored() -> bool:
                with suppress(GatewayError):
                    return bool(gateway.ask("state").get("messages", 0) >= count)
                return False

            eventually(is_stored, 300, "all messages are stored")
            found[f"{count * READINGS:,} readings stored"] = memory.resident_mb(pid)
            for number in range(PAGES):
                sensor = sensors[number % len(sensors)]
                path = f"networks/{network}/sensors/{sensor}/measurements"
                at_s = 1.7e9 + number * count / PAGES
                url = f"http://{common.LOOPBACK}:{api_port}/{path}?creation_timestamp={at_s}"
                headers = {"Authorization": f"Bearer {token}"}
                asked = urllib.request.Request(url + "&direction=next", headers=headers)
                with urllib.request.urlopen(asked, timeout=30) as answer:
                    if len(json.load(answer)) != 64:
                        raise SystemExit("a page is not whole")
            found[f"{PAGES} pages read"] = memory.resident_mb(pid)
    return found


def main() -> None:
    """Print what a gateway adds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    chosen = parser.parse_args()
    with ExitStack() as opened:
        net = opened.enter_context(common.network())
        url, history = "sqlite:///gateways.sqlite", "sqlite:///history.sqlite"
        if chosen.store == "postgresql":
            server = opened.enter_context(running_postgres(durable=True))
            url, history = (server.url(server.create_database()) for _ in range(2))
        port = common.free_port()
        with node(net, "plain", configuration(net, port, None, history), port) as pid:
            plain_mb = memory.resident_mb(pid)
            asked = f"http://{common.LOOPBACK}:{port}/api/v1/states/LA"
            urllib.request.urlopen(asked, timeout=30).close()
            with_api_mb = memory.resident_mb(pid)
        stages = of_gateway(net, port, url, history, chosen.messages)
    rows = [
        ["without a gateway", f"{plain_mb:.1f}"],
        ["the same, asked by a program", f"{with_api_mb:.1f}"],
    ]
    for name, used_mb in stages.items():
        more = [used_mb - before for before in (plain_mb, with_api_mb)]
        goal = common.verdict(more[0] / MOST_MB, most=1)
        rows.append([f"with one, {name}", f"{used_mb:.1f}", *(f"{mb:+.1f}" for mb in more), *goal])
    heads = ["", "MB", "more", "than asked", f"of {MOST_MB:g} MB", "", ""]
    common.print_table(f"Memory with a gateway, {chosen.store}", heads, rows)


if __name__ == "__main__":
    main()
