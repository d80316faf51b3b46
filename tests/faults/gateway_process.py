"""A gateway as a node of its own, which faults kill and start again."""

import json
import subprocess
import sys
from pathlib import Path

from jph import child
from jph.config.model import Component
from tests.network import config_of


class GatewayProcess:
    """Runs one component in a process; it starts at once, and connects by itself.

    Args:
        entry: of the component in `Sensors`.
    """

    def __init__(self, entry: dict[str, object], home: Path) -> None:
        config = config_of(entry)
        codifier = str(entry["Codifier"])
        self.component: Component = config.components[codifier]
        file = home / "config.json"
        file.write_text(json.dumps(dict(config.document)))
        command = [sys.executable, "-m", "tools.main", "run", codifier, "--take-over"]
        self._command = [*command, "--home", str(home), "--config", str(file)]
        self.start()

    def start(self) -> None:
        """Start it."""
        self.process = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=child.environment(),
        )

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.process.kill()
        self.process.wait()

    @property
    def memory_mb(self) -> float:
        """What it has in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * 4096 / 1e6
