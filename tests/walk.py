"""Type the commands of the README in their order, as a newcomer does; print what each of them said.

    unshare --map-root-user --net python -m tests.walk CHECKOUT

The network namespace has nothing but a loopback interface, so that the ports and groups of the
shipped network are free, and nothing of it is heard outside.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.docs.blocks import commands, fenced

# What each command that goes on by itself says when it has done what the README promises.
ENDLESS = {
    "./scripts/run": "Sign in once with",
    "jph control watch LA": "Data=f LA",
    "jph run LA UP": "2 components started",
    "jph up": "Sign in once with",
    "./scripts/run --config my.json": "Sign in once with",
    "python tank.py": "WT 18.5",
}
ITSELF = {"./scripts/test"}  # which runs this
BESIDE = ("jph control", "python")  # these need the network, all other endless ones are one
PASSWORD = "correct horse battery staple"
PATIENCE_S = 60


class Walk:
    """A person with a few terminals in one folder."""

    def __init__(self, checkout: Path) -> None:
        self.said: list[tuple[str, int, str]] = []
        self._checkout = checkout
        self._before = ""  # what was typed to prepare the terminal
        self._network: subprocess.Popen | None = None
        kept = {name: text for name, text in os.environ.items() if name in ("PATH", "LANG")}
        self._environment = {**kept, "HOME": str(checkout.parent / "person")}

    def type(self, command: str) -> None:
        """Type a command; end it by Ctrl-C if it goes on. A network runs until the next one."""
        if command.startswith("source"):
            self._before = f"{command} && "
        elif command not in ENDLESS:
            process = self._start(command, stderr=subprocess.STDOUT)
            said, _ = process.communicate(f"{PASSWORD}\n", PATIENCE_S)
            self.said.append((command, process.returncode, said))
        elif command.startswith(BESIDE):
            self._stop(self._begin(command))
        else:
            self.stop()
            self._network = self._begin(command)

    def stop(self) -> None:
        """End the network that runs."""
        if self._network is not None:
            self._stop(self._network)
            self._network = None

    def _start(self, command: str, **more: object) -> subprocess.Popen:
        return subprocess.Popen(
            ["bash", "-c", f"{self._before}{command}"],
            cwd=self._checkout,
            env={**self._environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=more.pop("stdout", subprocess.PIPE),
            text=True,
            start_new_session=True,
            **more,
        )

    def _begin(self, command: str) -> subprocess.Popen:
        log = self._checkout.parent / f"said by {command.replace('/', ' ')}"
        with open(log, "w") as file:
            process = self._start(command, stdout=file, stderr=subprocess.STDOUT)
        process.command, process.log = command, log
        until_s = time.monotonic() + PATIENCE_S
        while ENDLESS[command] not in log.read_text():
            if process.poll() is not None or time.monotonic() > until_s:
                break
            time.sleep(0.05)
        return process

    def _stop(self, process: subprocess.Popen) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        status = process.wait(PATIENCE_S)
        self.said.append((process.command, status, process.log.read_text()))


def main(checkout: Path) -> None:
    """Type everything."""
    subprocess.run(["ip", "link", "set", "lo", "up", "multicast", "on"], check=True)
    readme = (checkout / "README.md").read_text()
    walk = Walk(checkout)
    try:
        for command in commands(readme):
            if command in ITSELF:
                continue
            if command == "./scripts/run --config my.json":
                document = json.loads((checkout / "my.json").read_text())
                document["Sensors"].append(json.loads(fenced(readme, "json")))
                (checkout / "my.json").write_text(json.dumps(document))
                (checkout / "tank.py").write_text(fenced(readme, "python"))
                (checkout / "water.txt").write_text("18.5\n")
            walk.type(command)
            if command.startswith("jph user add"):
                walk.type("jph user list")
                walk.type(f"python -c '{SIGN_IN}'")
    finally:
        walk.stop()
    json.dump(walk.said, sys.stdout)


# The account that was added is one of the network that runs.
SIGN_IN = (
    "from tests.web.client import Client; client = Client(8080); "
    f'print(client.sign_in("anna", "{PASSWORD}").status)'
)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
