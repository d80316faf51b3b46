"""`jph gateway tenta develop` in a fresh home, as a person types it, asked over the API.

    python -m tests.gateways.tenta.develop HOME

Runs in a network namespace of its own, since the example has fixed ports and groups. Prints what
the sensors did, as JSON.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.gateways.tenta.client import Client
from tests.helpers import eventually
from tests.tools.program import start

API = 8421


def main() -> None:
    """Run it, look, and end it by Ctrl-C."""
    subprocess.run(["ip", "link", "set", "lo", "up", "multicast", "on"], check=True)
    home = Path(sys.argv[1])
    process = start(home, "gateway", "tenta", "develop", "--home", str(home), "--port", "0")
    try:
        print(json.dumps(seen(home)))
    finally:
        process.terminate()
        ended = process.wait(60)
    assert ended == 0, (home / "err").read_text()


def seen(home: Path) -> dict[str, object]:
    """Return what a program sees that signs in with the password on the screen."""
    user = r"user of the API: (\S+), password: (\S+)"
    found = eventually(lambda: re.search(user, (home / "out").read_text()), 120)
    client = eventually(connected, 120, "the API answers")
    with closing(client):
        account = {"user_name": found[1], "password": found[2]}
        client.token = client.post("/authentication", account).json["access_token"]
        networks = client.get("/networks").json
        sensors = {
            f"{network['network_name']}/{sensor['sensor_name']}": "/networks/"
            f"{network['network_identifier']}/sensors/{sensor['sensor_identifier']}"
            for network in networks
            for sensor in client.get(f"/networks/{network['network_identifier']}/sensors").json
        }

        def answers():
            asked = {name: client.get(f"{it}/configurations") for name, it in sensors.items()}
            return {name: answer.json[0]["success"] for name, answer in asked.items()}

        def measured():
            return [it for it in sensors.values() if client.get(f"{it}/measurements").json]

        eventually(lambda: Counter(answers().values()) == {True: 10, False: 1, None: 1}, 120)
        eventually(lambda: len(measured()) == 12, 120)
        return {
            "networks": [network["network_name"] for network in networks],
            "others": sorted(name for name, success in answers().items() if not success),
            "log of the pump": client.get(f"{sensors['greenhouse/pump']}/logs").json[0]["severity"],
        }


def connected() -> Client | None:
    """Return a client once the API answers."""
    client = Client(API)
    try:
        client.get("/status")
    except OSError:
        client.close()
        return None
    return client


if __name__ == "__main__":
    main()
