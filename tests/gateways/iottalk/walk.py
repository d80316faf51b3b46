"""Walk through the description of IoTtalk: iotctl, a cat that meows, a shell script for its graph.

    unshare --map-root-user --net python -m tests.gateways.iottalk.walk FOLDER

Ports are those of the description, which a network namespace of its own has free. The programs are
such as it shows: a device application with `requests` and paho, and a script for /bin/sh with
`mosquitto_pub`, which waits for no answers. It prints, as JSON, some of the values that come out.
"""

import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.brokers import Mosquitto, connected
from tests.tools.program import TOP

BROKER_PORT, HTTP_PORT = 1883, 9992
PATIENCE_S = 120.0
CAT = "df682f01-7c3a-49fd-8f5f-72ce0b6e68c0"
IOTCTL = [sys.executable, "-m", "tools.iotctl.command"]

BETACAT = """
import json
import random
from threading import Thread

import requests
from paho.mqtt.client import Client

ID = 'CAT_ID'
answer = requests.put(
    'http://localhost:9992/{}'.format(ID),
    headers={'Content-Type': 'application/json'},
    json={
        'name': 'BetaCat',
        'idf_list': [['meow', ['dB']]],
        'odf_list': [['meow', ['dB']]],
        'accept_protos': ['mqtt'],
        'profile': {'model': 'AI'},
    })
assert answer.status_code == 200, answer.text
answer = answer.json()
up, down = answer['ctrl_chans']


def meow(client, topic):
    while True:
        client.publish(topic, int(random.random() * 100)).wait_for_publish()


def on_connect(client, userdata, flags, return_code):
    client.publish(up, json.dumps({'state': 'online', 'rev': answer['rev']}), retain=True)
    client.subscribe(down)


def on_message(client, userdata, message):
    signal = json.loads(message.payload.decode())
    if signal['command'] == 'CONNECT' and signal.get('idf'):
        Thread(target=meow, args=(client, signal['topic']), daemon=True).start()
        signal['state'] = 'ok'
        client.publish(up, json.dumps(signal))


client = Client()
client.on_connect = on_connect
client.on_message = on_message
client.connect('localhost', port=1883)
client.loop_forever()
""".replace("CAT_ID", CAT)

API = r"""#!/bin/sh

TOPIC='iottalk/api/req/gui/graph/1'
CAT='CAT_ID'

TO_INT='def run(x): return int(x)\n'
TO_INT_DIGEST='f87d5c678bdd9e4b1b5f278c29cdf9a0fd01198060d8c6f3a34a6a05ae536e50'
SQUARE='def run(x): return x ** 2\n'
SQUARE_DIGEST='70e3d32f1c6abde67d607e3ce77dc286ecf5d0f42fcd18e6336fac5e19a6e07c'

alias pub="mosquitto_pub -t $TOPIC"

pub -m '{"op": "attach"}'

FUNCTIONS='{"op":"add_funcs","codes":["'$TO_INT'","'$SQUARE'"],'
FUNCTIONS=$FUNCTIONS' "digests":["'$TO_INT_DIGEST'", "'$SQUARE_DIGEST'"]}'

echo "$FUNCTIONS" | pub -l

pub -m '{"op": "add_link", "da_id": "'$CAT'", "idf": "meow", "func": "'$TO_INT_DIGEST'"}'
pub -m '{"op": "add_link", "da_id": "'$CAT'", "odf": "meow", "func": null}'
pub -m '{"op": "set_join", "prev": null, "new": "'$SQUARE_DIGEST'"}'
""".replace("CAT_ID", CAT)

# For machines without mosquitto-clients: of its options those that the script uses.
MOSQUITTO_PUB = f"""#!{sys.executable}
import sys
import paho.mqtt.client as mqtt
topic, how = sys.argv[2:4]
payloads = sys.argv[4:5] if how == '-m' else sys.stdin.read().splitlines()
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.connect('localhost')
client.loop_start()
for payload in payloads:
    client.publish(topic, payload).wait_for_publish(60)
client.disconnect()
client.loop_stop()
"""


class AsDescribed(Mosquitto):
    """A mosquitto at the port that the description has."""

    def _plain(self) -> list[str]:
        self.port = BROKER_PORT
        return super()._plain()


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    until_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until_s, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.05)


def is_open(port: int) -> bool:
    """Tell whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def program(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Run a program meanwhile; its output goes to a file of the folder, and to ours if it fails."""
    log = folder / f"{Path(command[-1]).name}.log"
    with open(log, "w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield
    except BaseException:
        print(f"{command}:\n{log.read_text()[-4000:]}", file=sys.stderr)
        raise
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def walk(folder: Path, count: int = 20) -> list[list[int]]:
    """Do what the description says; return values that the cat gets once there is a join."""
    bin_ = folder / "bin"
    bin_.mkdir()
    if shutil.which("mosquitto_pub") is None:
        (bin_ / "mosquitto_pub").write_text(MOSQUITTO_PUB)
        (bin_ / "mosquitto_pub").chmod(0o755)
    (folder / "betacat.py").write_text(BETACAT)
    (folder / "api.sh").write_text(API)
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith("JPH_")},
        "HOME": str(folder),
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "PYTHONPATH": str(TOP),
    }

    def iotctl(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*IOTCTL, *arguments], env=environment, cwd=folder, capture_output=True, text=True
        )

    made = iotctl("initdb")
    assert made.returncode == 0, made.stderr
    assert list((folder / ".iottalk").glob("*.sqlite")), "the database is in $HOME/.iottalk"
    with ExitStack() as running:
        (folder / "broker").mkdir()
        broker = AsDescribed(folder / "broker")
        running.callback(broker.stop)
        broker.start()
        running.enter_context(program([*IOTCTL, "start", "csm"], folder, environment))
        until(lambda: is_open(HTTP_PORT), "csm listens")
        assert iotctl("status", "csm").returncode == 0
        values: queue.Queue[list[int]] = queue.Queue(maxsize=10_000)
        client = running.enter_context(connected(BROKER_PORT, "listener"))

        def take(_: object, __: object, message: object) -> None:
            payload = json.loads(message.payload)  # type: ignore[attr-defined]
            if not isinstance(payload, dict):
                if not values.full():
                    values.put(payload)
            elif payload.get("odf"):
                client.subscribe(payload["topic"])

        client.on_message = take
        client.subscribe(f"{CAT}/ctrl/o", 2)
        running.enter_context(program([sys.executable, "betacat.py"], folder, environment))
        until(_is_registered, "the cat is registered")
        subprocess.run(
            ["sh", "api.sh"], env=environment, cwd=folder, check=True, timeout=PATIENCE_S
        )
        while values.get(timeout=PATIENCE_S)[0] < 100:  # the join comes last; a cat meows below 100
            pass
        found = [values.get(timeout=PATIENCE_S) for _ in range(count)]
        stopped = iotctl("stop", "csm")
        assert stopped.stdout == "csm stopped\n", stopped.stderr
        assert iotctl("status", "csm").returncode == 3
    return found


def _is_registered() -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{HTTP_PORT}/{CAT}", timeout=10) as answer:
            return bool(json.load(answer)["name"] == "BetaCat")
    except urllib.error.HTTPError as error:
        error.close()
        return False


def main() -> None:
    """Walk in a network namespace of its own."""
    subprocess.run(["ip", "link", "set", "lo", "up", "multicast", "on"], check=True)
    print(json.dumps(walk(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
