"""The targets of deploy/esp32/Makefile, typed one after the other as a person does.

    python -m tests.gateways.esp32.making FOLDER

Runs in a network namespace of its own, since their ports are fixed. Prints what was seen, as JSON.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

from tests.helpers import eventually
from tests.servers import is_listening
from tests.tools.program import TOP, environment

MQTT, BOARDS, PAGES = 1883, 8000, 8080
START_S = 120
COUNT = "SELECT 'boards', count(*) FROM esp32_board;\n"


def main() -> None:
    """Type them all."""
    subprocess.run(["ip", "link", "set", "lo", "up", "multicast", "on"], check=True)
    seen: dict[str, object] = {}
    seen["help"] = [line.split()[1] for line in run().stdout.splitlines() if line[:5] == "make "]
    with going("broker"):
        eventually(lambda: is_listening(MQTT), START_S, "the broker listens")
        with going("client"):
            eventually(lambda: is_listening(BOARDS), START_S, "the pages of the boards answer")
            seen["without others"] = is_listening(PAGES)
            with going("data", "BOARDS=3"):
                eventually(
                    lambda: cards().count('data-id="capteur') == 3, START_S, "three boards joined"
                )
            seen["db"] = run("db", given=COUNT).stdout
            refused = run("clean")
            seen["clean while it runs"] = refused.returncode, refused.stderr.splitlines()[0]
    for target in ("debug", "prod"):
        with going(target) as output:
            for port in (MQTT, BOARDS, PAGES):
                eventually(lambda port=port: is_listening(port), START_S, f"{target}: {port}")
            eventually(
                lambda: cards().count('data-id="capteur') == 3, START_S, "boards are remembered"
            )
            if target == "debug":
                with going("data", "BOARDS=1"):
                    line = "DEBUG gateways.esp32.ingest: answered: state/nameAssign b'02:00:"
                    eventually(lambda line=line, of=output: line in of.read_text(), START_S)
        seen[target] = "DEBUG" in output.read_text()
    seen["clean"] = run("clean").returncode, data().exists()
    print(json.dumps(seen))


def data() -> Path:
    """Return the folder of the deployment."""
    return Path(sys.argv[1]) / "data"


def command(*words: str) -> list[str]:
    """Return the command of a target, of this Python and in a folder of this run."""
    own = [f"DATA={data()}", f"JPH={sys.executable} -m tools.main"]
    return ["make", "--no-print-directory", "-C", str(TOP / "deploy" / "esp32"), *own, *words]


def run(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Type a target that ends by itself."""
    return subprocess.run(
        command(*words),
        env=environment(data()),
        input=given,
        capture_output=True,
        text=True,
        timeout=300,
    )


@contextlib.contextmanager
def going(*words: str) -> Iterator[Path]:
    """Type a target that goes on, and end it by Ctrl-C; gives the file of its output."""
    output = data().parent / f"{words[0]}.out"
    with output.open("w") as file:
        process = subprocess.Popen(
            command(*words),
            env=environment(data()),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield output
    except BaseException:
        print(output.read_text(), file=sys.stderr)
        raise
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def cards() -> str:
    """Return the page of the boards, as a program with the password gets it."""
    try:
        password = (data() / "gateways" / "esp32-password").read_text().strip()
        basic = b64encode(f"me:{password}".encode()).decode()
        asked = urllib.request.Request(
            f"http://127.0.0.1:{BOARDS}/capteurs", headers={"Authorization": f"Basic {basic}"}
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


if __name__ == "__main__":
    main()
